//! The classes and their explanation.

use super::Class;

#[test]
fn the_page_for_people_explains_each_class_and_no_other() {
    let page = include_str!("../../../docs/RECONCILIATION.md");
    let table = page.split("### What each class means").nth(1).unwrap().split("###").next().unwrap();
    let explained = table.lines().filter_map(|it| it.strip_prefix("| `")?.split('`').next()).collect::<Vec<_>>();
    assert_eq!(explained, Class::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>());
}

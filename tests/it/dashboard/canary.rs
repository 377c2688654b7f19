//! No page and no export of a reader holds a whole IBAN, name, e-mail, token or session, and no address of any page does. (P35)

use super::browser::pages::{ACTS, PAGES, Story};
use super::{READER, Visitor, tokens};
use crate::support::{TOKEN, TestApp};

/// The customers' data in the story and its openings.
const PERSONAL: [&str; 6] =
    ["Acme BV", "ops@acme.example", "BE78731000011186", "BE21731000022203", "BE68539007547034", "BE71096123456769"];
const EXPORTS: [&str; 6] = [
    "/openings.csv",
    "/acts.csv",
    "/reports.csv",
    "/mismatches.csv",
    "/ledger.csv",
    "/openings/{differs}/evidence.json",
];

/// Which of these a text holds, in any grouping and encoding of an address.
fn held<'a>(text: &str, secrets: &[&'a str]) -> Vec<&'a str> {
    let plain =
        |text: &str| text.replace(['\u{a0}', ' ', '+'], "").replace("%20", "").replace("%40", "@").to_lowercase();
    let text = plain(text);
    secrets.iter().copied().filter(|it| text.contains(&plain(it))).collect()
}

/// The addresses that a page leads to.
fn addresses(page: &str) -> String {
    let of =
        |name: &str| page.split(name).skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect::<Vec<_>>();
    [of("href=\""), of("action=\"")].concat().join("\n")
}

#[tokio::test]
async fn a_reader_sees_no_customer_no_token_and_no_session_and_no_address_holds_one() {
    let app = TestApp::with().prices().start().await;
    let story = Story::tell(&app).await;
    let (reader, admin) = (Visitor::signed_in(&app, READER).await, Visitor::signed_in(&app, TOKEN).await);
    let tokens = tokens();
    let tokens: Vec<&str> = tokens.split(',').filter_map(|it| it.split(':').nth(1)).collect();
    let sessions = [reader.session(), admin.session()];
    let secrets = [&PERSONAL[..], &tokens, &sessions].concat();
    let pages = || PAGES.iter().filter(|it| it.0 != "not-found");
    // An operator alone sees a message as it came.
    let seen = pages().filter(|it| !ACTS.contains(&it.0) && it.0 != "fact").map(|it| it.1).chain(EXPORTS);
    for path in seen.map(|it| story.path(it)) {
        let text = reader.page(&path).await;
        assert_eq!(held(&text, &secrets), [] as [&str; 0], "a reader's {path}");
    }
    for text in PERSONAL {
        let answer = reader.post("/search", &[("q", text)]).await;
        assert_eq!(held(answer.url().as_str(), &PERSONAL), [] as [&str; 0], "the address after a search");
        let (to, page) = (format!("{:?}", answer.headers().get("location")), answer.text().await.unwrap());
        assert_eq!(held(&[to, addresses(&page)].concat(), &secrets), [] as [&str; 0], "a search for {text}");
    }
    let mut shown = 0;
    for path in pages().map(|it| story.path(it.1)) {
        let page = admin.page(&path).await;
        shown += held(&page, &PERSONAL).len();
        assert_eq!(held(&page, &[&tokens[..], &sessions].concat()), [] as [&str; 0], "an admin's {path}");
        assert_eq!(held(&addresses(&page), &secrets), [] as [&str; 0], "an address on an admin's {path}");
    }
    assert!(shown > 5, "what is looked for is there: {shown}");
    app.finish().await;
}

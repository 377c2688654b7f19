//! The next step after a page of a list.

use super::*;
use crate::provider::ListItem;

fn claimed(cursor: Option<&str>, pages: i32) -> Claimed {
    Claimed {
        id: Uuid::nil(),
        provider: "bank".to_owned(),
        since: Time::UNIX_EPOCH,
        cursor: cursor.map(str::to_owned),
        pages,
        tries: 0,
        attempts: 0,
        retry_from: Time::UNIX_EPOCH,
        seen: Vec::new(),
    }
}

fn then(claimed: &Claimed, items: usize, next: Option<&str>) -> Then {
    let item = ListItem { body: b"{}".to_vec(), updated_at: None };
    match came(claimed, ListPage { items: vec![item; items], next: next.map(str::to_owned) }) {
        Settled::Page { then, .. } => then,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_goes_on_as_long_as_its_place_moves_and_ends_where_there_is_none() {
    assert_eq!(then(&claimed(None, 0), 3, Some("a")), Then::Next("a".to_owned()));
    assert_eq!(then(&claimed(Some("a"), 1), 0, Some("b")), Then::Next("b".to_owned()));
    assert_eq!(then(&claimed(Some("b"), 2), 3, None), Then::Done);
    assert_eq!(then(&claimed(Some("b"), 2), 0, Some("b")), Then::Done, "where there will be more one day");
}

/// F15
#[test]
fn a_place_that_was_seen_before_ends_a_list_however_far_back_it_lies() {
    let seen = |places: &[&str]| Claimed {
        seen: places.iter().map(|it| backfills::place(it)).collect(),
        ..claimed(places.last().copied(), 9)
    };
    assert_eq!(then(&seen(&["a", "b"]), 1, Some("c")), Then::Next("c".to_owned()));
    for items in [0, 1] {
        assert_eq!(then(&seen(&["a", "b"]), items, Some("a")), Then::Failed(REPEATED));
        assert_eq!(then(&seen(&["a", "b", "c", "d"]), items, Some("b")), Then::Failed(REPEATED));
    }
    assert_eq!(then(&seen(&["a", "b"]), 0, Some("b")), Then::Done, "where there will be more one day");
    assert_eq!(then(&seen(&["a", "b"]), 1, Some("b")), Then::Failed("cursor_stuck"));
    let many: Vec<String> = (0..MAX_PAGES).map(|n| format!("place {n}")).collect();
    let places: std::collections::HashSet<i64> = many.iter().map(|it| backfills::place(it)).collect();
    assert_eq!(places.len(), many.len(), "as many places as a listing may have are told apart");
}

#[test]
fn a_list_that_does_not_end_is_not_followed_for_ever() {
    assert_eq!(then(&claimed(Some("a"), 1), 1, Some("a")), Then::Failed("cursor_stuck"));
    assert_eq!(then(&claimed(Some("a"), MAX_PAGES - 1), 1, Some("b")), Then::Failed("endless"));
    assert_eq!(then(&claimed(Some("a"), MAX_PAGES - 1), 1, None), Then::Done);
    for cursor in ["\0", &"x".repeat(MAX_CURSOR + 1)] {
        assert_eq!(then(&claimed(None, 0), 1, Some(cursor)), Then::Failed("cursor_unusable"));
    }
}

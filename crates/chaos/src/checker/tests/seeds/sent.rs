//! P1, P2: what was sent and what is there.

use serde_json::json;

use super::super::super::report::Kind;
use super::*;

/// Seeds that are found at any moment.
pub const SEEDS: &[Seed] = &[
    ("a lost opening", Kind::Lost, |world| {
        let (key, id) = ("key-lost".to_owned(), Some(opening(900)));
        world.history.push(Seen::Open { at: BEGAN - 1, key: key.clone(), replica: 0, first: true, hang_up: false });
        world.history.push(Seen::Opened { at: BEGAN, key, replica: 0, status: 202, id, replayed: false });
        "key-lost".into()
    }),
    ("an answer without an id", Kind::Lost, |world| {
        let opened = world.history.iter_mut().find(|it| matches!(it, Seen::Opened { status: 202, .. }));
        let Some(Seen::Opened { id, .. }) = opened else { panic!("nothing was opened") };
        *id = None;
        key(0)
    }),
    ("a lost key", Kind::Lost, |world| {
        assert_eq!(world.remove("idempotency_keys", |row| row["opening_id"] == opening(4)), 1);
        key(4)
    }),
    ("a lost webhook", Kind::Lost, |world| {
        assert_eq!(world.remove("inbox", |row| row["event_id"] == "msg-5-0"), 1);
        "msg-5-0".into()
    }),
    ("a forgery in the inbox", Kind::Unexpected, |world| {
        let fact = world.find("inbox", |row| row["event_id"] == "msg-5-0").next().unwrap();
        let mut forged = fact.clone();
        forged["id"] = json!("00000002-0000-7000-8000-ffffffffffff");
        forged["event_id"] = json!(format!("msg-5-0!{}", body("lie")));
        forged["body_sha256"] = json!(body("lie"));
        forged["body_digest"] = json!(format!("\\x{}", body("lie")));
        world.insert("inbox", forged);
        body("lie")
    }),
    ("a forgery that was acknowledged", Kind::Unexpected, |world| {
        let refused = world.history.iter_mut().find(|it| matches!(it, Seen::Answer { status: 401, .. }));
        let Some(Seen::Answer { status, .. }) = refused else { panic!("no forgery") };
        *status = 200;
        "msg-0-1".into()
    }),
    ("a body that is not its digest's", Kind::Unexpected, |world| {
        world.find("inbox", |row| row["event_id"] == "msg-6-0").next().unwrap()["body_digest"] = json!("\\x00");
        "msg-6-0".into()
    }),
    ("an event that was read and is not there", Kind::Unexpected, |world| {
        let (id, opening) = ("gone".to_owned(), opening(3));
        world.history.push(Seen::Event { at: BEGAN, reader: 1, id, kind: "x".into(), opening, version: 1 });
        opening_of(3)
    }),
    ("an event that was told and is not there", Kind::Unexpected, |world| {
        world.history.push(Seen::Delivered { at: BEGAN, webhook_id: "gone".into(), event: "gone".into() });
        "gone".into()
    }),
];

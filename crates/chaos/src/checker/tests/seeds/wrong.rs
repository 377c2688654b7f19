//! P3, P8, P9: what was made twice, and answers that are not the outside world's.

use serde_json::json;

use super::super::super::report::Kind;
use super::*;

/// Seeds that are found at any moment.
pub const SEEDS: &[Seed] = &[
    ("an honest webhook that was refused", Kind::WrongAnswers, |world| {
        world.send("msg-0-1-refused", &body("msg-0-1"), BEGAN + 3 * SECOND, false, Some(401));
        "msg-0-1-refused".into()
    }),
    ("an opening that was refused", Kind::WrongAnswers, |world| {
        let opened = Seen::Opened { at: BEGAN, key: key(3), replica: 0, status: 404, id: None, replayed: false };
        world.history.push(opened);
        key(3)
    }),
    ("a reading that was refused", Kind::WrongAnswers, |world| {
        world.history.push(Seen::Unread { at: BEGAN + 40 * SECOND, replica: 0, status: 404 });
        "an honest request was refused".into()
    }),
    ("two profiles", Kind::DoubleEffects, |world| twice(world, |it| matches!(it, Did::Profile { .. }))),
    ("two account requests", Kind::DoubleEffects, |world| twice(world, |it| matches!(it, Did::Request { .. }))),
    ("two cards", Kind::DoubleEffects, |world| twice(world, |it| matches!(it, Did::Card { .. }))),
    ("two openings for one key", Kind::DoubleEffects, |world| {
        world.history.iter_mut().for_each(|line| {
            if let Seen::Opened { key: answered, .. } = line
                && *answered == key(9)
            {
                *answered = "key-10".into();
            }
        });
        world.of("account_openings", 9).next().unwrap()["customer_reference"] = json!(key(10));
        key(10)
    }),
    ("one key answered with two openings", Kind::DoubleEffects, |world| {
        world.find("idempotency_keys", |row| row["key"] == key(7)).next().unwrap()["opening_id"] = json!(opening(8));
        key(7)
    }),
    ("an event stored twice", Kind::DoubleEffects, |world| {
        let mut fact = world.find("inbox", |row| row["event_id"] == "msg-5-0").next().unwrap().clone();
        fact["id"] = json!("00000002-0000-7000-8000-ffffffffffff");
        world.insert("inbox", fact);
        "msg-5-0".into()
    }),
    ("another IBAN than the bank's", Kind::WrongAnswers, |world| anchor(world, 1, "iban", json!("BE00"))),
    ("another BIC than the bank's", Kind::WrongAnswers, |world| anchor(world, 1, "bic", json!("NEXUNLNL"))),
    ("another's IBAN", Kind::WrongAnswers, |world| {
        anchor(world, 1, "iban", json!(iban(2)));
        format!("which is {}'s", opening(2))
    }),
    ("another profile", Kind::WrongAnswers, |world| anchor(world, 2, "profile_id", json!("prf-none"))),
    ("another card", Kind::WrongAnswers, |world| anchor(world, 2, "card_id", json!("crd-none"))),
    ("another's tracking id", Kind::WrongAnswers, |world| anchor(world, 22, "provider_ref", json!("aor-23"))),
    ("another reason", Kind::WrongAnswers, |world| anchor(world, FIRST_REJECTED, "reason", json!("no"))),
    ("a rejection that the bank did not make", Kind::WrongAnswers, |world| {
        let decided = |it: &&mut Did| matches!(it, Did::Decided { status, .. } if status == "REJECTED");
        let Some(Did::Decided { status, .. }) = world.ledger.iter_mut().find(decided) else { panic!("no rejection") };
        *status = "COMPLETED".into();
        opening_of(FIRST_REJECTED)
    }),
    ("an account that the bank did not open", Kind::WrongAnswers, |world| {
        world.ledger.retain(|it| !matches!(it, Did::Decided { reference, .. } if *reference == opening(6)));
        opening_of(6)
    }),
    ("a card for another account", Kind::WrongAnswers, |world| {
        let card = world.ledger.iter_mut().find(|it| matches!(it, Did::Card { .. }));
        let Some(Did::Card { iban, .. }) = card else { panic!("no card") };
        *iban = "BE00".into();
        opening_of(0)
    }),
    ("another customer's opening", Kind::WrongAnswers, |world| {
        let anchor = world.of("account_openings", 3).next().unwrap();
        anchor["customer_reference"] = json!("key-24");
        let other = world.of("account_openings", 24).next().unwrap();
        other["customer_reference"] = json!("key-3");
        key(3)
    }),
    ("a webhook on another opening", Kind::WrongAnswers, |world| {
        world.find("inbox", |row| row["event_id"] == "msg-8-0").next().unwrap()["opening_id"] = json!(opening(9));
        "msg-8-0".into()
    }),
    ("a body applied twice", Kind::DoubleEffects, |world| {
        // Under the id of the repeat that the burst cache answered: each of the two moved the opening once.
        let id = world.fact(0, "webhook", "msg-0-1-again", "applied", at(0, 3));
        let fact = world.fact_of("msg-0-1-again");
        fact["body_sha256"] = json!(body("msg-0-1"));
        fact["body_digest"] = json!(format!("\\x{}", body("msg-0-1")));
        let before = world.fact_of(&format!("command:{}:3", opening(0)));
        (before["status"], before["outcome"]) = (json!("ignored"), json!("superseded"));
        let step = world.of("opening_history", 0).find(|row| row["version"] == 3).unwrap();
        (step["inbox_id"], step["source"]) = (id, json!("webhook"));
        world.rehash();
        "msg-0-1-again".into()
    }),
    ("an opening ended by hand", Kind::WrongAnswers, |world| {
        *world = World::scripted(24, &[STARTED[0], STARTED[1], ("failed", "deadline_passed", "timer")]);
        opening_of(24)
    }),
    ("a request for another profile", Kind::WrongAnswers, |world| {
        let request = world.ledger.iter_mut().find(|it| matches!(it, Did::Request { .. }));
        let Some(Did::Request { profile_id, .. }) = request else { panic!("no request") };
        *profile_id = "prf-none".into();
        opening_of(0)
    }),
];

//! Runs that look odd and are right.

use serde_json::json;

use super::*;

/// A name and how it is made.
type Odd = (&'static str, fn(&mut World));

/// Seeds of which nothing is reported.
pub const SEEDS: &[Odd] = &[
    ("a command given up that a ticket explains", |world| {
        let work = world.work(3, "create_profile");
        unsettled(work, "dead");
        world.ticket(3, STEP_FAILED, "closed");
    }),
    ("a command cancelled before it was sent", |world| unsettled(world.work(3, "submit_request"), "cancelled")),
    ("an older state that was under way for long", |world| {
        read(world, 3, at(3, 5) + 10_000_500, 3, "awaiting_provider");
    }),
    ("an IBAN that the bank prints in groups", |world| {
        for line in &mut world.ledger {
            if let Did::Decided { iban: Some(iban), .. } = line {
                *iban = format!("be{} {}", &iban[2..6], &iban[6..]);
            }
        }
    }),
    ("a case with its event", |world| {
        world.fact_of("msg-9-0")["outcome"] = json!("conflict");
        world.insert("cases", json!({"opening_id": opening(9), "kind": "conflicting_answer"}));
        let told = world.rows.len();
        world.emit(9, 5, "completed", BEGAN);
        world.rows[told].row["type"] = json!("account_opening.contradiction");
        world.tell(told);
    }),
    ("an escalation by a word that nobody knows", |world| {
        let fact = world.fact_of(&format!("poll:{}:4", opening(21)));
        (fact["status"], fact["outcome"]) = (json!("ignored"), json!("unknown"));
    }),
    ("people who were told because the bank failed for a while", |world| {
        decided_before_faults(world, 24, "status", Fault::ProviderGarbage);
    }),
    ("people who were told by a replica whose clock is ahead", |world| {
        decided_before(world, 22);
        let Some(Seen::Plan(plan)) = world.history.first_mut() else { panic!("no plan") };
        plan.clock_offset = 7_500;
    }),
    ("an opening whose answer was lost", |world| {
        for line in &mut world.history {
            if let Seen::Opened { key: answered, status, id, .. } = line
                && *answered == key(7)
            {
                (*status, *id) = (503, None);
            }
        }
    }),
    ("a dead letter that a person had tried again", |world| {
        let redriven = json!([{"class": "unusable"}, {"class": "redrive"}, {"class": "delivered"}]);
        log(world, redriven);
    }),
    ("a subscriber that was taken off the list", |world| {
        let work = world.work(9, "deliver_event");
        work["outcome"] = json!("no_longer_subscribed");
        let event = work["payload"]["event_id"].clone();
        world.history.retain(|line| !matches!(line, Seen::Delivered { webhook_id, .. } if event == **webhook_id));
    }),
    ("an id that is stored by its hash", |world| {
        let sent = world
            .history
            .iter_mut()
            .find(|it| matches!(it, Seen::Message { webhook_id, .. } if webhook_id == "msg-5-0"));
        let Some(Seen::Message { webhook_id: id, .. }) = sent else { panic!("no message") };
        *id = "msg#5".into();
        for line in &mut world.history {
            if let Seen::Send { webhook_id, .. } = line
                && webhook_id == "msg-5-0"
            {
                *webhook_id = "msg#5".into();
            }
        }
        world.fact_of("msg-5-0")["event_id"] = json!(format!("sha256:{}", body("msg#5")));
    }),
    ("an opening that waits with a ticket and a timer", |world| {
        *world = World::scripted(24, &STARTED[..2]);
        world.ticket(24, STEP_FAILED, "open");
    }),
];

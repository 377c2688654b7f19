//! Runs with one violation each, and runs that only look wrong.

use serde_json::{Value, json};

use super::super::report::Kind;
pub use super::opening::{COMPLETED, LATE, REJECTED, SINK, STARTED, at, iban};
pub use super::world::{BEGAN, FIRST_ESCALATED, FIRST_REJECTED, SECOND, World, body, key, opening, time};
pub use crate::record::{Did, Fault, Seen};

mod drained;
mod harmless;
mod parts;
mod sent;
mod steps;
mod work;
mod wrong;

pub use drained::SEEDS as DRAINED;
pub use harmless::SEEDS as HARMLESS;

/// A name, what it violates, and how it is made; what the report must name.
pub type Seed = (&'static str, Kind, fn(&mut World) -> String);

/// Violations that the judge reports at any moment.
pub fn always() -> impl Iterator<Item = &'static Seed> {
    [sent::SEEDS, wrong::SEEDS, steps::SEEDS, parts::SEEDS, work::SEEDS].into_iter().flatten()
}

pub const STEP_FAILED: &str = "AccountOpeningStepFailed";

pub fn opening_of(n: usize) -> String {
    opening(n)
}

/// Writes a column of an anchor.
pub fn anchor(world: &mut World, n: usize, column: &str, value: Value) -> String {
    world.of("account_openings", n).next().unwrap()[column] = value;
    opening(n)
}

/// Makes the first effect of a kind twice.
pub fn twice(world: &mut World, which: fn(&Did) -> bool) -> String {
    let mut effect = world.ledger.iter().find(|it| which(it)).cloned().unwrap();
    if let Did::Profile { profile_id: id, .. } | Did::Request { tracking_id: id, .. } | Did::Card { card_id: id, .. } =
        &mut effect
    {
        id.push_str("-2");
    }
    world.ledger.push(effect);
    opening(0)
}

/// When the opening that was escalated reaches its deadline.
fn deadline() -> i64 {
    at(LATE, 4) - 1_000
}

/// The bank decides the opening that was escalated so many seconds before its deadline.
pub fn decided_before(world: &mut World, seconds: i64) {
    let decided = world.ledger.iter_mut().find_map(|it| match it {
        Did::Decided { at, reference, .. } if *reference == opening(LATE) => Some(at),
        _ => None,
    });
    *decided.unwrap() = deadline() - seconds * SECOND;
}

/// The same, and calls meet a fault during ten of the last fifteen seconds before that deadline. Returns the opening.
pub fn decided_before_faults(world: &mut World, seconds: i64, endpoint: &str, fault: Fault) -> String {
    decided_before(world, seconds);
    let calls = (0..=20).map(|n| Did::Suffered {
        at: deadline() - 15 * SECOND + n * SECOND / 2,
        endpoint: endpoint.to_owned(),
        fault,
    });
    world.ledger.extend(calls);
    opening(LATE)
}

pub fn read(world: &mut World, n: usize, at: i64, version: i64, state: &str) {
    let (id, state) = (opening(n), state.to_owned());
    world.history.push(Seen::Read { at, replica: 2, id, version, state });
}

/// Writes an event of which everybody was told.
pub fn tell(world: &mut World, n: usize, version: usize, state: &str, at: i64) {
    let told = world.rows.len();
    world.emit(n, version, state, at);
    world.tell(told);
}

/// Leaves an event out, with its delivery and all that was told of it.
pub fn forget(world: &mut World, event: &str) {
    assert_eq!(world.remove("events", |row| row["id"] == event), 1);
    assert_eq!(world.remove("outbox", |row| row["payload"]["event_id"] == event), 1);
    world.history.retain(|line| match line {
        Seen::Event { id, .. } => id != event,
        Seen::Delivered { webhook_id, .. } => webhook_id != event,
        _ => true,
    });
}

/// Writes the attempts of a command.
pub fn log(world: &mut World, log: Value) -> String {
    world.work(3, "create_profile")["attempt_log"] = log;
    opening(3)
}

/// Makes a fact a dead letter.
pub fn dead(fact: &mut Value, cause: &str) -> String {
    (fact["status"], fact["outcome"], fact["settled_at"]) = (json!("dead"), json!(cause), Value::Null);
    cause.to_owned()
}

/// A row of the outbox that was not delivered.
pub fn unsettled(work: &mut Value, status: &str) {
    (work["status"], work["delivered_at"], work["attempt_log"]) = (json!(status), Value::Null, json!([]));
}

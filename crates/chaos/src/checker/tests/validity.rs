//! Each cause for which a run proves nothing, seeded alone.

use super::super::Moment;
use super::world::{BEGAN, SECOND, World};
use crate::record::{Did, Fault, Seen};

/// A name, all that is told of it (between bars), and how it is made.
type Cause = (&'static str, &'static str, fn(&mut World));

fn messages(world: &mut World, change: fn(usize, &mut Seen)) {
    let messages = world.history.iter_mut().filter(|line| matches!(line, Seen::Message { .. }));
    messages.enumerate().for_each(|(n, message)| change(n, message));
}

fn plan(world: &mut World, change: impl Fn(&mut crate::record::Plan)) {
    let Some(Seen::Plan(plan)) = world.history.first_mut() else { panic!("no plan") };
    change(plan);
}

const CAUSES: &[Cause] = &[
    ("few openings", "openings: 25 of 50", |world| plan(world, |plan| plan.openings_per_second *= 2.0)),
    ("few messages", "messages: 50 of 100", |world| plan(world, |plan| plan.messages_per_second *= 2.0)),
    ("few reads", "reads: 50 of 100", |world| plan(world, |plan| plan.reads_per_second *= 2.0)),
    ("no duplicates", "duplicated: 0.0 %", |world| {
        messages(world, |_, it| {
            if let Seen::Message { copies, .. } = it {
                *copies = 0;
            }
        });
    }),
    ("too many reordered", "reordered: 100.0 %", |world| {
        messages(world, |_, it| {
            if let Seen::Message { reordered, .. } = it {
                *reordered = true;
            }
        });
    }),
    ("too many dropped", "dropped: 60.0 %", |world| {
        messages(world, |n, it| {
            if let Seen::Message { dropped, .. } = it {
                *dropped |= n % 2 == 1;
            }
        });
    }),
    ("no forgery", "forged: 0.0 %", |world| {
        world.history.retain(|it| !matches!(it, Seen::Send { forged: true, .. } | Seen::Answer { status: 401, .. }));
    }),
    ("nobody hung up", "hung up: 0.0 %", |world| {
        for line in &mut world.history {
            if let Seen::Send { hang_up, .. } | Seen::Open { hang_up, .. } = line {
                *hang_up = false;
            }
        }
    }),
    ("a fault without evidence", "KillService: 1 of 2 strikes show, 2 are the least", |world| {
        plan(world, |plan| _ = plan.faults.insert(Fault::KillService, 2));
    }),
    ("a fault that was never struck", "LockStorm: 0 of 0 strikes show, 1 are the least", |world| {
        plan(world, |plan| _ = plan.faults.insert(Fault::LockStorm, 1));
    }),
    ("a strike that met no call", "ProviderError: no call met it", |world| {
        world.ledger.retain(|it| !matches!(it, Did::Suffered { .. }));
    }),
    ("an id that was never long", "LongId: no call met it", |world| {
        plan(world, |plan| _ = plan.faults.insert(Fault::LongId, 1));
    }),
    ("a signature that was never folded", "FoldedSignature: no call met it", |world| {
        plan(world, |plan| _ = plan.faults.insert(Fault::FoldedSignature, 1));
    }),
    ("a replica that answers few webhooks", "replica 0 answered 2 % of its webhooks, 50 are the least", |world| {
        let mut kept = 0;
        for line in &mut world.history {
            if let Seen::Answer { status, .. } = line
                && *status == 200
            {
                kept += 1;
                if kept > 1 {
                    *status = 503;
                }
            }
        }
    }),
    ("a replica that answers few readings", "replica 1 answered 28 % of its readings, 50 are the least", |world| {
        for _ in 0..64 {
            world.history.push(Seen::Unread { at: BEGAN + 40 * SECOND, replica: 1, status: 503 });
        }
    }),
    ("a load that was cut short", "the load ended", |world| {
        world.history.retain(|it| !matches!(it, Seen::Load { running: false, .. }));
    }),
    ("a load that took longer", "openings: 25 of 50|messages: 50 of 100|reads: 50 of 100", |world| {
        for line in &mut world.history {
            if let Seen::Load { at, running: false } = line {
                *at = BEGAN + 60 * SECOND;
            }
        }
    }),
    (
        "nothing acknowledged",
        "no opening or no webhook was acknowledged|replica 0 answered 0 % of its webhooks",
        |world| {
            for line in &mut world.history {
                if let Seen::Answer { status, .. } = line {
                    *status = 503;
                }
            }
        },
    ),
    ("no plan", "the history has no plan", |world| _ = world.history.remove(0)),
    ("an answer to nothing", "1 answers to requests that were never sent", |world| {
        world.history.push(Seen::Answer { at: BEGAN, number: 99_999, status: 200 });
    }),
    ("a number used twice", "two requests of number", |world| {
        let sent = world.history.iter().find(|it| matches!(it, Seen::Send { .. })).cloned();
        world.history.extend(sent);
    }),
];

#[test]
fn each_cause_makes_a_run_invalid_and_says_why() {
    for (name, why, seed) in CAUSES {
        let mut world = World::clean();
        seed(&mut world);
        let report = world.judged(Moment::Drained);
        let whys: Vec<&str> = why.split('|').collect();
        let told = |invalid: &String| whys.iter().any(|why| invalid.contains(why));
        assert_eq!((report.invalid.len(), report.violations()), (whys.len(), 0), "{name}: {report}");
        assert!(report.invalid.iter().all(told), "{name}: {report}");
        assert!(report.to_string().contains("INVALID"), "{name}");
    }
}

/// A load that has only begun cannot have done what was planned.
#[test]
fn a_run_that_goes_on_is_not_judged_by_its_load_or_its_faults() {
    for (name, _, seed) in &CAUSES[..16] {
        let mut world = World::clean();
        seed(&mut world);
        let report = world.judged(Moment::Running);
        assert_eq!(report.invalid, [""; 0], "{name}");
    }
}

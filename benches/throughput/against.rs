//! `--against` and `--with`: another build of the service, or this one with other settings, beside this one, in turn on one cluster:
//! what a change brought, or what a setting costs.

use crate::cell::Cell;
use crate::flood;
use crate::openings::Openings;
use crate::options::Options;
use crate::phase::Phase;
use crate::report::Results;
use crate::rounds::{STEADY, at_once};
use crate::service::{Build, this_build};
use crate::setting::Setting;
use crate::world::World;

const PHASES: [Phase; 4] = [Phase::Ours(64), Phase::Ours(256), Phase::Steady, Phase::Openings];

impl Options {
    /// The build that runs beside this one as it is, and its name in the table. None: no build does.
    pub fn other(&self) -> Option<(String, Build<'_>)> {
        let names: Vec<&str> = self.with.iter().map(|(name, _)| name.as_str()).collect();
        let program = self.against.as_deref();
        let name = match (program, names.as_slice()) {
            (None, []) => return None,
            (Some(_), []) => "the other".to_owned(),
            (None, names) => format!("with {}", names.join(", ")),
            (Some(_), names) => format!("the other with {}", names.join(", ")),
        };
        Some((name, Build { program: program.unwrap_or(this_build().program), settings: &self.with }))
    }
}

/// Runs it and prints it; whether all was as it must be.
///
/// # Errors
/// When a phase is asked for in which neither build has a part.
pub async fn run(world: &World, options: &Options, other: (String, Build<'_>)) -> Result<bool, String> {
    let phases = if options.only.is_empty() { PHASES.to_vec() } else { options.only.clone() };
    let of_postgres = |it: &&Phase| matches!(it, Phase::Limit(_) | Phase::Batched(_) | Phase::LimitSteady);
    if let Some(limit) = phases.iter().find(of_postgres) {
        return Err(format!("--only: {limit} is Postgres alone: neither build has a part in it"));
    }
    let mut results = Results::default();
    let mut builds = Vec::new();
    for (database, (name, build)) in [("other", other), ("this", ("this".to_owned(), this_build()))] {
        // Each has databases of its own, with its own schema: none works behind the other.
        let mut setting = Setting::of(world, Cell::of(world, database, build).await, build, 1).await;
        setting.warm_up(&mut results).await;
        let openings = Openings::start(world, build, &format!("openings_of_{database}")).await;
        builds.push((name, setting, openings));
    }
    for round in 1..=options.rounds {
        for phase in &phases {
            for (name, setting, openings) in &mut builds {
                let count = phase.openings(options.count);
                let outcome = match *phase {
                    Phase::Limit(_) | Phase::Batched(_) | Phase::LimitSteady => unreachable!("refused above"),
                    Phase::Ours(connections) => setting.ours(&at_once(connections), count).await,
                    Phase::Steady => setting.ours(&STEADY, count).await,
                    Phase::Flood => flood::run(setting, count).await,
                    Phase::Openings => openings.run(count).await,
                };
                results.add(round, &format!("{phase}, {name}"), outcome);
            }
        }
    }
    println!("{}", results.table());
    for (_, setting, openings) in builds {
        setting.stop().await;
        openings.stop().await;
    }
    Ok(results.all_right())
}

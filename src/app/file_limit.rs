//! The limit of open files, and how many connections it allows.
//!
//! Each connection is an open file. Without a bound, clients could use all files: the internal listener could not
//! accept an orchestrator's probe, and the pool could not reach the database. So the soft limit is raised to the hard
//! limit, and the files beyond the database's are split among both listeners and outgoing calls.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::http::listener::CONNECTIONS;
use crate::settings::SettingError;

/// Files that the process always uses: standard streams, the runtime, both listeners, the pipes of a private cluster,
/// and one waiting connection per listener.
const OWN: u64 = 48;
/// The minimum number of connections per listener.
const FEWEST: u64 = 8;
/// The assumed limit if the system reports none.
const USUAL: u64 = 1_024;

/// The maximum connections of each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    pub public: usize,
    pub internal: usize,
}

/// Raises the soft limit and divides it. `pool` is the number of database connections.
///
/// # Errors
/// If the limit is too low to serve.
pub(super) fn share(pool: u32) -> Result<Connections, SettingError> {
    let limit = raise();
    let connections = connections(limit, pool).ok_or_else(|| too_low(limit, pool))?;
    let Connections { public, internal } = connections;
    if internal < CONNECTIONS {
        let enough = enough(pool);
        tracing::warn!(
            files.limit = limit,
            files.enough = enough,
            connections.public = public,
            connections.internal = internal,
            "the file limit reduces the listeners' connections; raise it with `ulimit -n`"
        );
    } else {
        tracing::info!(
            files.limit = limit,
            connections.public = public,
            connections.internal = internal,
            "the file limit allows all connections"
        );
    }
    Ok(connections)
}

/// Raises the soft limit to the hard limit, if the system allows it, and returns it.
fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return USUAL };
    if soft >= hard {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, soft, hard, "cannot raise the soft file limit; continuing with it");
            soft
        }
    }
}

/// Divides the remaining files: half for the public listener, a quarter for the internal one, a quarter for outgoing
/// calls. None: too few.
fn connections(limit: u64, pool: u32) -> Option<Connections> {
    let quarter = limit.checked_sub(OWN + u64::from(pool))? / 4;
    let most = |files: u64| usize::try_from(files).unwrap_or(usize::MAX).min(CONNECTIONS);
    (quarter >= FEWEST).then(|| Connections { public: most(quarter * 2), internal: most(quarter) })
}

/// The smallest limit at which both listeners get their maximum connections.
fn enough(pool: u32) -> u64 {
    OWN + u64::from(pool) + 4 * CONNECTIONS as u64
}

fn too_low(limit: u64, pool: u32) -> SettingError {
    let least = OWN + u64::from(pool) + 4 * FEWEST;
    let problem = format!("{pool} connections are too many for a limit of {limit} open files");
    SettingError {
        name: "DATABASE_POOL",
        problem,
        expected: format!("`ulimit -n {least}` or more, or fewer connections"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G8
    #[test]
    fn process_database_and_calls_keep_their_part_of_any_limit() {
        for pool in [2, 20, 1_000] {
            let least = OWN + u64::from(pool) + 4 * FEWEST;
            assert_eq!(connections(least - 1, pool), None);
            for limit in [least, least + 1, 2_048, 5_000, 1 << 20, u64::MAX].into_iter().filter(|it| *it >= least) {
                let Connections { public, internal } = connections(limit, pool).unwrap();
                assert!(public.min(internal) >= 8 && public.max(internal) <= CONNECTIONS, "{limit} {pool}");
                let taken = (public + internal) as u64 + OWN + u64::from(pool);
                assert!(limit - taken >= (public / 2) as u64, "{limit} {pool}: calls out");
            }
            let all = Connections { public: CONNECTIONS, internal: CONNECTIONS };
            assert_eq!(connections(enough(pool), pool), Some(all));
            assert!(connections(enough(pool) - 1, pool).unwrap().internal < CONNECTIONS);
        }
    }
}

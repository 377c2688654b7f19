//! The limit of open files, and how many connections it allows.
//!
//! A connection is an open file. Without a bound below the limit, clients could take all files there are: the internal listener
//! could not accept an orchestrator's connection, and the pool could not reach its database. So the soft limit is raised to the hard
//! one, and each listener gets a part of what the database leaves; a part is left for calls out.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::SettingError;
use crate::http::listener::CONNECTIONS;

/// Files that the process always holds: standard streams, the runtime's, both listeners, the pipes of a private cluster, and on
/// each listener the connection that waits for a place.
const OWN: u64 = 48;
/// The fewest connections with which a listener serves.
const FEWEST: u64 = 8;
/// The limit that is assumed where the system tells none.
const USUAL: u64 = 1_024;

/// The most connections of each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    pub public: usize,
    pub internal: usize,
}

/// Raises the soft limit and shares it out, beside a pool of `pool` connections to the database.
///
/// # Errors
/// When it is too low to serve.
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
            "the file limit bounds the listeners' connections; `ulimit -n` raises it"
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

/// The soft limit, raised to the hard one where the system lets us.
fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return USUAL };
    if soft >= hard {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, soft, hard, "the soft file limit cannot be raised");
            soft
        }
    }
}

/// Of the files that process and database leave, half is for the public listener, a quarter for the internal one, and a quarter
/// for calls out. None: too few.
fn connections(limit: u64, pool: u32) -> Option<Connections> {
    let quarter = limit.checked_sub(OWN + u64::from(pool))? / 4;
    let most = |files: u64| usize::try_from(files).unwrap_or(usize::MAX).min(CONNECTIONS);
    (quarter >= FEWEST).then(|| Connections { public: most(quarter * 2), internal: most(quarter) })
}

/// The least limit at which both listeners have all connections that they ever take.
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
    fn whatever_the_limit_process_database_and_calls_keep_their_part_of_it() {
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

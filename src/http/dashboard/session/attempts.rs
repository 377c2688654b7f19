//! Wrong tokens per peer: after five in a minute, none is tried from there until the minute is over. Each replica counts for itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::clock::Time;

/// Wrong tokens that a peer may try in a [`MINUTE`].
const MAX_WRONG: u32 = 5;
const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// Peers remembered; beyond it the oldest are forgotten, so that memory stays bounded.
const MAX_PEERS: usize = 10_000;

#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<IpAddr, Minute>>);

#[derive(Clone, Copy, Debug)]
struct Minute {
    began: Time,
    wrong: u32,
}

impl Attempts {
    /// How long no token of this peer is tried.
    pub fn blocked_for(&self, peer: IpAddr, now: Time) -> Option<TimeDelta> {
        let known = self.known();
        let minute = known.get(&peer).filter(|it| it.wrong > MAX_WRONG)?;
        Some(minute.began + MINUTE - now).filter(|left| *left > TimeDelta::zero())
    }

    /// Counts a wrong token.
    pub fn wrong(&self, peer: IpAddr, now: Time) {
        let mut known = self.known();
        if known.len() >= MAX_PEERS && !known.contains_key(&peer) {
            known.retain(|_, minute| now - minute.began < MINUTE);
            let oldest = known.iter().min_by_key(|(_, minute)| minute.began).map(|(peer, _)| *peer);
            if known.len() >= MAX_PEERS
                && let Some(oldest) = oldest
            {
                known.remove(&oldest);
            }
        }
        let minute = known.entry(peer).or_insert(Minute { began: now, wrong: 0 });
        if now - minute.began >= MINUTE {
            *minute = Minute { began: now, wrong: 0 };
        }
        minute.wrong += 1;
    }

    fn known(&self) -> MutexGuard<'_, HashMap<IpAddr, Minute>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn more_than_five_wrong_ones_block_the_peer_until_its_minute_is_over_and_no_other() {
        let (attempts, began) = (Attempts::default(), Time::UNIX_EPOCH);
        for n in 1..=6 {
            assert_eq!(attempts.blocked_for(PEER, began), None, "{n}");
            attempts.wrong(PEER, began);
        }
        let later = began + TimeDelta::seconds(59);
        assert_eq!(attempts.blocked_for(PEER, later), Some(TimeDelta::seconds(1)));
        assert_eq!(attempts.blocked_for(Ipv4Addr::new(10, 0, 0, 1).into(), later), None);
        let over = began + MINUTE;
        assert_eq!(attempts.blocked_for(PEER, over), None);
        attempts.wrong(PEER, over);
        assert_eq!(attempts.blocked_for(PEER, over), None, "a new minute begins");
    }

    #[test]
    fn peers_without_end_take_bounded_memory() {
        let attempts = Attempts::default();
        for n in 0..20_000_u32 {
            attempts.wrong(Ipv4Addr::from(n).into(), Time::UNIX_EPOCH);
        }
        assert_eq!(attempts.known().len(), MAX_PEERS);
    }
}

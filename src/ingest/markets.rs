//! Which market an opening is of, by its tracking id, as far as this process has lately decided about it: a webhook's lane is
//! then known without asking the database, which is asked otherwise.
//!
//! An opening's market never changes, so nothing that is known grows old. The memory is a table of fixed size, in which one
//! opening takes another's place. What is looked up in it is not worth a lock: a slot is one word.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::Opening;

/// A power of two: a MiB of words, for the openings of some minutes at a thousand a second.
const SLOTS: usize = 1 << 17;
/// The lowest bits of a word are the two letters of the market; above them stand those of the hash.
const LETTERS: u64 = 0xffff;

/// The table.
#[derive(Clone)]
pub(super) struct Markets(Arc<[AtomicU64]>);

impl Default for Markets {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Markets {
    pub fn learn(&self, opening: &Opening) {
        if let Some(reference) = opening.state.reference() {
            self.store(&opening.request.provider, reference.as_str(), &opening.request.market);
        }
    }

    fn store(&self, provider: &str, reference: &str, market: &str) {
        // A market of another form is asked for each time.
        if let [first, second] = market.as_bytes()
            && market.is_ascii()
        {
            let (slot, tag) = self.slot(provider, reference);
            slot.store(tag | u64::from(u16::from_be_bytes([*first, *second])), Ordering::Relaxed);
        }
    }

    pub fn of(&self, provider: &str, reference: &str) -> Option<String> {
        let (slot, tag) = self.slot(provider, reference);
        let word = slot.load(Ordering::Relaxed);
        let letters = u16::try_from(word & LETTERS).ok().filter(|it| *it > 0 && word & !LETTERS == tag)?;
        String::from_utf8(letters.to_be_bytes().to_vec()).ok()
    }

    fn slot(&self, provider: &str, reference: &str) -> (&AtomicU64, u64) {
        let mut hasher = DefaultHasher::new();
        (provider, reference).hash(&mut hasher);
        let hash = hasher.finish();
        let index = usize::try_from(hash).unwrap_or_default() & (SLOTS - 1);
        (&self.0[index], hash & !LETTERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_is_known_and_nothing_else() {
        let markets = Markets::default();
        for (n, market) in ["BE", "NL", "ZZ"].into_iter().enumerate() {
            markets.store("bank", &format!("aor_{n}"), market);
        }
        assert_eq!(markets.of("bank", "aor_1").as_deref(), Some("NL"));
        assert_eq!(markets.of("bank", "aor_2").as_deref(), Some("ZZ"));
        assert_eq!(markets.of("another", "aor_1"), None);
        assert_eq!(markets.of("bank", "aor_3"), None);
        for strange in ["", "B", "BEL", "\u{e9}"] {
            markets.store("bank", "aor_9", strange);
            assert_eq!(markets.of("bank", "aor_9"), None, "{strange:?}");
        }
    }

    #[test]
    fn a_full_table_forgets_and_never_mistakes() {
        let markets = Markets::default();
        for n in 0..SLOTS * 4 {
            markets.store("bank", &n.to_string(), if n % 2 == 0 { "BE" } else { "NL" });
        }
        let known: Vec<usize> = (0..SLOTS * 4).filter(|n| markets.of("bank", &n.to_string()).is_some()).collect();
        assert!(known.len() <= SLOTS && known.len() > SLOTS / 2, "{}", known.len());
        for n in known {
            assert_eq!(markets.of("bank", &n.to_string()).unwrap(), if n % 2 == 0 { "BE" } else { "NL" });
        }
    }
}

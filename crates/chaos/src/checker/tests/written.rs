//! The run as its three files, and what the checker says of them.

use super::super::{Inputs, Moment, Report, check};
use super::world::{KEY, World};

/// The files as bytes, for tests that break them.
pub struct Files {
    pub history: Vec<u8>,
    pub ledger: Vec<u8>,
    pub dump: Vec<u8>,
}

impl World {
    pub fn files(&self) -> Files {
        Files { history: lines(&self.history), ledger: lines(&self.ledger), dump: lines(&self.rows) }
    }

    pub fn judged(&self, moment: Moment) -> Report {
        self.files().judged(moment)
    }
}

impl Files {
    pub fn judged(&self, moment: Moment) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let history = write("history.jsonl", &self.history);
        let (ledger, dump) = (write("ledger.jsonl", &self.ledger), write("dump.jsonl", &self.dump));
        check(&Inputs { history: &history, ledger: &ledger, dump: &dump, history_key: KEY, moment }).unwrap()
    }
}

fn lines<T: serde::Serialize>(values: &[T]) -> Vec<u8> {
    values.iter().flat_map(|value| [serde_json::to_vec(value).unwrap(), b"\n".to_vec()].concat()).collect()
}

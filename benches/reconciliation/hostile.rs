//! Files that are made to hurt, posted one after the other. (`tests/it/reconciliation/hostile.rs` says what the service answers.)

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::reports::Reports;

const HEAD: &str = "HEADER,register,nexusbank,1,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,2026-01-02T03:00:00Z\n\
                    account_opening_request_id,reference,status,iban,bic,rejection_reason,market,currency,created_at,decided_at\n";
const XML: &str = "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\">";

/// The files by kind; each is taken as often as it is sent, since a number in it makes it another.
pub struct Hostile {
    bomb: Vec<u8>,
}

impl Hostile {
    pub fn make() -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..1_024).for_each(|_| encoder.write_all(&zeros).expect("memory"));
        Self { bomb: encoder.finish().expect("memory") }
    }

    /// The files of one turn: kind, body, encoding.
    fn files(&self, turn: u64) -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
        let register = |rest: String| ("register", format!("{HEAD}aor_{turn},,\n{rest}").into_bytes(), None);
        let columns = "a,".repeat(100_000);
        let entities = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;&b;\">]><Document>&c;</Document>";
        vec![
            ("register", self.bomb.clone(), Some("gzip")),
            register("\"\n".repeat(1_000_000)),
            register("\"\"\"".repeat(1_000_000)),
            register(columns),
            register("x".repeat(64 << 20)),
            ("bank", format!("{XML}<!-- {turn} -->{}", "<a>".repeat(1_000_000)).into_bytes(), None),
            ("bank", entities.to_owned().into_bytes(), None),
        ]
    }

    /// Sends all files of a turn, each once the one before has ended. What was not refused.
    pub async fn send(&self, reports: &Reports, turn: u64) -> Vec<String> {
        let mut taken = Vec::new();
        for (n, (kind, body, encoding)) in self.files(turn).into_iter().enumerate() {
            let (status, answer) = reports.send(kind, body, encoding).await;
            if status != 202 {
                let wrong = !matches!(status, 413 | 422);
                taken.extend(wrong.then(|| format!("file {n}: {status} {answer}")));
                continue;
            }
            let ended = reports.until_finished(answer["id"].as_str().expect("an id")).await.report;
            let is_refused = ended["state"] == "failed" || ended["complete"] == false;
            taken.extend((!is_refused).then(|| format!("file {n}: {ended}")));
        }
        taken
    }
}

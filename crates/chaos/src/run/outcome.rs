//! The outcome of a run.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::asked::Asked;
use crate::checker::Report;
use crate::program::Program;
use crate::record::Fault;

#[derive(Serialize)]
pub struct Outcome {
    pub passed: bool,
    pub service: Program,
    pub seed: u64,
    pub seconds: u64,
    pub control: Option<String>,
    pub service_kills: u64,
    pub postgres_kills: u64,
    /// From the end of the faults until nothing was left to do.
    pub drained_in_seconds: Option<f64>,
    /// Problems outside the files: a service that exited by itself, a backlog that stayed.
    pub also_wrong: Vec<String>,
    pub report: Report,
    /// The report of the second part, the restore.
    pub restored: Option<Report>,
    /// For a control: how often its missing defence mattered, as far as visible from outside.
    pub met: Option<u64>,
    pub files: PathBuf,
}

impl Outcome {
    pub(super) fn new(asked: &Asked, report: Report) -> Self {
        let struck = |fault| report.faults.get(&fault).map_or(0, |it| it.with_evidence);
        Self {
            passed: false,
            service: asked.service.clone(),
            seed: asked.seed,
            seconds: asked.seconds,
            control: asked.control.clone(),
            service_kills: struck(Fault::KillService),
            postgres_kills: struck(Fault::KillPostgres),
            drained_in_seconds: None,
            also_wrong: Vec::new(),
            report,
            restored: None,
            met: None,
            files: asked.folder.clone(),
        }
    }

    fn reports(&self) -> impl Iterator<Item = &Report> {
        std::iter::once(&self.report).chain(&self.restored)
    }

    pub fn violations(&self) -> u64 {
        self.reports().map(Report::violations).sum::<u64>() + self.also_wrong.len() as u64
    }

    /// 0 passed, 1 violated, 3 invalid.
    pub fn exit_code(&self) -> u8 {
        exit_code(self.also_wrong.len() as u64, self.reports())
    }
}

pub fn exit_code<'a>(also_wrong: u64, reports: impl IntoIterator<Item = &'a Report>) -> u8 {
    let (mut violations, mut valid) = (also_wrong, true);
    for report in reports {
        violations += report.violations();
        valid &= report.invalid.is_empty();
    }
    match (violations, valid) {
        (0, true) => 0,
        (0, false) => 3,
        _ => 1,
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for report in self.reports() {
            writeln!(f, "{report}")?;
        }
        let drained = self.drained_in_seconds.map_or("never".to_owned(), |it| format!("in {it:.1} s"));
        writeln!(
            f,
            "kills: {} of services, {} of Postgres; drained {drained}",
            self.service_kills, self.postgres_kills
        )?;
        for wrong in &self.also_wrong {
            writeln!(f, "VIOLATION: {wrong}")?;
        }
        let verdict = match self.exit_code() {
            0 => "PASSED",
            3 => "INVALID",
            _ => "VIOLATED",
        };
        write!(
            f,
            "service: {}\nseed {}, {} s: {verdict} ({} violations); files in {}",
            self.service,
            self.seed,
            self.seconds,
            self.violations(),
            self.files.display()
        )
    }
}

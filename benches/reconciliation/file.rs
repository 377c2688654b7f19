//! A report file that the bench has made, and what reading it must come to.

use serde_json::Value;

/// A file, and the counts that its making implies.
pub struct File {
    pub kind: &'static str,
    pub text: String,
    pub rows: u64,
    /// How many rows have one of these classes.
    pub classes: Vec<(&'static [&'static str], u64)>,
}

impl File {
    /// Where its report is not as its making implies.
    pub fn wrong(&self, report: &Value) -> Vec<String> {
        let count = |class: &&str| report["counts"][class].as_u64().unwrap_or_default();
        let mut found = vec![("rows".to_owned(), report["rows"].as_u64().unwrap_or_default(), self.rows)];
        for (classes, expected) in &self.classes {
            found.push((classes.join(" and "), classes.iter().map(count).sum(), *expected));
        }
        let wrong = found.into_iter().filter(|it| it.1 != it.2);
        let mut wrong: Vec<String> = wrong.map(|it| format!("{}: {}, {} are right", it.0, it.1, it.2)).collect();
        if report["state"] != "finished" || report["complete"] != true {
            wrong.push(report.to_string());
        }
        wrong
    }
}

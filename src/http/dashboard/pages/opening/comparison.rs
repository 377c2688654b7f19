//! Ours beside theirs, as the table of the page shows it.

use crate::domain::compare::{Agreement, Class, Comparison, Side, Subject};
use crate::http::dashboard::parts::{Privacy, masked_iban, words};

pub struct Table {
    pub agreement: &'static str,
    /// The agreement in words.
    pub title: &'static str,
    /// Empty: none.
    pub class: &'static str,
    pub class_words: String,
    pub advice: &'static str,
    pub sides: Vec<&'static str>,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub field: &'static str,
    pub label: &'static str,
    pub differs: bool,
    pub cells: Vec<Cell>,
}

pub struct Cell {
    pub side: &'static str,
    pub value: Option<String>,
    pub contradicts: bool,
}

impl Table {
    #[must_use]
    pub fn new(comparison: &Comparison, privacy: &Privacy) -> Self {
        let row = |row: &crate::domain::compare::Row| Row {
            field: row.subject.as_str(),
            label: label(row.subject),
            differs: row.differs(),
            cells: row.cells.iter().map(|it| cell(row.subject, it, privacy)).collect(),
        };
        Self {
            agreement: comparison.agreement.as_str(),
            title: title(comparison.agreement),
            class: comparison.class.map_or("", Class::as_str),
            class_words: comparison.class.map(|it| words(it.as_str())).unwrap_or_default(),
            advice: comparison.class.map_or("The bank's final answer is ours.", Class::advice),
            sides: Side::ALL.iter().map(|it| heading(*it)).collect(),
            rows: comparison.rows.iter().map(row).collect(),
        }
    }
}

fn cell(subject: Subject, cell: &crate::domain::compare::Cell, privacy: &Privacy) -> Cell {
    let shown = |value: &String| match subject {
        Subject::Iban => masked_iban(value),
        Subject::Status if cell.side == Side::Ours => words(value),
        Subject::Reason => privacy.free_text(value),
        _ => privacy.text(value),
    };
    Cell { side: cell.side.as_str(), value: cell.value.as_ref().map(shown), contradicts: cell.contradicts }
}

const fn title(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Agree => "agree",
        Agreement::Differ => "differ",
        Agreement::Unknown => "nobody knows yet",
    }
}

const fn heading(side: Side) -> &'static str {
    match side {
        Side::Ours => "Ours",
        Side::Theirs => "Provider's last word",
        Side::Webhook => "Last webhook",
        Side::Poll => "Last poll",
        Side::List => "List",
        Side::Report => "Report row",
    }
}

const fn label(subject: Subject) -> &'static str {
    match subject {
        Subject::Status => "Status",
        Subject::ProviderReference => "Tracking id",
        Subject::Reference => "Reference",
        Subject::Iban => "IBAN",
        Subject::Bic => "BIC",
        Subject::Reason => "Reason",
    }
}

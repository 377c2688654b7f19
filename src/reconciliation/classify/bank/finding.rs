//! The findings about payments, in words for the person that decides.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Due, Entry, Settlement};
use crate::clock::Time;
use crate::reconciliation::classify::{Act, Class, Difference, Finding, Suggestion};

fn of_entry(class: Class, act: Act, entry: &Entry, dues: &[Due], differences: Vec<Difference>) -> Finding {
    let Entry { amount, currency, booked_on, is_reversal, names, statement_id, account, servicer_reference, .. } =
        entry;
    let theirs = json!({
        "settlement_ids": names, "amount": amount.to_string(), "currency": currency, "booked_on": booked_on,
        "is_reversal": is_reversal, "statement_id": statement_id, "account": account,
        "servicer_reference": servicer_reference,
    });
    Finding {
        class,
        subject: entry.key.clone(),
        aspect: "entry",
        act,
        ours: side(dues),
        theirs,
        differences,
        suggested: Suggestion { class, because: Vec::new(), action: String::new() },
    }
}

fn side(dues: &[Due]) -> Value {
    let due = |it: &Due| json!({"amount": it.amount.to_string(), "currency": it.currency, "booked_at": it.said_at});
    json!({"settlement": dues.iter().map(due).collect::<Vec<_>>()})
}

fn because(mut finding: Finding, why: &str, action: &str) -> Finding {
    finding.suggested.because = vec![why.to_owned()];
    finding.suggested.action = action.to_owned();
    finding
}

fn amounts(ours: Decimal, theirs: Decimal) -> Difference {
    let delta = Some((theirs - ours).to_string());
    Difference { delta, ..Difference::new("amount", Some(&ours.to_string()), Some(&theirs.to_string())) }
}

pub(super) fn several(entry: &Entry) -> Finding {
    let names = entry.names.join(" ");
    let differences = vec![Difference::new("settlement_id", None, Some(&names))];
    because(
        of_entry(Class::BankMismatch, Act::Case, entry, &[], differences),
        "the entry names more than one settlement",
        "ask the provider how the amount is divided",
    )
}

/// The charges with the settlement have not come yet.
pub(super) fn early(entry: &Entry, until: Time) -> Finding {
    because(
        of_entry(Class::TimingMismatch, Act::Wait { until }, entry, &[], Vec::new()),
        "no charges file has the settlement yet",
        "nothing: the charges should come",
    )
}

pub(super) fn unknown(entry: &Entry) -> Finding {
    let differences = vec![Difference::new("settlement_id", None, entry.names.first().map(String::as_str))];
    because(
        of_entry(Class::BankMismatch, Act::Case, entry, &[], differences),
        "no charges file has the settlement that the entry names",
        "send the charges file that is missing, or ask the provider what was paid",
    )
}

pub(super) fn currency(entry: &Entry, dues: &[Due]) -> Finding {
    let ours: Vec<&str> = dues.iter().map(|it| it.currency.as_str()).collect();
    let differences = vec![Difference::new("currency", Some(&ours.join(" ")), Some(&entry.currency))];
    because(
        of_entry(Class::BankMismatch, Act::Case, entry, dues, differences),
        "the settlement is in another currency",
        "ask the provider which currency it settles in",
    )
}

pub(super) fn second(entry: &Entry, due: &Due) -> Finding {
    let differences = vec![amounts(Decimal::ZERO, entry.amount)];
    because(
        of_entry(Class::BankMismatch, Act::Case, entry, std::slice::from_ref(due), differences),
        "another entry has paid the settlement",
        "ask the provider to give the second payment back",
    )
}

pub(super) fn given_back(entry: &Entry, due: &Due) -> Finding {
    let differences = vec![amounts(due.amount, entry.amount)];
    because(
        of_entry(Class::BankMismatch, Act::Case, entry, std::slice::from_ref(due), differences),
        "the entry gives the settlement's payment back",
        "ask the bank why; the settlement may have to be paid again",
    )
}

pub(super) fn amount(entry: &Entry, due: &Due) -> Finding {
    let differences = vec![amounts(due.amount, entry.amount)];
    because(
        of_entry(Class::BankMismatch, Act::Case, entry, std::slice::from_ref(due), differences),
        "the entry's amount is not the settlement's",
        "ask the provider which of the two amounts is right",
    )
}

pub(super) fn unpaid(settlement: &Settlement, dues: &[&Due]) -> Finding {
    let class = Class::BankMismatch;
    let owned: Vec<Due> = dues.iter().map(|it| (*it).clone()).collect();
    let difference = |it: &Due| Difference::new("amount", Some(&format!("{} {}", it.amount, it.currency)), None);
    let finding = Finding {
        class,
        subject: settlement.id.clone(),
        aspect: "payment",
        act: Act::Case,
        ours: side(&owned),
        theirs: json!({}),
        differences: owned.iter().map(difference).collect(),
        suggested: Suggestion { class, because: Vec::new(), action: String::new() },
    };
    because(finding, "no bank entry names the settlement", "pay it, or send the bank statement that shows its payment")
}

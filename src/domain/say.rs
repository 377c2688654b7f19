//! Where an opening is, in one true sentence: for the customer on the phone, and for a colleague.

use super::next::{Coming, Still};
use super::opening::{Opening, State};

/// A sentence that may be read to the customer. It names no system, and promises nothing.
#[must_use]
pub const fn to_customer(opening: &Opening) -> &'static str {
    match opening.state {
        State::CreatingProfile | State::RequestingAccount { .. } => {
            "We have your request and are passing it on to the bank; you need not send it again."
        }
        State::AwaitingProvider(_) => "The bank has your request and has not decided yet; we ask it regularly.",
        State::Escalated(_) => "The bank has taken longer than it should; a colleague is looking into it.",
        State::IssuingCard(_) => "Your account is open; your card is being issued.",
        State::Completed(..) => "Your account is open and your card has been issued.",
        State::Rejected(_) => "The bank has decided not to open this account.",
        State::Failed(_) => "This request was ended without an account.",
        State::Erased(_) => "This request has ended, and its personal data was erased.",
    }
}

/// The party that must act next, for a colleague.
#[must_use]
pub fn to_colleague(opening: &Opening, coming: &[Coming]) -> String {
    let provider = &opening.request.provider;
    if coming.iter().any(|it| matches!(it, Coming::Nothing(Still::GivenUp))) {
        return "It is our turn: a call was given up, and its dead letter waits for an operator.".to_owned();
    }
    let is_held = coming.iter().any(|it| matches!(it, Coming::Call(call) if call.is_held));
    let are_polls_held = coming.iter().any(|it| matches!(it, Coming::Poll { is_held: true, .. }));
    match &opening.state {
        _ if is_held => "It waits for another system that does not answer: its breaker is open.".to_owned(),
        State::CreatingProfile => "It is the profile service's turn.".to_owned(),
        State::RequestingAccount { unknown_since: Some(_), .. } => {
            format!(
                "We asked {provider} and got no answer: an account may be under way, so the same request is repeated."
            )
        }
        State::RequestingAccount { .. } => format!("We are asking {provider} to open the account."),
        State::AwaitingProvider(_) if are_polls_held => {
            format!("It is {provider}'s turn, and inside its time; it cannot be asked now: its breaker is open.")
        }
        State::AwaitingProvider(_) => format!("It is {provider}'s turn, and inside its time."),
        State::Escalated(_) => {
            format!("{provider} did not answer in time: a ticket is open, and a late answer still counts.")
        }
        State::IssuingCard(_) => "It is the card issuer's turn; the account is open.".to_owned(),
        State::Completed(..) => "It has ended: account and card exist.".to_owned(),
        State::Rejected(_) => format!("It has ended: {provider} refused, or an operator learnt that it did."),
        State::Failed(_) => "It has ended: an operator ended it without an account.".to_owned(),
        State::Erased(remains) => format!("It ended as {}; its personal data was erased.", remains.state),
    }
}

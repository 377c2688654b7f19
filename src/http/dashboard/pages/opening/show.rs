//! The page itself.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use uuid::Uuid;

use super::SECTION;
use super::comparison::Table;
use super::read::{Place, Seen};
use super::timeline::{Group, Shown, groups};
use crate::db::overview::DeadLetter;
use crate::domain::compare::compare;
use crate::domain::next::{Coming, Still, next};
use crate::domain::{OpeningId, Resolution, State as OpeningState, Topic, say};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Mark, Moment, Privacy, masked_email, masked_iban, masked_name, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cursor::Key;
use crate::http::internal::page::Params;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "opening/opening.html")]
struct OpeningPage {
    layout: Layout,
    path: String,
    head: Head,
    to_customer: &'static str,
    to_colleague: String,
    coming: Vec<Event>,
    comparison: Table,
    groups: Vec<Group>,
    /// The address of older rows. None: these are the oldest.
    older: Option<String>,
    acts: Vec<Offer>,
    /// How many steps of the history verify, and how many there are.
    verified: (usize, usize),
    version: i64,
    /// The token of the page's form.
    form: Uuid,
    /// The page's messages after an act that led to it.
    said_done: [(&'static str, &'static str); 6],
}

/// The messages after an act: the address of the page then names the act.
const SAID_DONE: [(&str, &str); 6] = [
    ("poll", "Done: the bank is asked now. Its answer appears in the timeline."),
    ("resolve", "Done: the decision was stored and is decided next, unless the bank's answer came first."),
    ("erase", "Done: its personal data is erased."),
    ("redrive_dead_letter", "Done: it is pending again; a worker tries it next."),
    ("discard_dead_letter", "Done: it is not tried again."),
    ("resolve_case", "Done: the case is resolved."),
];

/// The opening's own words, with what is personal masked.
struct Head {
    state: Mark,
    pairs: Vec<(&'static str, String)>,
    created: Moment,
    updated: Moment,
}

/// A coming event.
struct Event {
    kind: &'static str,
    text: String,
    at: Option<Moment>,
    after: &'static str,
}

/// An act that the page offers.
struct Offer {
    act: &'static str,
    label: String,
    href: String,
    /// A form with one button; else a link to the act's page.
    one_click: bool,
    /// Why it cannot be done now.
    refused: Option<String>,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let page = params.page::<Place>()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let seen = Seen::read(&dashboard, OpeningId(id), page).await?;
    html(&OpeningPage::new(&dashboard, &visit, &seen, limit))
}

/// The address of an act with one click shows the opening, when it is asked for without its form.
pub async fn back(State(dashboard): State<Arc<Dashboard>>, Id(id): Id) -> Response {
    Redirect::to(&dashboard.site.url(&format!("/openings/{id}"))).into_response()
}

impl OpeningPage {
    fn new(dashboard: &Dashboard, visit: &Visit, seen: &Seen, limit: usize) -> Self {
        let layout = dashboard.layout(Some(visit)).at(SECTION);
        let privacy = Privacy::new(layout.is_operator(), seen.overview.customer.as_ref().map(|it| it.name.as_str()));
        let coming = next(&seen.opening, &seen.work(dashboard));
        let path = layout.url(&format!("/openings/{}", seen.opening.id));
        let shown = &seen.items[..seen.items.len().min(limit)];
        let last = shown.last().filter(|_| seen.items.len() > limit);
        Self {
            head: Head::new(&layout, seen, &privacy),
            to_customer: say::to_customer(&seen.opening),
            to_colleague: say::to_colleague(&seen.opening, &coming),
            coming: coming.iter().map(|it| event(it, seen)).collect(),
            comparison: Table::new(&compare(&seen.opening, &seen.said(), &seen.situation()), &privacy),
            groups: groups(shown, &Shown { layout: &layout, privacy: &privacy, path: &path }),
            older: last.map(|it| format!("{path}?cursor={}", (it.at, it.rank, it.id.clone()).write())),
            acts: if layout.may_act() { offers(seen, &layout, &path) } else { Vec::new() },
            verified: seen.verified(dashboard),
            version: seen.opening.version,
            form: dashboard.shell.ids.next(),
            said_done: SAID_DONE,
            layout,
            path,
        }
    }
}

impl Head {
    fn new(layout: &Layout, seen: &Seen, privacy: &Privacy) -> Self {
        let (opening, request) = (&seen.opening, &seen.opening.request);
        let customer = seen.overview.customer.as_ref();
        let erased = || "erased".to_owned();
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "not known yet".to_owned());
        let iban = opening.state.account().map(|it| masked_iban(it.iban.as_str()));
        let pairs = vec![
            ("Customer reference", privacy.text(&request.customer_reference)),
            ("Name", customer.map_or_else(erased, |it| masked_name(&it.name))),
            ("E-mail", customer.map_or_else(erased, |it| masked_email(&it.email))),
            ("IBAN", iban.unwrap_or_else(|| "none".to_owned())),
            ("Market", request.market.clone()),
            ("Type", request.customer_type.to_string()),
            ("Currency", request.currency.clone()),
            ("Flow", request.flow.to_string()),
            ("Provider", request.provider.clone()),
            ("Our reference", opening.id.to_string()),
            ("Tracking id", or_none(opening.state.reference().map(|it| privacy.text(it.as_str())))),
            ("Version", opening.version.to_string()),
        ];
        Self {
            state: layout.state(opening.state_name()),
            pairs,
            created: opening.created_at.into(),
            updated: opening.updated_at.into(),
        }
    }
}

fn event(coming: &Coming, seen: &Seen) -> Event {
    let provider = &seen.opening.request.provider;
    let (text, after) = match coming {
        Coming::Poll { number, is_last, is_held, .. } => {
            let (last, again) = if *is_last { (", the last", "") } else { ("", " again") };
            let held = if *is_held { ", once its breaker closes" } else { "" };
            (format!("Poll {number}{last}: {provider} is asked{again} at"), held)
        }
        Coming::Deadline { .. } => ("Its deadline opens a ticket at".to_owned(), ", unless it has moved on by then"),
        Coming::Call(call) => {
            let held = if call.is_held { ", once its breaker closes" } else { "" };
            let attempt = if call.is_under_way {
                format!("attempt {} is under way; without an answer it is repeated at", call.attempt)
            } else {
                format!("attempt {} at", call.attempt)
            };
            (format!("{}: {attempt}", words(call.topic.as_str())), held)
        }
        Coming::Nothing(still) => (nothing(*still).to_owned(), ""),
    };
    Event { kind: coming.kind().as_str(), text, at: coming.at().map(Moment::from), after }
}

const fn nothing(still: Still) -> &'static str {
    match still {
        Still::Ended => "Nothing more happens by itself: it has ended. A different answer would open a case.",
        Still::Escalated => "Nothing more happens by itself. A late answer still counts.",
        Still::GivenUp => "Nothing more happens by itself until its dead letter is redriven or it is ended.",
    }
}

/// The acts on the opening, its dead letters and its cases.
fn offers(seen: &Seen, layout: &Layout, path: &str) -> Vec<Offer> {
    let state = &seen.opening.state;
    let waits = matches!(state, OpeningState::AwaitingProvider(_) | OpeningState::Escalated(_));
    let is_over = Resolution::Failed.refused_by(state);
    let no_more = (!state.name().is_terminal()).then_some("It has not ended: its data is still needed.");
    let erased = state.erased_at().map(|_| "Its personal data was erased.");
    let of_opening = |act, label, name: &str, refused: Option<&str>| Offer {
        act,
        label: String::from(label),
        href: format!("{path}/{name}"),
        one_click: act == "poll",
        refused: refused.map(str::to_owned),
    };
    let mut offers = vec![
        of_opening(
            "poll",
            "Ask the bank now",
            "poll",
            (!waits).then_some("It does not wait for an answer of the provider."),
        ),
        of_opening("resolve", "Resolve it", "resolve", is_over.map(|_| "It has ended already.")),
    ];
    offers.extend(seen.overview.letters.iter().flat_map(|it| of_letter(it, seen, layout)));
    offers.extend(seen.overview.cases.iter().map(|it| Offer {
        act: "resolve_case",
        label: format!("Resolve the case: {}", words(&it.kind)),
        href: layout.url(&format!("/cases/{}/resolve", it.id)),
        one_click: false,
        refused: None,
    }));
    offers.push(of_opening("reveal_personal_data", "Reveal personal data", "reveal", erased));
    offers.push(of_opening("erase", "Erase personal data", "erase", no_more));
    offers
}

/// Redrive and discard of a dead letter.
fn of_letter(letter: &DeadLetter, seen: &Seen, layout: &Layout) -> [Offer; 2] {
    let topic = letter.kind.parse::<Topic>().ok().filter(|_| letter.queue == "outbox");
    let is_obsolete = topic.and_then(Topic::state).is_some_and(|it| it != seen.opening.state_name());
    let refused = if letter.is_erased {
        Some("Its content was erased.")
    } else {
        is_obsolete.then_some("The opening has moved on: its call is obsolete.")
    };
    let offer = |act, verb: &str, name: &str, refused: Option<&str>| Offer {
        act,
        label: format!("{verb} the dead letter: {}", words(&letter.kind)),
        href: layout.url(&format!("/dead-letters/{}/{name}", letter.id)),
        one_click: false,
        refused: refused.map(str::to_owned),
    };
    [
        offer("redrive_dead_letter", "Redrive", "redrive", refused),
        offer("discard_dead_letter", "Discard", "discard", None),
    ]
}

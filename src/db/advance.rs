//! Writes decisions in the caller's transaction: state, history, timer, expected fees, outbox, events, cases and tickets
//! of any number of openings. This is the only way to change an opening.
//!
//! An effect that leaves the service gets its id from [`OpeningId::effect`], so deciding again yields the same id.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::timers::Timer;
use super::{cases, events, fee_ledger, history, inbox, openings, outbox, tickets, timers};
use crate::clock::{Ids, Time};
use crate::domain::chain::{Hash, HistoryKey};
use crate::domain::fee::{PriceList, Scope};
use crate::domain::resource::Resource;
use crate::domain::{Command, Decision, Effect, EventType, Opening, OpeningId, Request, Step, Topic};

/// Settings, ids and keys for writing the effects of decisions.
#[derive(Clone, Debug)]
pub struct EffectContext {
    /// Makes the ids of cases and tickets, which stay inside the service.
    pub ids: Ids,
    /// The key of the history's hash chain.
    pub key: HistoryKey,
    /// Base URL of the dashboard: tickets link to `{dashboard_url}/openings/{id}`.
    pub dashboard_url: String,
    /// The names of the sinks that receive every event.
    pub sinks: Vec<String>,
    /// Whether tickets are also created at a ticket tracker.
    pub tracker: bool,
    /// The price list by which each step's expected fee is booked. None: no fees are booked.
    pub price_list: Option<Arc<PriceList>>,
}

/// An opening and all decisions about it in this transaction.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The anchor when it was locked. None: a new opening.
    before: Option<openings::Anchor>,
    /// The opening after the decisions so far.
    pub opening: Opening,
    steps: Vec<Step>,
    effects: Vec<Effect>,
}

impl Advance {
    /// Starts with a locked opening and no decisions.
    #[must_use]
    pub fn of(anchor: openings::Anchor) -> Self {
        let opening = anchor.opening.clone();
        Self { before: Some(anchor), opening, steps: Vec::new(), effects: Vec::new() }
    }

    #[must_use]
    pub fn started(decision: Decision) -> Self {
        let Decision { opening, steps, effects, .. } = decision;
        Self { before: None, opening, steps, effects }
    }

    pub fn push(&mut self, decision: Decision) {
        self.opening = decision.opening;
        self.steps.extend(decision.steps);
        self.effects.extend(decision.effects);
    }

    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    fn hashes(&self, key: &HistoryKey) -> Vec<Hash> {
        history::links(key, self.opening.id, self.before.as_ref().map(|it| it.head), &self.steps)
    }

    fn anchor_changed(&self) -> bool {
        self.before.as_ref().is_some_and(|before| !before.opening.is_anchored_like(&self.opening))
    }

    fn timer_changed(&self) -> bool {
        self.before.as_ref().is_none_or(|before| Timer::of(&before.opening) != Timer::of(&self.opening))
    }
}

/// Inserts new openings, each with its customer.
pub async fn start(
    connection: &mut PgConnection,
    context: &EffectContext,
    started: &[(Advance, Value)],
    now: Time,
) -> sqlx::Result<()> {
    let advances: Vec<&Advance> = started.iter().map(|(advance, _)| advance).collect();
    let hashes: Vec<Vec<Hash>> = advances.iter().map(|it| it.hashes(&context.key)).collect();
    let anchors = started.iter().zip(&hashes).map(|((Advance { opening, .. }, customer), hashes)| {
        let head = hashes.last().ok_or(sqlx::Error::RowNotFound)?;
        Ok(openings::New { opening, customer, head })
    });
    let anchors = anchors.collect::<sqlx::Result<Vec<_>>>()?;
    openings::insert(connection, &anchors, &steps_of(&advances, &hashes)).await?;
    write_effects(connection, context, &advances, now).await
}

/// Writes the decisions about openings that the caller has locked. After an error the caller must roll back.
pub async fn advance(
    connection: &mut PgConnection,
    context: &EffectContext,
    advances: &[&Advance],
    now: Time,
) -> sqlx::Result<()> {
    let hashes: Vec<Vec<Hash>> = advances.iter().map(|it| it.hashes(&context.key)).collect();
    let changed: Vec<(&Opening, &Hash)> = advances
        .iter()
        .zip(&hashes)
        .filter(|(it, _)| it.anchor_changed())
        .filter_map(|(it, hashes)| {
            let head = hashes.last().or_else(|| it.before.as_ref().map(|before| &before.head))?;
            Some((&it.opening, head))
        })
        .collect();
    openings::update(connection, &changed, &steps_of(advances, &hashes)).await?;
    write_effects(connection, context, advances, now).await
}

/// All steps with their hashes, oldest first per opening.
fn steps_of<'a>(advances: &[&'a Advance], hashes: &[Vec<Hash>]) -> Vec<(OpeningId, &'a Step, Hash)> {
    let steps = advances.iter().zip(hashes);
    steps
        .flat_map(|(it, hashes)| it.steps.iter().zip(hashes).map(|(step, hash)| (it.opening.id, step, *hash)))
        .collect()
}

async fn write_effects(
    connection: &mut PgConnection,
    context: &EffectContext,
    advances: &[&Advance],
    now: Time,
) -> sqlx::Result<()> {
    let timers: Vec<&Opening> = advances.iter().filter(|it| it.timer_changed()).map(|it| &it.opening).collect();
    timers::set(connection, &timers).await?;
    accrue(connection, context, advances).await?;
    let mut effects = Effects::default();
    for advance in advances {
        for effect in &advance.effects {
            effects.take(context, &advance.opening, effect);
        }
    }
    effects.write(connection, context, now).await
}

/// Books the fees that the steps owe by the price list, all in one statement. A unique index keeps a fee from being booked twice.
async fn accrue(connection: &mut PgConnection, context: &EffectContext, advances: &[&Advance]) -> sqlx::Result<()> {
    let Some(list) = &context.price_list else { return Ok(()) };
    let mut owed = Vec::new();
    for Advance { opening, steps, .. } in advances {
        let scope = Scope::of(&opening.request);
        for step in steps {
            let (opening, provider, at) = (opening.id, scope.provider, step.at);
            let fees = list.owed(scope, step.to, at).into_iter();
            owed.extend(fees.map(|fee| fee_ledger::NewAccrual { id: context.ids.next(), at, opening, provider, fee }));
        }
    }
    fee_ledger::accrue(connection, list.sha256(), &owed).await
}

/// Makes parked facts due that an advance may have unblocked; returns their number. Call it after the commit. If it
/// fails, the facts are retried at their own time.
pub async fn unpark(connection: &mut PgConnection, advances: &[Advance], now: Time) -> sqlx::Result<u64> {
    let moved = advances.iter().filter(|it| !it.steps.is_empty());
    let ids: Vec<Uuid> = moved.clone().map(|it| it.opening.id.0).collect();
    let references: Vec<(String, String)> = moved
        .filter(|it| it.before.as_ref().is_none_or(|before| before.opening.state.reference().is_none()))
        .filter_map(|it| {
            let reference = it.opening.state.reference()?;
            Some((it.opening.request.provider.clone(), reference.to_string()))
        })
        .collect();
    inbox::unpark(connection, &ids, &references, now).await
}

/// The rows to insert for effects.
#[derive(Default)]
struct Effects<'a> {
    work: Vec<outbox::NewWork>,
    cancelled: Vec<(OpeningId, Topic)>,
    events: Vec<events::NewEvent>,
    cases: Vec<(Uuid, &'a Opening, &'a crate::domain::Case)>,
    tickets: Vec<tickets::Act>,
}

impl<'a> Effects<'a> {
    fn take(&mut self, context: &EffectContext, opening: &'a Opening, effect: &'a Effect) {
        let opening_id = opening.id;
        match effect {
            Effect::Send(Command(topic)) => {
                self.work.push(outbox::NewWork {
                    id: effect_id(context, opening_id, topic.as_str()),
                    opening_id: Some(opening_id),
                    topic: *topic,
                    lane: lane_of(*topic, &opening.request),
                    payload: json!({}),
                });
            }
            Effect::Cancel(topic) => self.cancelled.push((opening_id, *topic)),
            Effect::Emit(kind, snapshot) => {
                let id = effect_id(context, opening_id, kind.as_str());
                self.emit(context, *kind, snapshot, id);
            }
            Effect::OpenTicket { kind, summary } => self.tickets.push(tickets::Act::Open(tickets::NewTicket {
                id: context.ids.next(),
                opening_id,
                kind: *kind,
                summary: summary.clone(),
                link: format!("{}/openings/{opening_id}", context.dashboard_url),
            })),
            Effect::CloseTicket { kind, reason } => {
                self.tickets.push(tickets::Act::Close { opening_id, kind: *kind, reason: reason.clone() });
            }
            Effect::OpenCase(case) => self.cases.push((context.ids.next(), opening, case)),
        }
    }

    fn emit(&mut self, context: &EffectContext, kind: EventType, opening: &Opening, id: Uuid) {
        // Our own types always serialise.
        let data = serde_json::to_string(&Resource::from(opening)).unwrap_or_default();
        let (opening_id, subject, version) = (Some(opening.id), opening.id.0, opening.version);
        let event = events::NewEvent { id, opening_id, subject, kind, version, data };
        self.work.extend(event.deliveries(&context.sinks));
        self.events.push(event);
    }

    /// The openings of new cases with the case's number within its opening. The number makes the event's id: a hash of
    /// the cause could not be erased, and the cause may be an IBAN.
    fn numbered(&self, new: &HashMap<Uuid, i64>) -> Vec<(&'a Opening, i64)> {
        let mut held = HashMap::new();
        let new = self.cases.iter().filter_map(|(id, opening, _)| Some((*opening, *new.get(id)?)));
        let number = |(opening, before): (&'a Opening, i64)| {
            let number = held.entry(opening.id).or_insert(before);
            *number += 1;
            (opening, *number)
        };
        new.map(number).collect()
    }

    async fn write(mut self, connection: &mut PgConnection, context: &EffectContext, now: Time) -> sqlx::Result<()> {
        let cases: Vec<_> = self.cases.iter().map(|(id, opening, case)| (*id, opening.id, *case)).collect();
        let new = cases::insert(connection, &cases, now).await?;
        for (opening, number) in self.numbered(&new) {
            let id = opening.id.effect(&format!("{}/{number}", EventType::Contradiction));
            self.emit(context, EventType::Contradiction, opening, id);
        }
        #[cfg(feature = "broken")]
        if crate::faults::broken::lacks(crate::faults::broken::Defence::OutboxInside) {
            outbox::broken::insert_later(std::mem::take(&mut self.work), now);
        }
        outbox::insert(connection, &self.work, now).await?;
        outbox::cancel(connection, &self.cancelled).await?;
        events::insert(connection, &self.events, now).await?;
        let tickets = tickets::act(connection, &self.tickets, now).await?;
        let told = if context.tracker { tickets.iter().map(for_tracker).collect() } else { Vec::new() };
        outbox::insert(connection, &told, now).await
    }
}

/// A command's lane: the market, so that no market's flood delays another. A call of the provider has one lane for each
/// provider too: a bank that hangs delays no other bank's openings in the same market.
fn lane_of(topic: Topic, request: &Request) -> String {
    let Request { provider, market, .. } = request;
    if topic.is_for_provider() { format!("{provider}/{market}") } else { market.clone() }
}

/// The id of a command (its Idempotency-Key) or of an event. A topic and an event type belong to one state, and a state
/// is entered once, so an opening has at most one of each. Contradictions are numbered instead.
#[cfg_attr(not(feature = "broken"), expect(unused_variables, reason = "ids are drawn only where the defence is out"))]
fn effect_id(context: &EffectContext, opening: OpeningId, name: &str) -> Uuid {
    #[cfg(feature = "broken")]
    {
        use crate::faults::broken::{Defence, lacks};
        // Without these defences a duplicate acts again and needs a second id.
        if lacks(Defence::EffectKeys) || lacks(Defence::UniqueKey) {
            return context.ids.next();
        }
    }
    opening.effect(name)
}

/// The outbox row that mirrors a ticket's change at the tracker.
fn for_tracker(ticket: &tickets::Changed) -> outbox::NewWork {
    let tickets::Changed { opening_id, kind, opened, why, revision } = ticket;
    let opening_id = OpeningId(*opening_id);
    let topic = if *opened { Topic::OpenTicket } else { Topic::CloseTicket };
    outbox::NewWork {
        id: opening_id.effect(&format!("{topic}/{kind}/{revision}")),
        opening_id: Some(opening_id),
        topic,
        lane: String::new(),
        payload: json!({"kind": kind, "revision": revision, "why": why}),
    }
}

//! `POST /v1/account-openings/{id}/resolve`: a person ends an opening that no machine brings further.
//!
//! The decision is a fact like any other: it goes through the inbox, and `decide` has the last word, for an answer of the
//! provider may come first. Fact and record commit together; a crash before that leaves neither.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use sqlx::Connection as _;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use uuid::Uuid;

use crate::clock::Time;
use crate::db::operator_actions::{self, Action};
use crate::db::{inbox, openings};
use crate::domain::bank::{Bic, Iban};
use crate::domain::ids::ActId;
use crate::domain::text::{self as forms, string_enum};
use crate::domain::{Fact, Opening, OpeningId, ProviderRef, Resolution, Source};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::auth::Operator;
use crate::http::internal::fields::{self, Takes, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, EvidenceText, ReasonText};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};
use crate::workers::facts;

string_enum!(
    /// How an opening ends.
    Outcome {
        /// The provider's final no.
        Rejected = "rejected",
        /// Ended without an answer of the provider.
        Failed = "failed",
        /// The account is open.
        Completed = "completed",
    }
);

/// How an opening ends: without an account, or with the account that is open.
#[derive(ToSchema)]
#[schema(as = OpeningDecision)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub enum Decision {
    /// Without an account.
    Ended(WithoutAccount),
    /// With an account.
    Completed(WithAccount),
}

/// An opening that ends without an account. The fields of an account may be null.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct WithoutAccount {
    /// How it ends.
    #[schema(schema_with = without_account)]
    outcome: Outcome,
    /// For the record; it becomes the opening's own reason.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// What it rests on.
    #[schema(value_type = EvidenceText)]
    evidence: String,
    #[schema(schema_with = null)]
    iban: Option<()>,
    #[schema(schema_with = null)]
    bic: Option<()>,
    #[schema(schema_with = null)]
    provider_reference: Option<()>,
}

/// An opening whose account is open.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct WithAccount {
    /// How it ends.
    #[schema(schema_with = with_account)]
    outcome: Outcome,
    /// For the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// What it rests on.
    #[schema(value_type = EvidenceText)]
    evidence: String,
    /// Where money goes. The printed form with spaces is taken too; wrong check digits are refused (`validation-failed`).
    iban: Iban,
    /// At which bank.
    bic: Bic,
    /// The provider's tracking id, needed where none is known yet.
    provider_reference: Option<ProviderRef>,
}

fn without_account() -> ObjectBuilder {
    forms::one_of([Outcome::Rejected, Outcome::Failed].map(Outcome::as_str).into_iter())
}

fn with_account() -> ObjectBuilder {
    forms::one_of([Outcome::Completed.as_str()].into_iter())
}

fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

/// Ends an account opening: as rejected, as failed, or with an account that is open. The first final answer counts, so one
/// that the provider gives in the meantime goes before it.
#[utoipa::path(
    post,
    path = "/v1/account-openings/{id}/resolve",
    operation_id = "resolve_account_opening",
    tag = "Account openings",
    params(("id" = Uuid, Path, description = "Its id")),
    request_body = Decision,
    responses(
        (status = 202, description = "It will be decided so, unless the provider's answer comes first", body = Accepted),
        (status = 409, description = "`wrong-state`: decided already, or it cannot end so from where it is"),
    ),
)]
pub async fn resolve(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let asked = Arc::new(read(&body)?);
    let outcome = asked.resolution.state();
    // The same in every try, so that one act is one fact and one record.
    let (act, shared, who) = (state.ids.next(), Arc::clone(&state), operator.name);
    let work = move |mut connection: Connection| {
        let (state, asked, who) = (Arc::clone(&shared), Arc::clone(&asked), who.to_string());
        async move {
            if operator_actions::is_recorded(&mut connection, act).await? {
                return Ok(Answer::Taken);
            }
            let Some(opening) = openings::get(&mut connection, OpeningId(id)).await? else {
                return Ok(Answer::NotFound);
            };
            if let Some(why) = asked.refused_by(&opening) {
                return Ok(Answer::WrongState(why));
            }
            let now = state.clock.now();
            let mut fact = facts::new(
                &state.ids,
                Source::Operator,
                &opening.request.provider,
                format!("resolve:{act}"),
                id,
                &asked.fact(ActId(act)),
                now,
            );
            fact.headers = json!({"by": who});
            let mut transaction = connection.begin().await?;
            inbox::insert(&mut transaction, &[fact]).await?;
            operator_actions::insert(&mut transaction, &asked.action(act, id, who, now)).await?;
            transaction.commit().await?;
            Ok(Answer::Taken)
        }
    };
    match database(&state.pool, work).await? {
        Answer::NotFound => Err(ApiError::new(Kind::NotFound)),
        Answer::WrongState(why) => Err(ApiError::because(Kind::WrongState, why)),
        Answer::Taken => {
            state.wakers.inbox.notify_one();
            tracing::info!(opening.id = %id, act.id = %act, to = %outcome, "an operator resolved an opening");
            Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
        }
    }
}

/// What becomes of the request.
enum Answer {
    Taken,
    NotFound,
    WrongState(&'static str),
}

/// What the operator asks for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ResolveRequest {
    resolution: Resolution,
    reason: String,
    evidence: String,
}

impl ResolveRequest {
    /// What can be seen at once; `decide` looks again, under the lock.
    fn refused_by(&self, opening: &Opening) -> Option<&'static str> {
        let held = opening.state.reference();
        match &self.resolution {
            Resolution::Completed { provider_reference: Some(said), .. }
                if !opening.state_name().is_terminal() && held.is_some_and(|held| held != said) =>
            {
                Some("it waits under another provider_reference")
            }
            resolution => resolution.refused_by(&opening.state),
        }
    }

    fn fact(&self, act: ActId) -> Fact {
        let Self { resolution, reason, evidence } = self.clone();
        Fact::Resolved { act, resolution, reason, evidence }
    }

    fn action(&self, id: Uuid, opening: Uuid, who: String, at: Time) -> Action {
        let mut detail = serde_json::to_value(&self.resolution).unwrap_or_default();
        detail["evidence"] = self.evidence.as_str().into();
        Action {
            id,
            at,
            who,
            action: "resolve_opening".to_owned(),
            subject: opening.to_string(),
            opening_id: Some(opening),
            reason: self.reason.clone(),
            detail,
        }
    }
}

const FIELDS: [&str; 6] = ["outcome", "reason", "evidence", "iban", "bic", "provider_reference"];
/// What only an account has.
const ACCOUNT: [&str; 3] = ["iban", "bic", "provider_reference"];

fn read(body: &Map<String, Value>) -> Result<ResolveRequest, ApiError> {
    fields::refuse_unknown(&[("", body, &FIELDS)])?;
    let mut wrong = Wrong::default();
    let resolution = resolution(body, &mut wrong);
    let reason = wrong.required("", body, "reason", reason::reason);
    let evidence = wrong.required("", body, "evidence", reason::evidence);
    let asked = resolution.zip(reason).zip(evidence);
    wrong.or(asked.map(|((resolution, reason), evidence)| ResolveRequest { resolution, reason, evidence }))
}

fn resolution(body: &Map<String, Value>, wrong: &mut Wrong) -> Option<Resolution> {
    let outcome = wrong.required("", body, "outcome", fields::word::<Outcome>)?;
    let resolution = match outcome {
        Outcome::Completed => return completed(body, wrong),
        Outcome::Rejected => Resolution::Rejected,
        Outcome::Failed => Resolution::Failed,
    };
    for name in ACCOUNT.into_iter().filter(|name| !matches!(body.get(*name), None | Some(Value::Null))) {
        wrong.add("", name, "only goes with the outcome completed");
    }
    Some(resolution)
}

fn completed(body: &Map<String, Value>, wrong: &mut Wrong) -> Option<Resolution> {
    let iban = wrong.required("", body, "iban", iban);
    let bic = wrong.required("", body, "bic", |text| Bic::parse(text).map_err(str::to_owned));
    let reference = |text: &str| ProviderRef::new(text).map_err(str::to_owned);
    let provider_reference = wrong.optional("", body, "provider_reference", reference);
    Some(Resolution::Completed { iban: iban?.as_str().to_owned(), bic: bic?.as_str().to_owned(), provider_reference })
}

fn iban(text: &str) -> Result<Iban, Takes> {
    Iban::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const IBAN: &str = "BE68539007547034";

    fn refused(body: &Value) -> (Kind, Vec<String>) {
        let error = read(body.as_object().unwrap()).unwrap_err();
        (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect())
    }

    #[test]
    fn a_decision_is_read_as_it_stands_and_an_account_in_electronic_form() {
        let body = json!({"outcome": "failed", "reason": "gone", "evidence": "a letter"});
        let asked = read(body.as_object().unwrap()).unwrap();
        assert_eq!((asked.resolution, asked.reason.as_str()), (Resolution::Failed, "gone"));
        let body = json!({"outcome": "completed", "reason": "r", "evidence": "e", "iban": "be68 5390 0754 7034",
                          "bic": "nexubebb", "provider_reference": "aor_1"});
        let expected = Resolution::Completed {
            iban: IBAN.to_owned(),
            bic: "NEXUBEBB".to_owned(),
            provider_reference: Some(ProviderRef::new("aor_1").unwrap()),
        };
        assert_eq!(read(body.as_object().unwrap()).unwrap().resolution, expected);
    }

    #[test]
    fn what_is_wrong_is_pointed_at_all_at_once_and_an_account_goes_with_completed_alone() {
        let all = |pointers: &[&str]| (Kind::ValidationFailed, pointers.iter().map(ToString::to_string).collect());
        assert_eq!(refused(&json!({})), all(&["/outcome", "/reason", "/evidence"]));
        let wrong = json!({"outcome": "completed", "reason": "", "evidence": 1, "iban": "BE68539007547035", "bic": "x",
                           "provider_reference": ""});
        assert_eq!(refused(&wrong), all(&["/iban", "/bic", "/provider_reference", "/reason", "/evidence"]));
        for outcome in ["failed", "rejected"] {
            let body = json!({"outcome": outcome, "reason": "r", "evidence": "e", "iban": IBAN, "bic": "NEXUBEBB",
                              "provider_reference": "aor_1"});
            assert_eq!(refused(&body), all(&["/iban", "/bic", "/provider_reference"]));
        }
        let body = json!({"outcome": "completed", "reason": "r", "evidence": "e"});
        assert_eq!(refused(&body), all(&["/iban", "/bic"]));
        assert_eq!(refused(&json!({"outcome": "escalated", "reason": "r", "evidence": "e"})), all(&["/outcome"]));
        assert_eq!(refused(&json!({"result": "x"})), (Kind::UnknownField, vec!["/result".to_owned()]));
    }
}

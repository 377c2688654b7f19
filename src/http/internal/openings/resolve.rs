//! `POST /v1/account-openings/{id}/resolve`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::acts::Operator;
use crate::acts::resolve::{self, ResolveRequest};
use crate::domain::bank::{Bic, Iban};
use crate::domain::text::{self as forms, string_enum};
use crate::domain::{OpeningId, ProviderRef, Resolution};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::{self, Takes, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, EvidenceText, ReasonText};
use crate::http::problem::ApiError;

string_enum!(
    /// The end of an opening.
    Outcome {
        /// The provider refused for good.
        Rejected = "rejected",
        /// Ended without an answer of the provider.
        Failed = "failed",
        /// The account is open.
        Completed = "completed",
    }
);

/// The end of an opening: without an account, or with an open account.
#[derive(ToSchema)]
#[schema(as = OpeningDecision)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub enum Decision {
    /// Ends without an account.
    Ended(WithoutAccount),
    /// Ends with an account.
    Completed(WithAccount),
}

/// An end without an account. The account's fields may be null.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct WithoutAccount {
    /// The end that the operator chose.
    #[schema(schema_with = without_account)]
    outcome: Outcome,
    /// The reason, for the record; it becomes the opening's reason.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// The evidence for the decision.
    #[schema(value_type = EvidenceText)]
    evidence: String,
    #[schema(schema_with = null)]
    iban: Option<()>,
    #[schema(schema_with = null)]
    bic: Option<()>,
    #[schema(schema_with = null)]
    provider_reference: Option<()>,
    /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
    #[schema(schema_with = fields::version)]
    expected_version: Option<i64>,
}

/// An end with an open account.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct WithAccount {
    /// The end that the operator chose.
    #[schema(schema_with = with_account)]
    outcome: Outcome,
    /// The reason, for the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// The evidence for the decision.
    #[schema(value_type = EvidenceText)]
    evidence: String,
    /// The account's IBAN. The printed form with spaces is accepted; wrong check digits are refused
    /// (`validation-failed`).
    iban: Iban,
    /// The account's BIC.
    bic: Bic,
    /// The provider's tracking id; required if none is known yet.
    provider_reference: Option<ProviderRef>,
    /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
    #[schema(schema_with = fields::version)]
    expected_version: Option<i64>,
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

/// Ends an account opening: rejected, failed, or completed with an open account.
///
/// The first final answer counts: if the provider's answer arrives first, the opening ends as the provider decided.
#[utoipa::path(
    post,
    path = "/v1/account-openings/{id}/resolve",
    operation_id = "resolve_account_opening",
    tag = "Account openings",
    params(("id" = Uuid, Path, description = "The opening's id")),
    request_body = Decision,
    responses(
        (status = 202, description = "The opening will end so, unless the provider's answer comes first", body = Accepted),
        (status = 409, description = "`wrong-state`: the opening is decided already, cannot end so from its state, or is not in \
            the `expected_version`"),
    ),
)]
pub async fn resolve(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    resolve::run(&state.acts, &operator, OpeningId(id), read(&body)?).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

const FIELDS: [&str; 7] = ["outcome", "reason", "evidence", "iban", "bic", "provider_reference", "expected_version"];
const ACCOUNT: [&str; 3] = ["iban", "bic", "provider_reference"];

fn read(body: &Map<String, Value>) -> Result<ResolveRequest, ApiError> {
    fields::refuse_unknown(&[("", body, &FIELDS)])?;
    let mut wrong = Wrong::default();
    let resolution = resolution(body, &mut wrong);
    let reason = wrong.required("", body, "reason", reason::reason);
    let evidence = wrong.required("", body, "evidence", reason::evidence);
    let expected_version = wrong.version(body);
    let request = resolution.zip(reason).zip(evidence);
    wrong.or(request.map(|((resolution, reason), evidence)| ResolveRequest {
        resolution,
        reason,
        evidence,
        expected_version,
    }))
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
    use crate::http::problem::Kind;

    const IBAN: &str = "BE68539007547034";

    fn refused(body: &Value) -> (Kind, Vec<String>) {
        let error = read(body.as_object().unwrap()).unwrap_err();
        (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect())
    }

    #[test]
    fn a_decision_is_read_as_it_stands_and_an_account_in_electronic_form() {
        let body = json!({"outcome": "failed", "reason": "gone", "evidence": "a letter"});
        let request = read(body.as_object().unwrap()).unwrap();
        assert_eq!((request.resolution, request.reason.as_str()), (Resolution::Failed, "gone"));
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

//! `POST /v1/account-openings/{id}/resolve`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::acts::Operator;
use crate::acts::reason::{EvidenceText, ReasonText};
use crate::acts::resolve::{self, ResolveRequest};
use crate::domain::bank::{Bic, Iban};
use crate::domain::text::{self, form, string_enum};
use crate::domain::{OpeningId, ProviderRef, Resolution};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::{Errors, Field, body};
use crate::http::internal::forms::{ExpectedVersion, text_form, word};
use crate::http::internal::json::Body;
use crate::http::internal::path::Id;
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
#[derive(Debug, ToSchema)]
#[schema(as = OpeningDecision)]
#[serde(untagged)]
pub enum Decision {
    /// Ends without an account.
    Ended(WithoutAccount),
    /// Ends with an account.
    Completed(WithAccount),
}

body!(
    /// An end without an account. The account's fields may be null.
    WithoutAccount {
        /// The end that the operator chose.
        outcome: Ended,
        /// The reason, for the record; it becomes the opening's reason.
        reason: ReasonText,
        /// The evidence for the decision.
        evidence: EvidenceText,
        #[schema(required = false)]
        iban: Absent,
        #[schema(required = false)]
        bic: Absent,
        #[schema(required = false)]
        provider_reference: Absent,
        /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
        expected_version: Option<ExpectedVersion>,
    }
);

body!(
    /// An end with an open account.
    WithAccount {
        /// The end that the operator chose.
        outcome: Completed,
        /// The reason, for the record.
        reason: ReasonText,
        /// The evidence for the decision.
        evidence: EvidenceText,
        /// The account's IBAN. The printed form with spaces is accepted; wrong check digits are refused
        /// (`validation-failed`).
        iban: Iban,
        /// The account's BIC.
        bic: Bic,
        /// The provider's tracking id; required if none is known yet.
        provider_reference: Option<ProviderRef>,
        /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
        expected_version: Option<ExpectedVersion>,
    }
);

/// An outcome without an account.
pub enum Ended {}
form!(Ended, text::one_of([Outcome::Rejected, Outcome::Failed].map(Outcome::as_str).into_iter()));
text_form!(Ended => Outcome, word);

/// The outcome with an account.
pub enum Completed {}
form!(Completed, text::one_of([Outcome::Completed.as_str()].into_iter()));
text_form!(Completed => Outcome, word);

/// Null, or nothing.
pub enum Absent {}
form!(Absent, ObjectBuilder::new().schema_type(Type::Null));

impl Field for Absent {
    type Value = ();

    fn read(value: Option<&Value>, at: &str, errors: &mut Errors) -> Option<()> {
        if !matches!(value, None | Some(Value::Null)) {
            errors.add(at, "only goes with the outcome completed");
        }
        Some(())
    }
}

/// The outcome decides which fields go with it. Without a known outcome the account's fields are not judged.
impl Field for Decision {
    type Value = Self;

    fn read(value: Option<&Value>, at: &str, errors: &mut Errors) -> Option<Self> {
        let outcome = value.and_then(|it| it["outcome"].as_str());
        match outcome.and_then(|it| it.parse().ok()) {
            Some(Outcome::Completed) => WithAccount::read(value, at, errors).map(Self::Completed),
            Some(Outcome::Rejected | Outcome::Failed) => WithoutAccount::read(value, at, errors).map(Self::Ended),
            None => WithoutAccount::read(value.map(without_account).as_ref(), at, errors).map(Self::Ended),
        }
    }
}

fn without_account(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(object) = body.as_object_mut() {
        object.retain(|name, _| !["iban", "bic", "provider_reference"].contains(&name.as_str()));
    }
    body
}

impl From<Decision> for ResolveRequest {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Ended(WithoutAccount { outcome, reason, evidence, expected_version, .. }) => {
                let resolution = if outcome == Outcome::Rejected { Resolution::Rejected } else { Resolution::Failed };
                Self { resolution, reason, evidence, expected_version }
            }
            Decision::Completed(WithAccount {
                iban,
                bic,
                provider_reference,
                reason,
                evidence,
                expected_version,
                ..
            }) => {
                let (iban, bic) = (iban.as_str().to_owned(), bic.as_str().to_owned());
                let resolution = Resolution::Completed { iban, bic, provider_reference };
                Self { resolution, reason, evidence, expected_version }
            }
        }
    }
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
    Body(decision): Body<Decision>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    resolve::run(&state.acts, &operator, OpeningId(id), decision.into()).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::Kind;

    const IBAN: &str = "BE68539007547034";

    fn read(body: &Value) -> ResolveRequest {
        fields::read::<Decision>(body).unwrap().into()
    }

    fn refused(body: &Value) -> (Kind, Vec<String>) {
        let error = fields::read::<Decision>(body).unwrap_err();
        (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect())
    }

    #[test]
    fn a_decision_is_read_as_it_stands_and_an_account_in_electronic_form() {
        let body = json!({"outcome": "failed", "reason": "gone", "evidence": "a letter"});
        let request = read(&body);
        assert_eq!((request.resolution, request.reason.as_str()), (Resolution::Failed, "gone"));
        let body = json!({"outcome": "completed", "reason": "r", "evidence": "e", "iban": "be68 5390 0754 7034",
                          "bic": "nexubebb", "provider_reference": "aor_1"});
        let expected = Resolution::Completed {
            iban: IBAN.to_owned(),
            bic: "NEXUBEBB".to_owned(),
            provider_reference: Some(ProviderRef::new("aor_1").unwrap()),
        };
        assert_eq!(read(&body).resolution, expected);
    }

    #[test]
    fn all_mistakes_are_pointed_at_together_and_an_account_goes_with_completed_alone() {
        let all = |pointers: &[&str]| (Kind::ValidationFailed, pointers.iter().map(ToString::to_string).collect());
        assert_eq!(refused(&json!({})), all(&["/outcome", "/reason", "/evidence"]));
        let wrong = json!({"outcome": "completed", "reason": "", "evidence": 1, "iban": "BE68539007547035", "bic": "x",
                           "provider_reference": ""});
        assert_eq!(refused(&wrong), all(&["/reason", "/evidence", "/iban", "/bic", "/provider_reference"]));
        for outcome in ["failed", "rejected"] {
            let body = json!({"outcome": outcome, "reason": "r", "evidence": "e", "iban": IBAN, "bic": "NEXUBEBB",
                              "provider_reference": "aor_1"});
            assert_eq!(refused(&body), all(&["/iban", "/bic", "/provider_reference"]));
        }
        let body = json!({"outcome": "completed", "reason": "r", "evidence": "e"});
        assert_eq!(refused(&body), all(&["/iban", "/bic"]));
        for outcome in [json!("escalated"), json!("complete"), json!(1), Value::Null] {
            let body = json!({"outcome": outcome, "reason": "r", "evidence": "e"});
            assert_eq!(refused(&body), all(&["/outcome"]), "{outcome}");
            let body = json!({"outcome": outcome, "reason": "r", "evidence": "e", "iban": IBAN, "bic": "NEXUBEBB",
                              "provider_reference": "aor_1"});
            assert_eq!(refused(&body), all(&["/outcome"]), "{outcome}");
        }
        assert_eq!(refused(&json!({"result": "x"})), (Kind::UnknownField, vec!["/result".to_owned()]));
    }
}

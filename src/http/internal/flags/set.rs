//! `PUT /v1/feature-flags/{flag}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Flag, FlagName, FlagRule};
use crate::acts::Admin;
use crate::acts::set_flag::{self, SetFlagRequest};
use crate::domain::CustomerType;
use crate::domain::flag::{Rule, Scope};
use crate::http::AppState;
use crate::http::internal::fields::{self, Country, MAX_PERCENT, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::reason::{self, ReasonText};
use crate::http::problem::ApiError;

const FIELDS: [&str; 5] = ["market", "customer_type", "enabled", "percentage", "reason"];

/// The new setting of a flag.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct FlagSetting {
    /// ISO 3166 alpha-2. Null or absent: all markets.
    #[schema(value_type = Option<Country>)]
    market: Option<String>,
    /// The kind of customer. Null or absent: all.
    customer_type: Option<CustomerType>,
    /// False: openings start on the legacy synchronous flow.
    enabled: bool,
    /// The share of openings for which the flag is on, in percent; an opening's decision never changes.
    #[schema(minimum = 0, maximum = 100, default = 100)]
    percentage: Option<u8>,
    /// The reason, for the record.
    #[schema(value_type = ReasonText)]
    reason: String,
}

/// Sets a flag for a market, a customer type, both or all.
///
/// Every replica follows within two seconds; the flag affects openings started from then on.
#[utoipa::path(
    put,
    path = "/v1/feature-flags/{flag}",
    operation_id = "set_feature_flag",
    tag = "Feature flags",
    params(("flag" = FlagName, Path, description = "The flag")),
    request_body = FlagSetting,
    responses(
        (status = 200, description = "The rule in force", body = FlagRule),
    ),
)]
pub async fn set(
    State(state): State<Arc<AppState>>,
    admin: Admin,
    Flag(flag): Flag,
    JsonObject(body): JsonObject,
) -> Result<Json<FlagRule>, ApiError> {
    let (rule, reason) = read(&body)?;
    let holds = set_flag::run(&state.acts, &admin, SetFlagRequest { flag, rule, reason }).await?;
    Ok(Json(holds.into()))
}

fn read(body: &Map<String, Value>) -> Result<(Rule, String), ApiError> {
    fields::refuse_unknown(&[("", body, &FIELDS)])?;
    let mut wrong = Wrong::default();
    let market = wrong.optional("", body, "market", fields::country);
    let customer_type = wrong.optional("", body, "customer_type", fields::word);
    let enabled = body.get("enabled").and_then(Value::as_bool);
    if enabled.is_none() {
        wrong.add("", "enabled", "must be true or false");
    }
    let percentage = match body.get("percentage") {
        None | Some(Value::Null) => Some(MAX_PERCENT),
        Some(value) => fields::percentage(value),
    };
    if percentage.is_none() {
        wrong.add("", "percentage", "must be a whole number from 0 to 100");
    }
    let reason = wrong.required("", body, "reason", reason::reason);
    let rule = enabled.zip(percentage).map(|(enabled, percentage)| {
        let scope = Scope { market, customer_type };
        Rule { scope, enabled, percentage }
    });
    wrong.or(rule.zip(reason))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::CustomerType;
    use crate::http::problem::Kind;

    fn pointers(body: &Value) -> (Kind, Vec<String>) {
        let error = read(body.as_object().unwrap()).unwrap_err();
        (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect())
    }

    #[test]
    fn null_and_nothing_mean_all_and_a_percentage_that_is_left_out_a_hundred() {
        let (rule, reason) = read(json!({"enabled": false, "reason": "r"}).as_object().unwrap()).unwrap();
        let all = Scope { market: None, customer_type: None };
        assert_eq!((rule, reason.as_str()), (Rule { scope: all.clone(), enabled: false, percentage: 100 }, "r"));
        let body = json!({"market": null, "customer_type": null, "enabled": true, "percentage": null, "reason": "r"});
        assert_eq!(read(body.as_object().unwrap()).unwrap().0.scope, all);
        let body = json!({"market": "NL", "customer_type": "company", "enabled": true, "percentage": 0, "reason": "r"});
        let scope = Scope { market: Some("NL".to_owned()), customer_type: Some(CustomerType::Company) };
        assert_eq!(read(body.as_object().unwrap()).unwrap().0, Rule { scope, enabled: true, percentage: 0 });
    }

    #[test]
    fn everything_that_is_wrong_is_pointed_at() {
        let all = ["/enabled", "/reason"].map(str::to_owned).to_vec();
        assert_eq!(pointers(&json!({})), (Kind::ValidationFailed, all));
        for (field, values) in [
            ("market", vec![json!("nl"), json!("XX"), json!(1), json!("")]),
            ("customer_type", vec![json!("bank"), json!(true)]),
            ("enabled", vec![json!(null), json!("true"), json!(1)]),
            ("percentage", vec![json!(-1), json!(101), json!(1.5), json!("50"), json!(256)]),
            ("reason", vec![json!(""), json!(" "), json!("x".repeat(501))]),
        ] {
            for value in values {
                let mut body = json!({"enabled": true, "reason": "r"});
                body[field] = value.clone();
                assert_eq!(pointers(&body), (Kind::ValidationFailed, vec![format!("/{field}")]), "{value}");
            }
        }
        let unknown = json!({"enabled": true, "reason": "r", "flow": "sync"});
        assert_eq!(pointers(&unknown), (Kind::UnknownField, vec!["/flow".to_owned()]));
    }
}

//! `PUT /v1/feature-flags/{flag}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::{Flag, FlagName, FlagRule};
use crate::acts::Admin;
use crate::acts::reason::ReasonText;
use crate::acts::set_flag::{self, SetFlagRequest};
use crate::domain::CustomerType;
use crate::domain::flag::{Rule, Scope};
use crate::http::AppState;
use crate::http::internal::fields::body;
use crate::http::internal::forms::{Country, MAX_PERCENT, Percentage};
use crate::http::internal::json::Body;
use crate::http::problem::ApiError;

body!(
    /// The new setting of a flag.
    FlagSetting {
        /// ISO 3166 alpha-2. Null or absent: all markets.
        market: Option<Country>,
        /// The kind of customer. Null or absent: all.
        customer_type: Option<CustomerType>,
        /// False: openings start on the legacy synchronous flow.
        enabled: bool,
        /// The share of openings for which the flag is on, in percent; an opening's decision never changes. Null or absent:
        /// 100.
        percentage: Option<Percentage>,
        /// The reason, for the record.
        reason: ReasonText,
    }
);

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
    Body(body): Body<FlagSetting>,
) -> Result<Json<FlagRule>, ApiError> {
    let (rule, reason) = (body.rule(), body.reason);
    let holds = set_flag::run(&state.acts, &admin, SetFlagRequest { flag, rule, reason }).await?;
    Ok(Json(holds.into()))
}

impl FlagSetting {
    #[must_use]
    pub fn rule(&self) -> Rule {
        let scope = Scope { market: self.market.clone(), customer_type: self.customer_type };
        Rule { scope, enabled: self.enabled, percentage: self.percentage.unwrap_or(MAX_PERCENT) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::{ApiError, Kind};

    fn read(body: &Value) -> Result<(Rule, String), ApiError> {
        fields::read::<FlagSetting>(body).map(|it| (it.rule(), it.reason))
    }

    fn pointers(body: &Value) -> (Kind, Vec<String>) {
        let error = read(body).unwrap_err();
        (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect())
    }

    #[test]
    fn null_and_nothing_mean_all_and_a_percentage_that_is_left_out_a_hundred() {
        let (rule, reason) = read(&json!({"enabled": false, "reason": "r"})).unwrap();
        let all = Scope { market: None, customer_type: None };
        assert_eq!((rule, reason.as_str()), (Rule { scope: all.clone(), enabled: false, percentage: 100 }, "r"));
        let body = json!({"market": null, "customer_type": null, "enabled": true, "percentage": null, "reason": "r"});
        assert_eq!(read(&body).unwrap().0.scope, all);
        let body = json!({"market": "NL", "customer_type": "company", "enabled": true, "percentage": 0, "reason": "r"});
        let scope = Scope { market: Some("NL".to_owned()), customer_type: Some(CustomerType::Company) };
        assert_eq!(read(&body).unwrap().0, Rule { scope, enabled: true, percentage: 0 });
    }

    #[test]
    fn all_mistakes_are_pointed_at() {
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

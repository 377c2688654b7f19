//! The body of an act that only needs a reason.

use super::fields::body;
use crate::acts::reason::ReasonText;

body!(
    /// The body of an act that only needs a reason.
    Reason {
        /// The reason, for the record.
        reason: ReasonText,
    }
);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::Kind;

    #[test]
    fn an_act_has_a_reason_of_1_to_500_characters() {
        let read = |body: Value| fields::read::<Reason>(&body).map(|it| it.reason).map_err(|error| error.kind());
        assert_eq!(read(json!({"reason": "fixed"})), Ok("fixed".to_owned()));
        for wrong in [json!({}), json!({"reason": ""}), json!({"reason": 1}), json!({"reason": "x".repeat(501)})] {
            assert_eq!(read(wrong), Err(Kind::ValidationFailed));
        }
        assert_eq!(read(json!({"reason": "fixed", "why": "x"})), Err(Kind::UnknownField));
    }
}

//! The body of a start request.

use crate::acts::start::StartRequest;
use crate::domain::{Customer, CustomerType, Flow};
use crate::http::internal::fields::body;
use crate::http::internal::forms::{Country, Currency, CustomerText, Email};

body!(
    /// A request for a new account opening.
    NewAccountOpening {
        /// The market of the account: ISO 3166 alpha-2.
        market: Country,
        /// The kind of customer.
        customer_type: CustomerType,
        /// The currency of the account: ISO 4217.
        currency: Currency,
        /// `async`, or `sync`: the legacy flow, which waits up to `SYNC_WAIT` for the answer. If absent, the feature flag
        /// decides.
        flow: Option<Flow>,
        /// The customer of the account.
        customer: NewCustomer,
    }
);

body!(
    /// The customer of a new opening.
    NewCustomer {
        /// The caller's reference for the customer.
        reference: CustomerText,
        /// The legal or personal name.
        name: CustomerText,
        /// The customer's e-mail address.
        email: Email,
        /// The country of residence: ISO 3166 alpha-2.
        country: Country,
    }
);

impl From<NewAccountOpening> for StartRequest {
    fn from(NewAccountOpening { market, customer_type, currency, flow, customer }: NewAccountOpening) -> Self {
        let NewCustomer { reference, name, email, country } = customer;
        Self { market, customer_type, currency, flow, customer: Customer { reference, name, email, country } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::Kind;

    fn body() -> Value {
        json!({"market": "BE", "customer_type": "company", "currency": "EUR",
               "customer": {"reference": "cus_1", "name": "Acme BV", "email": "ops@acme.example", "country": "BE"}})
    }

    fn read(body: &Value) -> Result<StartRequest, (Kind, Vec<String>)> {
        fields::read::<NewAccountOpening>(body)
            .map(StartRequest::from)
            .map_err(|error| (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect()))
    }

    #[test]
    fn each_field_has_its_rule_and_is_pointed_at() {
        let long = "x".repeat(201);
        let table = [
            ("/market", vec![json!(null), json!(7), json!("be"), json!("XX"), json!("")]),
            ("/customer_type", vec![json!("Company"), json!("bank"), json!([])]),
            ("/currency", vec![json!("eur"), json!("ZZZ"), json!({})]),
            ("/flow", vec![json!("soon"), json!(true)]),
            ("/customer", vec![json!(null), json!("cus_1"), json!([])]),
            ("/customer/reference", vec![json!(""), json!(" "), json!("a\u{0}"), json!(long), json!(1)]),
            ("/customer/name", vec![json!(""), json!("a\nb"), json!(long)]),
            ("/customer/email", vec![json!("ops"), json!("a@b"), json!("a@b.\u{7f}")]),
            ("/customer/country", vec![json!("Belgium"), json!("be")]),
        ];
        for (pointer, values) in table {
            for value in values {
                let mut body = body();
                match pointer {
                    "/flow" => body["flow"] = value.clone(),
                    _ => *body.pointer_mut(pointer).unwrap() = value.clone(),
                }
                let refusal = read(&body).unwrap_err();
                assert_eq!(refusal, (Kind::ValidationFailed, vec![pointer.to_owned()]), "{value}");
            }
        }
        let mut body = body();
        body["customer"]["name"] = json!("é".repeat(200));
        assert!(read(&body).is_ok());
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_unknown_fields_first() {
        let (kind, pointers) = read(&json!({})).unwrap_err();
        assert_eq!((kind, pointers.len()), (Kind::ValidationFailed, 4));
        let (_, pointers) = read(&json!({"customer": {}})).unwrap_err();
        assert_eq!(pointers.len(), 7);
        let (kind, pointers) = read(&json!({"makret": "BE", "customer": {"phone": 1}})).unwrap_err();
        assert_eq!((kind, pointers), (Kind::UnknownField, vec!["/makret".to_owned(), "/customer/phone".to_owned()]));
    }

    #[test]
    fn the_same_request_has_one_digest_however_it_is_written() {
        let plain = read(&body()).unwrap();
        let mut other = body();
        other["flow"] = json!("async");
        assert_eq!(read(&other).unwrap().digest(), plain.digest());
        other["flow"] = json!("sync");
        let sync = read(&other).unwrap();
        assert_ne!(sync.digest(), plain.digest());
        assert_eq!((plain.flow, sync.flow), (None, Some(Flow::Sync)));
        other = body();
        other["customer"]["name"] = json!("Acme  BV");
        assert_ne!(read(&other).unwrap().digest(), plain.digest());
    }

    /// P23: the digest of keys stored before the flag existed.
    #[test]
    fn the_digest_is_what_it_was_before_there_was_a_flag() {
        let digest = "ca70b6de7d57bf1be346ead1af4a7d9cd42d361d1f7ddb1a3d11c57bbf19fd39";
        assert_eq!(hex::encode(read(&body()).unwrap().digest()), digest);
    }
}

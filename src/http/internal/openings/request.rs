//! What a caller asks for, read from the body with all that is wrong with it at once.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::domain::{Customer, CustomerType, Flow, Request};
use crate::http::internal::fields::{self, Country, Currency, CustomerText, Email, MAX_TEXT, Wrong};
use crate::http::problem::ApiError;
use crate::provider::nexusbank;

/// What an account is asked for with.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = NewAccountOpening)]
pub struct StartRequest {
    /// Where the account is opened: ISO 3166 alpha-2.
    #[schema(value_type = Country)]
    market: String,
    /// What the customer is.
    customer_type: CustomerType,
    /// ISO 4217.
    #[schema(value_type = Currency)]
    currency: String,
    /// `async`, or `sync`: the legacy flow, whose answer waits up to `SYNC_WAIT`. Left out, the feature flag decides.
    flow: Option<Flow>,
    /// Who it is for.
    #[schema(value_type = NewCustomer)]
    customer: Customer,
}

/// The customer of a new opening.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's customer, which knows nothing of the API")]
pub struct NewCustomer {
    /// The caller's own name for the customer.
    #[schema(value_type = CustomerText)]
    reference: String,
    /// Legal or personal name.
    #[schema(value_type = CustomerText)]
    name: String,
    /// Where the customer is written to.
    #[schema(value_type = Email)]
    email: String,
    /// ISO 3166 alpha-2.
    #[schema(value_type = Country)]
    country: String,
}

const FIELDS: [&str; 5] = ["market", "customer_type", "currency", "flow", "customer"];
const CUSTOMER: [&str; 4] = ["reference", "name", "email", "country"];

impl StartRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 `unknown-field` before 422 `validation-failed`, each with all the fields that it is about.
    pub fn read(body: &Map<String, Value>) -> Result<Self, ApiError> {
        let customer = body.get("customer").and_then(Value::as_object);
        match customer {
            Some(customer) => {
                fields::refuse_unknown(&[("", body, &FIELDS), ("/customer", customer, &CUSTOMER)])?;
            }
            None => fields::refuse_unknown(&[("", body, &FIELDS)])?,
        }
        let mut wrong = Wrong::default();
        let asked = Self::fields(body, customer, &mut wrong);
        wrong.or(asked)
    }

    /// Every field is read before the first missing one ends it.
    fn fields(body: &Map<String, Value>, customer: Option<&Map<String, Value>>, wrong: &mut Wrong) -> Option<Self> {
        let market = wrong.required("", body, "market", fields::country);
        let customer_type = wrong.required("", body, "customer_type", fields::word);
        let currency = wrong.required("", body, "currency", fields::currency);
        let flow = wrong.optional("", body, "flow", fields::word);
        let customer = match (customer, body.get("customer")) {
            (Some(customer), _) => read_customer(customer, wrong),
            (None, None | Some(Value::Null)) => {
                wrong.add("", "customer", "is required");
                None
            }
            (None, Some(_)) => {
                wrong.add("", "customer", "must be an object");
                None
            }
        };
        Some(Self { market: market?, customer_type: customer_type?, currency: currency?, flow, customer: customer? })
    }

    /// Of the request as it was understood: neither spaces nor the order of fields nor a default that is spelt out make it
    /// another one. What the flag makes of it is not part of it, or a flip would make a repeat another request.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        // A flow that was left out stands in it as `async`: so it did before there was a flag, and the answers of then are
        // found again, also by a version that knows no flag.
        let canonical = Self { flow: Some(self.flow.unwrap_or(Flow::Async)), ..self.clone() };
        Sha256::digest(serde_json::to_vec(&canonical).unwrap_or_default()).to_vec()
    }

    /// The customer as the anchor keeps it.
    #[must_use]
    pub fn customer(&self) -> Value {
        serde_json::to_value(&self.customer).unwrap_or_default()
    }

    /// The flow that the caller wants; none: whichever the flag says.
    #[must_use]
    pub const fn flow(&self) -> Option<Flow> {
        self.flow
    }

    /// Where.
    #[must_use]
    pub fn market(&self) -> &str {
        &self.market
    }

    /// For whom.
    #[must_use]
    pub const fn customer_type(&self) -> CustomerType {
        self.customer_type
    }

    /// The request as it is opened, on this flow.
    #[must_use]
    pub fn request(&self, flow: Flow) -> Request {
        Request {
            market: self.market.clone(),
            customer_type: self.customer_type,
            currency: self.currency.clone(),
            flow,
            provider: nexusbank::NAME.to_owned(),
            customer_reference: self.customer.reference.clone(),
        }
    }
}

fn read_customer(customer: &Map<String, Value>, wrong: &mut Wrong) -> Option<Customer> {
    let text = |text: &str| fields::text(text, MAX_TEXT);
    let reference = wrong.required("/customer", customer, "reference", text);
    let name = wrong.required("/customer", customer, "name", text);
    let email = wrong.required("/customer", customer, "email", fields::email);
    let country = wrong.required("/customer", customer, "country", fields::country);
    Some(Customer { reference: reference?, name: name?, email: email?, country: country? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::problem::Kind;

    fn body() -> Value {
        json!({"market": "BE", "customer_type": "company", "currency": "EUR",
               "customer": {"reference": "cus_1", "name": "Acme BV", "email": "ops@acme.example", "country": "BE"}})
    }

    fn read(body: &Value) -> Result<StartRequest, (Kind, Vec<String>)> {
        StartRequest::read(body.as_object().unwrap())
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
    fn everything_that_is_wrong_is_told_at_once_and_unknown_fields_first() {
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
        assert_eq!((plain.flow(), sync.flow()), (None, Some(Flow::Sync)));
        other = body();
        other["customer"]["name"] = json!("Acme  BV");
        assert_ne!(read(&other).unwrap().digest(), plain.digest());
    }

    /// P23: of keys that were stored before there was a flag.
    #[test]
    fn the_digest_is_what_it_was_before_there_was_a_flag() {
        let digest = "ca70b6de7d57bf1be346ead1af4a7d9cd42d361d1f7ddb1a3d11c57bbf19fd39";
        assert_eq!(hex::encode(read(&body()).unwrap().digest()), digest);
    }
}

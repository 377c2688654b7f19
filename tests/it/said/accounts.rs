//! IBANs and BICs as they come: what is one is taken however it is written, and what is none never is.

use serde_json::{Value, json};

use super::IBAN;
use crate::support::{TestApp, problem};

/// The account of `BE02714307121340` with check digits that are congruent to the right ones; letters in a Belgian account number;
/// a letter in a British one. Each passes mod 97.
const BAD: [&str; 3] = ["BE99714307121340", "BE57ABCDEFGHIJKL", "GB89NEXU20201530093A59"];

fn resolution(iban: &str, bic: &str) -> Value {
    json!({"outcome": "completed", "reason": "r", "evidence": "e", "iban": iban, "bic": bic})
}

/// F5, F6: by webhook, and by an operator's hand.
#[tokio::test]
async fn an_iban_with_other_check_digits_or_another_form_than_its_countrys_is_none() {
    let app = TestApp::start().await;
    for bad in BAD {
        let (id, tracking_id) = app.open().waiting().await;
        app.webhook().completed(&tracking_id, bad).acknowledged().await;
        app.tick_inbox().await;
        let opening = app.opening(&id).await;
        assert_eq!((&opening["state"], &opening["iban"]), (&json!("awaiting_provider"), &Value::Null), "{bad}");
        let cases = app.items(&format!("/v1/cases?opening_id={id}")).await;
        assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("invalid_iban")), "{bad}");
        assert_eq!(cases[0]["theirs"]["iban"], bad);

        let path = format!("/v1/account-openings/{id}/resolve");
        let answer = app.request(reqwest::Method::POST, &path).json(&resolution(bad, "NEXUBEBB")).send().await.unwrap();
        let pointers = problem(answer, 422, "validation-failed").await;
        assert_eq!(pointers, ["/iban"], "{bad}");
    }
    app.finish().await;
}

/// F5: two openings do not hold one account under two pairs of check digits.
#[tokio::test]
async fn one_account_is_not_held_twice_under_check_digits_that_are_congruent() {
    let app = TestApp::start().await;
    for (iban, state) in [("BE02714307121340", "completed"), ("BE99714307121340", "awaiting_provider")] {
        let (id, tracking_id) = app.open().waiting().await;
        app.webhook().completed(&tracking_id, iban).acknowledged().await;
        app.settle().await;
        assert_eq!(app.opening(&id).await["state"], state, "{iban}");
    }
    app.finish().await;
}

/// F13: no-break and thin spaces, tabs, line ends, and what is invisible though Unicode does not call it white space.
#[tokio::test]
async fn white_space_of_any_kind_is_no_part_of_an_iban_or_a_bic() {
    let app = TestApp::start().await;
    for (space, by_hand) in [" ", "\u{a0}", "\u{2009}", "\u{202f}", "\t", "\r\n", "\u{200b}", "\u{feff}"]
        .iter()
        .zip([true, false].iter().cycle())
    {
        let number = app.world.counts().account_requests;
        let iban = account_opening::domain::bank::made_up_iban("BE", number.into());
        let printed = ["", &iban.as_str()[..4], &iban.as_str()[4..], ""].join(space);
        let bic = ["", "NEXU", "BE", "BB", ""].join(space);
        let (id, tracking_id) = app.open().waiting().await;
        if *by_hand {
            let path = format!("/v1/account-openings/{id}/resolve");
            let (status, answer) = app.post(&path, &resolution(&printed, &bic)).await;
            assert_eq!(status, 202, "{space:?}: {answer}");
        } else {
            let account =
                json!({"account_opening_request_id": tracking_id, "status": "COMPLETED", "iban": printed, "bic": bic});
            app.webhook().data(account).acknowledged().await;
        }
        app.settle().await;
        let opening = app.opening(&id).await;
        let account = [&opening["state"], &opening["iban"], &opening["bic"]];
        assert_eq!(account, [&json!("completed"), &json!(iban.as_str()), &json!("NEXUBEBB")], "{space:?}");
    }
    assert!(app.items("/v1/cases").await.is_empty());
    app.finish().await;
}

/// F13, rule 3: one case per opening and value, however the value is grouped; and a blank is no value.
#[tokio::test]
async fn one_bad_iban_is_one_case_however_it_is_grouped() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for bad in ["BE69539007547034", "BE69 5390 0754 7034", "be69\u{a0}539007547034", " \u{a0}"] {
        app.webhook().completed(&tracking_id, bad).acknowledged().await;
        app.state.ingest.forget_bursts();
        app.tick_inbox().await;
    }
    let cases = app.items(&format!("/v1/cases?opening_id={id}")).await;
    assert_eq!(cases.len(), 1, "{cases:?}");
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// F14: what the sandbox makes up has the form that the registry gives, as another's implementation of it judges.
#[tokio::test]
async fn the_sandbox_makes_up_an_account_that_is_one_in_each_market() {
    let app = TestApp::start().await;
    for market in ["BE", "BR", "FK", "GE", "HN", "IQ", "MU", "NI", "SC", "YE"] {
        let (id, _) = app.open().market(market).waiting().await;
        let body = json!({"account_opening_request_id": id, "status": "COMPLETED"});
        assert_eq!(app.post("/company/account-opening/set-status-sandbox", &body).await.0, 202);
        app.settle().await;
        let opening = app.opening(&id).await;
        let made_up = opening["iban"].as_str().unwrap();
        assert!(made_up.starts_with(market), "{made_up}");
        // The crate does not know Honduras: four letters and twenty digits.
        let form = |text: &str| {
            text[4..8].bytes().all(|it| it.is_ascii_uppercase()) && text[8..].bytes().all(|it| it.is_ascii_digit())
        };
        assert!(made_up.parse::<iban::Iban>().is_ok() || (market == "HN" && form(made_up)), "{made_up}");
    }
    app.finish().await;
}

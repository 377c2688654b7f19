//! Ids that others give, at the lengths that they document, and ours, in the forms in which they give it back.

use serde_json::json;
use uuid::Uuid;

use super::{IBAN, Outside, of_kind};
use crate::support::{TestApp, problem};

/// The longest id: as long as other providers document, and each character as many bytes as there are.
fn long(mark: char) -> String {
    format!("{mark}{}", "\u{1d11e}".repeat(254))
}

/// F7: the tracking id, the profile's id and the card's.
#[tokio::test]
async fn ids_of_255_characters_are_taken_wherever_they_come() {
    let (_, app) = Outside::around(|request, _| match request {
        "POST /v1/profiles" => Some((201, json!({"profile_id": long('p')}))),
        "POST /v1/account-opening-requests" => {
            Some((202, json!({"account_opening_request_id": long('a'), "status": "INITIATED"})))
        }
        "POST /v1/virtual-cards" => Some((201, json!({"card_id": long('c')}))),
        _ if request.contains('?') => None,
        _ => Some((200, json!({"account_opening_request_id": long('a'), "status": "IN_PROGRESS"}))),
    })
    .await;
    let id = app.open().start().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["provider_reference"]), (&json!("awaiting_provider"), &json!(long('a'))));
    assert_eq!(app.post(&format!("/v1/account-openings/{id}/poll"), &json!({})).await.0, 202);
    app.settle().await;
    assert_eq!(app.opening(&id).await["provider_status"], "IN_PROGRESS");
    // A second tracking id is a case, under a cause that holds both.
    let (reference, second) = (Uuid::nil().to_string(), long('b'));
    let foreign = json!({"account_opening_request_id": second, "reference": id, "status": "IN_PROGRESS"});
    let mismatch = json!({"account_opening_request_id": long('a'), "reference": reference, "status": "IN_PROGRESS"});
    for data in [foreign, mismatch] {
        app.webhook().data(data).acknowledged().await;
    }
    app.settle().await;
    assert_eq!(app.items("/v1/cases").await.len(), 2);
    let body = json!({"account_opening_request_id": long('a'), "status": "COMPLETED", "iban": IBAN});
    assert_eq!(app.post("/company/account-opening/set-status-sandbox", &body).await.0, 202);
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["card_id"]), (&json!("completed"), &json!(long('c'))));
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

/// F7: and what an operator names; one character more is refused.
#[tokio::test]
async fn an_operator_may_name_a_tracking_id_of_255_characters() {
    let (_, app) =
        Outside::around(|request, _| (request == "POST /v1/account-opening-requests").then(|| (503, json!({})))).await;
    let id = app.open().start().await;
    app.settle().await;
    let path = format!("/v1/account-openings/{id}/resolve");
    let resolution = |reference: &str| {
        json!({"outcome": "completed", "reason": "r", "evidence": "e", "iban": IBAN, "bic": "NEXUBEBB",
               "provider_reference": reference})
    };
    let longer = app.request(reqwest::Method::POST, &path).json(&resolution(&(long('a') + "x"))).send().await.unwrap();
    problem(longer, 422, "validation-failed").await;
    assert_eq!(app.post(&path, &resolution(&long('a'))).await.0, 202);
    app.settle().await;
    assert_eq!(app.opening(&id).await["provider_reference"], long('a'));
    app.finish().await;
}

/// The forms in which a UUID is written.
fn forms(id: &str) -> Vec<String> {
    let uuid = Uuid::parse_str(id).unwrap();
    vec![
        id.to_uppercase(),
        uuid.simple().to_string(),
        uuid.simple().to_string().to_uppercase(),
        uuid.braced().to_string(),
        uuid.urn().to_string(),
        uuid.urn().to_string().to_uppercase(),
        format!(" {id} "),
    ]
}

/// F9, P9: a submission with a lost answer is found in the list.
#[tokio::test]
async fn a_submission_is_found_in_the_list_whichever_form_the_bank_gives_our_reference() {
    for form in 0..forms(&Uuid::nil().to_string()).len() {
        let (outside, app) = Outside::around(move |request, _| {
            if request == "POST /v1/account-opening-requests" {
                return Some((503, json!({})));
            }
            let reference = request.split_once("?reference=")?.1;
            let item = json!({"account_opening_request_id": "aor_1", "reference": forms(reference)[form], "status": "IN_PROGRESS"});
            Some((200, json!({"items": [item], "next_cursor": null})))
        })
        .await;
        let id = app.open().start().await;
        app.settle().await;
        app.pass_settling(chrono::TimeDelta::minutes(1), chrono::TimeDelta::seconds(5)).await;
        let opening = app.opening(&id).await;
        assert_eq!(opening["provider_reference"], "aor_1", "{}: {opening}", forms(&id)[form]);
        assert_eq!(outside.made("POST /v1/account-opening-requests"), 1, "{}", forms(&id)[form]);
        app.finish().await;
    }
}

/// F9: a webhook, with the tracking id and without; another opening's reference is one case in all its forms.
#[tokio::test]
async fn a_webhook_is_about_our_opening_whichever_form_our_reference_has() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for reference in forms(&id) {
        for tracking_id in [Some(&tracking_id), None] {
            let data =
                json!({"account_opening_request_id": tracking_id, "reference": reference, "status": "IN_PROGRESS"});
            app.webhook().data(data).acknowledged().await;
            app.state.ingest.forget_bursts();
            app.settle().await;
        }
    }
    let told = of_kind(&app, &id, "webhook").await;
    let outcomes: Vec<_> = told.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, vec!["recorded"; forms(&id).len() * 2]);
    assert!(app.items("/v1/cases").await.is_empty());

    let other = app.state.shell.ids.next().to_string();
    for reference in forms(&other) {
        let data = json!({"account_opening_request_id": tracking_id, "reference": reference, "status": "IN_PROGRESS"});
        app.webhook().data(data).acknowledged().await;
        app.settle().await;
    }
    let cases = app.items("/v1/cases").await;
    assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("correlation_mismatch")), "{cases:?}");
    app.finish().await;
}

/// F9: items of the list that name our reference alone; the same item in another form is the same.
#[tokio::test]
async fn a_list_item_is_about_our_opening_whichever_form_our_reference_has() {
    let (outside, app) = Outside::around(|_, _| None).await;
    let id = app.open().start().await;
    app.settle().await;
    let item = |reference: &String| json!({"reference": reference, "status": "IN_PROGRESS", "updated_at": "t"});
    outside.listed(&app, &forms(&id).iter().map(item).collect::<Vec<_>>()).await;
    let told = of_kind(&app, &id, "list").await;
    let outcomes: Vec<_> = told.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, [vec!["recorded"], vec!["duplicate"; forms(&id).len() - 1]].concat());
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

//! Acts above one click: the page shows what they will do, needs a reason, and takes what must be typed.

use serde_json::Value;
use world::{Fault, Plan};

use super::{OPERATOR, READER, Visitor, location, recorded_acts, rehearsal};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";

async fn completed(app: &TestApp) -> String {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    id
}

async fn last_act(app: &TestApp) -> Value {
    app.get("/v1/operator-actions?limit=1").await["items"][0].clone()
}

#[tokio::test]
async fn ending_an_opening_shows_first_what_it_will_do_and_then_does_that() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = format!("/openings/{id}/resolve");
    let before = app.rows().await;
    let page = visitor.page(&path).await;
    assert!(rehearsal(&page).contains("moves the opening from awaiting provider to failed"), "{}", rehearsal(&page));
    assert!(rehearsal(&page).contains("tells subscribers: account_opening.failed"));
    assert_eq!(app.rows().await, before, "a rehearsal writes nothing");
    // The error stands beside its field, and the typed text stays.
    let answer = visitor.act(&page, "resolve", &[("outcome", "failed"), ("evidence", "their letter")]).await;
    assert_eq!(answer.status(), 422);
    let again = answer.text().await.unwrap();
    assert!(again.contains("Reason is required") && again.contains("their letter"), "{again}");
    assert_eq!(app.rows().await, before);
    let fields = [("outcome", "failed"), ("reason", "seen at the bank"), ("evidence", "their letter")];
    let answer = visitor.act(&again, "resolve", &fields).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("/openings/{id}#done-resolve").as_str()));
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "failed");
    assert_eq!(recorded_acts(&app).await, ["sign_in", "resolve"]);
    // The same form again is answered as then, and does nothing.
    assert_eq!(visitor.act(&again, "resolve", &fields).await.status(), 303);
    assert_eq!(recorded_acts(&app).await.len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn an_end_with_an_account_takes_the_last_characters_of_its_iban_a_second_time() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(&format!("/openings/{id}/resolve")).await;
    let account = [
        ("outcome", "completed"),
        ("reason", "seen at the bank"),
        ("evidence", "their letter"),
        ("iban", "BE68 5390 0754 7034"),
        ("bic", "NEXUBEBB"),
    ];
    for typed in ["", "7035", "BE68"] {
        let answer = visitor.act(&page, "resolve", &[&account[..], &[("confirm", typed)]].concat()).await;
        assert_eq!(answer.status(), 422, "{typed}");
        assert!(answer.text().await.unwrap().contains("last four characters of the IBAN above"));
    }
    let answer = visitor.act(&page, "resolve", &[&account[..], &[("confirm", "7034")]].concat()).await;
    assert_eq!(answer.status(), 303);
    app.settle().await;
    assert_eq!(app.opening(&id).await["iban"], IBAN);
    app.finish().await;
}

#[tokio::test]
async fn a_form_of_an_opening_that_has_moved_shows_what_changed_and_does_nothing() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(&format!("/openings/{id}/resolve")).await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let fields = [("outcome", "failed"), ("reason", "r"), ("evidence", "e")];
    let answer = visitor.act(&page, "resolve", &fields).await;
    assert_eq!(answer.status(), 409);
    let text = answer.text().await.unwrap();
    assert!(text.contains("You saw version 3") && text.contains("version 5: completed"), "{text}");
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}

#[tokio::test]
async fn an_erasure_takes_its_word_and_only_an_opening_that_has_ended() {
    let app = TestApp::start().await;
    let (waiting, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    assert!(rehearsal(&visitor.page(&format!("/openings/{waiting}/erase")).await).contains("Not possible"));
    let id = completed(&app).await;
    let page = visitor.page(&format!("/openings/{id}/erase")).await;
    assert!(rehearsal(&page).contains("cannot be undone"));
    let refused = visitor.act(&page, "erase", &[("reason", "asked for"), ("confirm", "yes")]).await;
    assert_eq!(refused.status(), 422);
    let answer = visitor.act(&page, "erase", &[("reason", "asked for"), ("confirm", "erase")]).await;
    assert_eq!(answer.status(), 303);
    assert!(app.opening(&id).await["erased_at"].is_string());
    assert!(visitor.page(&format!("/openings/{id}")).await.contains("erased"));
    app.finish().await;
}

#[tokio::test]
async fn a_reveal_is_recorded_and_shown_one_time() {
    let app = TestApp::start().await;
    let id = completed(&app).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(&format!("/openings/{id}/reveal")).await;
    let answer = visitor.act(&page, "reveal_personal_data", &[("reason", "the customer asked")]).await;
    assert_eq!(answer.status(), 303);
    let path = location(&answer).to_owned();
    assert_eq!(last_act(&app).await["action"], "reveal_personal_data");
    let other = Visitor::signed_in(&app, crate::support::TOKEN).await;
    assert!(!other.page(&path).await.contains("Acme BV"), "another person's link shows nothing");
    let shown = visitor.page(&path).await;
    assert!(shown.contains("Acme BV") && shown.contains("ops@acme.example") && shown.contains(IBAN));
    let again = visitor.page(&path).await;
    assert!(!again.contains("Acme BV") && !again.contains(IBAN));
    assert_eq!(Visitor::signed_in(&app, READER).await.get(&path).await.status(), 403);
    // The form again leads to the same page, which shows nothing any more.
    let answer = visitor.act(&page, "reveal_personal_data", &[("reason", "the customer asked")]).await;
    assert_eq!(location(&answer), path);
    let recorded = recorded_acts(&app).await;
    assert_eq!(recorded.iter().filter(|it| *it == "reveal_personal_data").count(), 1);
    app.finish().await;
}

#[tokio::test]
async fn dead_letters_and_cases_of_an_opening_are_acted_on_from_its_page() {
    let app = TestApp::start().await;
    let plan = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = format!("/openings/{id}");
    let page = visitor.page(&path).await;
    assert!(page.contains(r#"data-next="nothing""#) && page.contains("dead letter is redriven"));
    let link = page.split(r#"" data-act="redrive_dead_letter""#).next().unwrap().rsplit("href=\"").next().unwrap();
    let confirm = visitor.page(link).await;
    assert!(rehearsal(&confirm).contains("makes create profile (outbox) pending again"), "{}", rehearsal(&confirm));
    let answer = visitor.act(&confirm, "redrive_dead_letter", &[("reason", "repaired")]).await;
    let letter = link.trim_end_matches("/redrive");
    assert_eq!(location(&answer), format!("{letter}#done-redrive_dead_letter"));
    assert!(visitor.page(letter).await.contains(&format!(r#"href="{path}""#)), "it leads to the opening");
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");

    let id = completed(&app).await;
    let reference = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
    app.webhook().completed(&reference, "BE71096123456769").acknowledged().await;
    app.settle().await;
    let path = format!("/openings/{id}");
    let page = visitor.page(&path).await;
    let link = page.split(r#"" data-act="resolve_case""#).next().unwrap().rsplit("href=\"").next().unwrap();
    let confirm = visitor.page(link).await;
    let answer = visitor.act(&confirm, "resolve_case", &[("reason", "the first account holds")]).await;
    let case = link.trim_end_matches("/resolve");
    assert_eq!(location(&answer), format!("{case}#done-resolve_case"));
    assert!(visitor.page(case).await.contains(&format!(r#"href="{path}""#)), "it leads to the opening");
    assert!(!visitor.page(&path).await.contains(r#"data-act="resolve_case""#));
    assert_eq!(recorded_acts(&app).await, ["sign_in", "redrive_dead_letter", "resolve_case"]);
    app.finish().await;
}

#[tokio::test]
async fn an_iban_is_checked_without_showing_ours_and_nothing_is_recorded() {
    let app = TestApp::start().await;
    let id = completed(&app).await;
    let visitor = Visitor::signed_in(&app, READER).await;
    for (iban, result) in [
        ("BE68 5390 0754 7034", "equal"),
        ("BE71096123456769", "different"),
        ("BE68539007547035", "not_an_iban"),
        ("<script>", "not_an_iban"),
    ] {
        let answer = visitor.post(&format!("/openings/{id}/check-iban"), &[("iban", iban)]).await;
        assert_eq!(answer.status(), 200);
        let page = answer.text().await.unwrap();
        assert!(page.contains(&format!(r#"data-result="{result}""#)) && !page.contains(IBAN), "{iban}: {page}");
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}

#[tokio::test]
async fn no_role_below_operator_reaches_an_act_by_page_or_by_form() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    for token in [READER, "caller-token"] {
        let visitor = Visitor::signed_in(&app, token).await;
        for act in ["poll", "resolve", "erase", "reveal"] {
            let path = format!("/openings/{id}/{act}");
            assert_eq!(visitor.post(&path, &[("reason", "x")]).await.status(), 403, "{act}");
            if act != "poll" {
                assert_eq!(visitor.get(&path).await.status(), 403, "{act}");
            }
        }
        for path in [
            "/dead-letters/{id}/redrive",
            "/dead-letters/{id}/discard",
            "/cases/{id}/resolve",
            "/refused/{id}/reverify",
            "/bulk",
            "/bulk/{id}/start",
            "/bulk/{id}/stop",
        ] {
            assert_eq!(visitor.post(&path.replace("{id}", &id), &[("reason", "x")]).await.status(), 403, "{path}");
        }
    }
    assert!(recorded_acts(&app).await.iter().all(|it| it == "sign_in"));
    app.finish().await;
}

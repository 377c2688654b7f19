//! One form is one act: a form that is sent again does nothing and shows the same, with any result of its act.

use futures::future::join_all;

use super::browser::pages::{ACTS, PAGES, Story};
use super::{OPERATOR, Visitor, form, has_the_headers_of_a_page, location, recorded_acts};
use crate::support::{TOKEN, TestApp};

async fn letter(app: &TestApp) -> String {
    app.webhook().body("{}").acknowledged().await;
    app.settle().await;
    app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned()
}

/// Another person had redriven the letter before the form was sent: the form did nothing. When the letter is dead again, the same
/// form does nothing again; only a new form acts.
#[tokio::test]
async fn a_form_whose_act_had_been_done_before_does_nothing_when_it_is_sent_again() {
    let app = TestApp::start().await;
    let id = letter(&app).await;
    let (first, second) = (Visitor::signed_in(&app, OPERATOR).await, Visitor::signed_in(&app, TOKEN).await);
    let path = format!("/dead-letters/{id}/redrive");
    let (mine, theirs) = (first.page(&path).await, second.page(&path).await);
    let done = format!("/dead-letters/{id}#done-redrive_dead_letter");
    let acts = || async { recorded_acts(&app).await.into_iter().filter(|it| it == "redrive_dead_letter").count() };
    for (visitor, page) in [(&first, &mine), (&second, &theirs)] {
        let answer = visitor.act(page, "redrive_dead_letter", &[("reason", "again")]).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, done.as_str()));
    }
    assert_eq!(acts().await, 1, "the second form found it done");
    app.settle().await;
    assert_eq!(app.items("/v1/dead-letters").await.len(), 1, "it is dead again");
    for (visitor, page) in [(&first, &mine), (&second, &theirs)] {
        let answer = visitor.act(page, "redrive_dead_letter", &[("reason", "again")]).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, done.as_str()));
    }
    assert_eq!((acts().await, app.items("/v1/dead-letters").await.len()), (1, 1), "neither form acts a second time");
    let new = second.page(&path).await;
    assert_eq!(second.act(&new, "redrive_dead_letter", &[("reason", "again")]).await.status(), 303);
    assert_eq!(acts().await, 2);
    app.settle().await;
    app.finish().await;
}

/// Of equal forms that are sent at once one acts, and each is answered as that one.
#[tokio::test]
async fn equal_forms_that_are_sent_at_once_are_answered_alike() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    for round in 0..5 {
        let id = letter(&app).await;
        let (opening, _) = app.open().key(&format!("key_{round}")).waiting().await;
        for (path, act) in [
            (format!("/openings/{opening}/resolve"), "resolve"),
            (format!("/dead-letters/{id}/discard"), "discard_dead_letter"),
        ] {
            let page = visitor.page(&path).await;
            let fields: &[(&str, &str)] = match act {
                "resolve" => &[("reason", "r"), ("outcome", "failed"), ("evidence", "e")],
                _ => &[("reason", "r")],
            };
            let answers = join_all((0..4).map(|_| visitor.act(&page, act, fields))).await;
            let answers: Vec<_> = answers.iter().map(|it| (it.status().as_u16(), location(it).to_owned())).collect();
            assert!(answers.iter().all(|it| it.0 == 303 && *it == answers[0]), "{act}: {answers:?}");
        }
        app.settle().await;
    }
    let acts = recorded_acts(&app).await;
    assert_eq!(acts.iter().filter(|it| *it != "sign_in").count(), 10, "{acts:?}");
    app.finish().await;
}

/// The form of every act, with its own hidden fields and others that are wrong.
#[tokio::test]
async fn missing_doubled_extra_and_megabyte_fields_are_refused_by_every_form_and_leave_nothing() {
    let app = TestApp::start().await;
    let story = Story::tell(&app).await;
    let visitor = Visitor::signed_in(&app, TOKEN).await;
    let megabyte = "x".repeat(1 << 20);
    // An upload is another kind of form: `uploads.rs`.
    for (name, path) in PAGES.iter().filter(|it| ACTS.contains(&it.0) && it.0 != "upload") {
        let page = visitor.page(&story.path(path)).await;
        let act = page.split("data-act=\"").nth(1).unwrap().split('"').next().unwrap();
        let action = form(&page, act).action;
        let before = app.rows().await;
        let wrong = [
            (422, vec![]),
            (422, vec![("reason", "x"), ("reason", "x")]),
            (400, vec![("reason", "x"), ("another", "x")]),
            (413, vec![("reason", megabyte.as_str())]),
        ];
        for (status, fields) in wrong {
            let sent: Vec<&str> = fields.iter().map(|it| it.0).collect();
            let answer = visitor.act(&page, act, &fields).await;
            assert_eq!(answer.status(), status, "{name} {sent:?}");
            has_the_headers_of_a_page(answer.headers());
            assert!(answer.text().await.unwrap().contains("<h1>"), "{name} {sent:?}");
        }
        for (status, body) in [(422, "form=%ff&reason=%zz"), (422, "")] {
            let request = visitor.request(reqwest::Method::POST, &action).header("sec-fetch-site", "same-origin");
            let typed = request.header("content-type", "application/x-www-form-urlencoded");
            assert_eq!(typed.body(body).send().await.unwrap().status(), status, "{name} {body:?}");
        }
        assert_eq!(app.rows().await, before, "{name}");
    }
    app.finish().await;
}

/// A refusal that is not the form's own act stays one.
#[tokio::test]
async fn a_form_that_another_persons_act_came_before_is_refused() {
    let app = TestApp::start().await;
    let id = letter(&app).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(&format!("/dead-letters/{id}/redrive")).await;
    let body = serde_json::json!({"reason": "not ours"});
    assert_eq!(app.post(&format!("/v1/dead-letters/{id}/discard"), &body).await.0, 202);
    assert_eq!(visitor.act(&page, "redrive_dead_letter", &[("reason", "again")]).await.status(), 409);
    assert_eq!(recorded_acts(&app).await, ["sign_in", "discard_dead_letter"]);
    app.finish().await;
}

//! The page of an opening: what it says, and the acts on it.

use account_opening::clock::Time;
use chrono::TimeDelta;
use serde_json::Value;

use super::{OPERATOR, READER, Visitor, form, location, recorded_acts};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";

fn page_of(id: &str) -> String {
    format!("/openings/{id}")
}

/// The coming events of a page: kind, and time if it has one.
fn coming(page: &str) -> Vec<(String, Option<Time>)> {
    let events = page.split("data-next=\"").skip(1).map(|it| it.split("</li>").next().unwrap());
    let time = |it: &str| Some(it.split("datetime=\"").nth(1)?.split('"').next()?.parse().unwrap());
    events.map(|it| (it.split('"').next().unwrap().to_owned(), time(it))).collect()
}

#[tokio::test]
async fn the_timeline_has_rests_rows_one_to_one_newest_first_in_pages() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    for _ in 0..4 {
        app.pass(TimeDelta::minutes(30));
        app.settle().await;
    }
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let mut rests: Vec<String> = app
        .items(&format!("/v1/account-openings/{id}/timeline"))
        .await
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    rests.reverse();
    let visitor = Visitor::signed_in(&app, READER).await;
    let ids = |page: &str| -> Vec<String> {
        page.split("data-timeline-id=\"").skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect()
    };
    let whole = visitor.page(&page_of(&id)).await;
    assert_eq!(ids(&whole), rests);
    assert!(whole.contains("<details>") && whole.contains("4 equal polls"), "equal polls are folded");
    let (mut paged, mut path) = (Vec::new(), format!("{}?limit=5", page_of(&id)));
    loop {
        let page = visitor.page(&path).await;
        paged.extend(ids(&page));
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        path = format!("{}&limit=5", next.split(['"', '#']).next().unwrap());
    }
    assert_eq!(paged, rests);
    app.finish().await;
}

/// P34
#[tokio::test]
async fn the_next_step_that_the_page_names_then_happens() {
    let long = |raw: &mut account_opening::config::RawSettings| {
        raw.dashboard.session_idle = "1d".to_owned();
        raw.dashboard.session_max = "1d".to_owned();
    };
    let app = TestApp::with().settings(long).start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let mut seen = Vec::new();
    loop {
        let page = visitor.page(&page_of(&id)).await;
        let (kind, at) = coming(&page)[0].clone();
        let Some(at) = at else {
            assert_eq!(kind, "nothing");
            break;
        };
        let before = app.opening(&id).await;
        app.pass(at - app.now() - TimeDelta::milliseconds(1));
        app.settle().await;
        let place = |opening: &Value| [opening["state"].clone(), opening["next_poll_at"].clone()];
        assert_eq!(place(&app.opening(&id).await), place(&before), "nothing happens before {at}");
        app.pass(TimeDelta::milliseconds(1));
        app.settle().await;
        assert_ne!(place(&app.opening(&id).await), place(&before), "{kind} at {at}");
        seen.push(kind);
    }
    assert_eq!(app.opening(&id).await["state"], "escalated");
    assert_eq!(seen.len(), 24, "a poll every half hour for twelve hours: {seen:?}");
    app.finish().await;
}

#[tokio::test]
async fn ours_stands_beside_theirs_and_what_contradicts_is_marked() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let compared = async |expected: &str, class: &str| {
        let page = visitor.page(&page_of(&id)).await;
        let mark = format!(r#"data-comparison="{expected}" data-class="{class}""#);
        assert!(page.contains(&mark), "{mark}: {}", page.split("<table").nth(1).unwrap_or_default());
        page
    };
    compared("unknown", "waiting").await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    compared("unknown", "unread").await;
    app.settle().await;
    let page = compared("agree", "").await;
    assert!(page.contains("BE68 •••• •••• 7034") && !page.contains(IBAN) && !page.contains(" data-differs"));
    app.webhook().completed(&reference, OTHER_IBAN).acknowledged().await;
    app.settle().await;
    let page = compared("differ", "conflicting_answer").await;
    let row = page.split(r#"data-field="iban""#).nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(row.starts_with(" data-differs") && row.contains("BE71 •••• •••• 6769"), "{row}");
    assert!(!page.contains(OTHER_IBAN));
    app.finish().await;
}

/// A charge that a file lacks says nothing about the account.
#[tokio::test]
async fn a_charge_that_is_missing_at_the_provider_is_no_missing_opening() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let is_missing = async || visitor.page(&page_of(&id)).await.contains(r#"data-class="missing_at_provider""#);
    for (kind, expected) in [("charges", false), ("register", true)] {
        sqlx::query(
            "insert into mismatches (id, provider, kind, subject, aspect, class, state, opening_id, ours, theirs,
                                     differences, suggested, look_at, created_at, updated_at)
             values (gen_random_uuid(), 'nexusbank', $2, 'x', 'x', 'MISSING_EXTERNAL', 'case', $1::uuid, '{}', '{}', '[]', '{}',
                     $3 + interval '30 days', $3, $3)",
        )
        .bind(&id)
        .bind(kind)
        .bind(app.now())
        .execute(&app.pool)
        .await
        .unwrap();
        assert_eq!(is_missing().await, expected, "{kind}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_reader_sees_neither_name_nor_address_nor_iban_and_no_act() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    for token in [READER, "caller-token"] {
        let page = Visitor::signed_in(&app, token).await.page(&page_of(&id)).await;
        for hidden in ["Acme", "ops@acme.example", IBAN, "data-act=\"poll\""] {
            assert!(!page.contains(hidden), "{hidden}");
        }
        assert!(page.contains("A… B…") && page.contains("o…@acme.example"));
    }
    let visitor = Visitor::signed_in(&app, READER).await;
    let answer = visitor.post(&format!("{}/poll", page_of(&id)), &[]).await;
    assert_eq!(answer.status(), 403);
    app.finish().await;
}

#[tokio::test]
async fn one_form_is_one_act_however_often_it_is_sent() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(&page_of(&id)).await;
    let all = futures::future::join_all((0..4).map(|_| visitor.act(&page, "poll", &[]))).await;
    for answer in all {
        assert_eq!(
            (answer.status().as_u16(), location(&answer)),
            (303, format!("{}#done-poll", page_of(&id)).as_str())
        );
    }
    app.settle().await;
    assert_eq!(visitor.act(&page, "poll", &[]).await.status(), 303);
    assert_eq!(recorded_acts(&app).await, ["sign_in", "poll"]);
    let again = visitor.page(&page_of(&id)).await;
    assert_ne!(form(&again, "poll").fields[0], form(&page, "poll").fields[0]);
    visitor.act(&again, "poll", &[]).await;
    assert_eq!(recorded_acts(&app).await.len(), 3, "another form is another act");
    app.finish().await;
}

#[tokio::test]
async fn an_act_that_cannot_be_done_is_disabled_and_says_why_and_a_stale_form_does_nothing() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let stale = visitor.page(&page_of(&id)).await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let answer = visitor.act(&stale, "poll", &[]).await;
    assert_eq!(answer.status(), 409);
    let page = visitor.page(&page_of(&id)).await;
    let button = page.split(r#"data-act="poll""#).nth(1).unwrap().split("</div>").next().unwrap();
    assert!(button.contains("disabled") && button.contains("does not wait"), "{button}");
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    app.finish().await;
}

#[tokio::test]
async fn texts_from_outside_are_text() {
    let app = TestApp::start().await;
    let hostile = "<script>alert(1)</script>{{7*7}}\u{202e}\"'&";
    let (id, reference) = app.open().customer(hostile).waiting().await;
    app.webhook().status(&reference, "<svg onload=alert(1)>").acknowledged().await;
    app.settle().await;
    let page = Visitor::signed_in(&app, OPERATOR).await.page(&page_of(&id)).await;
    assert!(!page.contains("<script>alert") && !page.contains("<svg onload"));
    assert!(page.contains("<bdi>&#60;script&#62;alert(1)&#60;/script&#62;{{7*7}}\u{202e}"), "{page}");
    app.finish().await;
}

#[tokio::test]
async fn the_history_is_verified_anew_and_a_changed_step_is_seen() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    assert!(visitor.page(&page_of(&id)).await.contains(r#"data-verified="3""#));
    let id_: uuid::Uuid = id.parse().unwrap();
    let change =
        "alter table opening_history disable trigger user; update opening_history set detail = 'x' where version = 2";
    sqlx::raw_sql(change).execute(&app.pool).await.unwrap();
    let page = visitor.page(&page_of(&id)).await;
    assert!(page.contains(r#"data-verified="1""#) && page.contains("Only 1 of 3"), "{page}");
    sqlx::query("update opening_history set detail = null where version = 2 and opening_id = $1")
        .bind(id_)
        .execute(&app.pool)
        .await
        .unwrap();
    let _: Value = app.opening(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn the_comparison_is_the_same_beside_every_page_of_the_timeline() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    app.webhook().status(&reference, "IN_PROGRESS").acknowledged().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let table =
        |page: &str| page.split("<table data-comparison").nth(1).unwrap().split("</table>").next().unwrap().to_owned();
    let whole = visitor.page(&page_of(&id)).await;
    let expected = table(&whole);
    assert!(expected.contains("COMPLETED"), "{expected}");
    let (mut path, mut pages) = (format!("{}?limit=1", page_of(&id)), 0);
    loop {
        let page = visitor.page(&path).await;
        assert_eq!(table(&page), expected, "{path}");
        pages += 1;
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        path = format!("{}&limit=1", next.split(['"', '#']).next().unwrap());
    }
    assert!(pages > 5, "{pages}");
    app.finish().await;
}

/// P34
#[tokio::test]
async fn the_next_step_knows_breakers_leases_and_dead_letters_on_the_page_and_in_the_list() {
    let app = TestApp::start().await;
    let (waiting, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let force = async |forced: Value| {
        let body = serde_json::json!({"forced": forced, "reason": "x"});
        let put = app.request(reqwest::Method::PUT, "/v1/breakers/nexusbank/lookup").json(&body);
        assert_eq!(put.send().await.unwrap().status(), 200);
    };
    force("open".into()).await;
    assert!(visitor.page(&page_of(&waiting)).await.contains("</time>, once its breaker closes"));
    assert!(visitor.page("/openings").await.contains("poll, held by its breaker"));
    force(Value::Null).await;
    assert!(!visitor.page(&page_of(&waiting)).await.contains("breaker"));

    let leased = app.open().start().await;
    let lease = "update outbox set lease_token = gen_random_uuid(), due_at = $2, claims = 1 where opening_id = $1";
    let id: uuid::Uuid = leased.parse().unwrap();
    let until = app.now() + TimeDelta::seconds(40);
    sqlx::query(lease).bind(id).bind(until).execute(&app.pool).await.unwrap();
    let page = visitor.page(&page_of(&leased)).await;
    assert!(page.contains("attempt 1 is under way"), "{page}");
    assert_eq!(coming(&page)[0], ("call".to_owned(), Some(until)), "it is repeated when its lease is over");
    assert!(visitor.page("/openings").await.contains("call under way, repeated"));
    app.pass(TimeDelta::seconds(41));
    assert!(visitor.page(&page_of(&leased)).await.contains("attempt 2 at"));
    app.settle().await;

    let plan = world::Plan { profile: vec![world::Fault::ErrorBefore { status: 422 }], ..world::Plan::by_hand() };
    let given_up = app.open().plan(plan).start().await;
    app.settle().await;
    assert_eq!(coming(&visitor.page(&page_of(&given_up)).await)[0].0, "nothing");
    assert!(visitor.page("/openings").await.contains("its dead letter waits"));
    app.finish().await;
}

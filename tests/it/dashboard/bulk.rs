//! Bulk runs: one act on a frozen list of dead letters, which it touches and nothing else.

use account_opening::acts::bulk::worker::BulkRuns;
use account_opening::driver::tick;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{OPERATOR, READER, Visitor, form, location, read_only, recorded, recorded_acts, rehearsal};
use crate::support::{TOKEN, TestApp};

/// So many messages that cannot be read.
async fn letters(app: &TestApp, count: usize) -> Vec<String> {
    for n in 0..count {
        app.webhook().body(format!("{{\"n\": {n}}}")).acknowledged().await;
    }
    app.settle().await;
    let items = app.items("/v1/dead-letters").await;
    items.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

/// Freezes the list of all unreadable messages; the path of its page.
async fn prepared(visitor: &Visitor, act: &str) -> String {
    let page = visitor.page("/dead-letters").await;
    let group = page.split(r#"data-cause="unreadable""#).nth(1).unwrap().split("</tr>").next().unwrap();
    let html = group.split("<form").find(|it| it.contains(&format!("value=\"{act}\""))).unwrap();
    let form = form(&format!("<form{html}"), "bulk");
    let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = visitor.post(&form.action, &fields).await;
    assert_eq!(answer.status(), 303);
    let path = location(&answer).to_owned();
    // The same form is the same list.
    assert_eq!(location(&visitor.post(&form.action, &fields).await), path);
    path
}

async fn started(visitor: &Visitor, path: &str, count: usize) {
    let page = visitor.page(path).await;
    let fields = [("reason", "the provider repaired it"), ("confirm", &count.to_string())];
    let answer = visitor.act(&page, "bulk", &fields).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("{path}#done-bulk").as_str()));
}

async fn letter(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/v1/dead-letters/{id}")).await
}

/// How often a letter was discarded, and its acts that name the run.
async fn acts_on(app: &TestApp, id: &str, run: &str) -> i64 {
    let sql = "select count(*) from operator_actions where action = 'discard_dead_letter' and subject = $1
                  and detail ->> 'bulk_run' = $2 and who = 'operator' and reason = 'the provider repaired it'";
    sqlx::query_scalar(sql).bind(id).bind(run).fetch_one(&app.pool).await.unwrap()
}

#[tokio::test]
async fn a_run_touches_the_list_that_was_shown_and_nothing_else() {
    let app = TestApp::start().await;
    let listed = letters(&app, 3).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = prepared(&visitor, "discard").await;
    assert_eq!(recorded_acts(&app).await, ["sign_in"], "a list is no act");
    let page = visitor.page(&path).await;
    assert!(page.contains(r#"data-items="3""#) && rehearsal(&page).contains("Ends each letter below"));
    assert!(listed.iter().all(|it| rehearsal(&page).contains(&format!("data-item=\"{it}\""))), "{page}");
    // One more letter comes, and one of the list is tried again, and dies again.
    let later = letters(&app, 4).await[0].clone();
    let again = json!({"reason": "try"});
    assert_eq!(app.post(&format!("/v1/dead-letters/{}/redrive", listed[0]), &again).await.0, 202);
    app.settle().await;
    let frozen = visitor.page(&path).await;
    assert!(frozen.contains(r#"data-items="3""#) && !frozen.contains(&later), "the list is frozen");
    // The count must be typed, and a reason given.
    for (fields, says) in [
        (vec![("reason", "r"), ("confirm", "4")], "must be the count of the list above"),
        (vec![("reason", "r")], "must be the count of the list above"),
        (vec![("confirm", "3")], "Reason is required"),
    ] {
        let answer = visitor.act(&frozen, "bulk", &fields).await;
        assert_eq!(answer.status(), 422);
        let text = answer.text().await.unwrap();
        assert!(text.contains(says) && text.contains(r#"aria-invalid="true""#), "{text}");
    }
    let fields = [("reason", "the provider repaired it"), ("confirm", "3")];
    assert_eq!(location(&visitor.act(&frozen, "bulk", &fields).await), format!("{path}#done-bulk"));
    app.settle().await;
    let page = visitor.page(&path).await;
    assert!(page.contains(r#"data-done="3""#) && page.contains("finished"), "{page}");
    assert!(
        page.contains(r#"<dd data-outcome="done">2</dd>"#) && page.contains(r#"<dd data-outcome="refused">1</dd>"#)
    );
    assert!(page.contains("it has changed since the list was frozen"));
    let run = path.rsplit('/').next().unwrap();
    for (id, status, acts) in
        [(&listed[0], "dead", 0), (&listed[1], "ignored", 1), (&listed[2], "ignored", 1), (&later, "dead", 0)]
    {
        assert_eq!(
            (letter(&app, id).await["status"].as_str(), acts_on(&app, id, run).await),
            (Some(status), acts),
            "{id}"
        );
    }
    // The form again does nothing, and is answered as the first time.
    let answer = visitor.act(&frozen, "bulk", &fields).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("{path}#done-bulk").as_str()));
    let bulk: Vec<_> = recorded(&app).await.into_iter().filter(|it| it.1 == "bulk").collect();
    assert_eq!(bulk, [("operator".to_owned(), "bulk".to_owned(), run.to_owned())]);
    app.finish().await;
}

#[tokio::test]
async fn a_run_is_for_operators_and_a_read_only_dashboard_starts_none() {
    let app = TestApp::start().await;
    letters(&app, 1).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = prepared(&visitor, "redrive").await;
    for token in [READER, "caller-token"] {
        let reader = Visitor::signed_in(&app, token).await;
        assert_eq!(reader.get(&path).await.status(), 403);
        for path in [format!("{path}/start"), format!("{path}/stop")] {
            assert_eq!(reader.post(&path, &[("reason", "x"), ("confirm", "1")]).await.status(), 403);
        }
        assert_eq!(reader.post("/bulk", &[("act", "redrive")]).await.status(), 403);
        assert!(!reader.page("/dead-letters").await.contains("data-act"));
    }
    let mut quiet = Visitor::at(&read_only(&app).await);
    quiet.sign_in(OPERATOR, "").await;
    assert!(!quiet.page(&path).await.contains("data-act"));
    assert_eq!(quiet.post(&format!("{path}/start"), &[("reason", "x"), ("confirm", "1")]).await.status(), 403);
    assert_eq!(quiet.post("/bulk", &[("act", "redrive")]).await.status(), 403);
    assert_eq!(visitor.get(&format!("/bulk/{}", app.state.shell.ids.next())).await.status(), 404);
    assert_eq!(location(&visitor.get(&format!("{path}/start")).await), path);
    let page = visitor.page("/dead-letters").await;
    let form = form(&page, "bulk");
    let wrong = [("form", form.fields[0].1.as_str()), ("act", "erase")];
    assert_eq!(visitor.post("/bulk", &wrong).await.status(), 422);
    assert!(recorded_acts(&app).await.iter().all(|it| it == "sign_in"));
    app.finish().await;
}

#[tokio::test]
async fn a_run_is_stopped_with_one_click_and_leaves_the_rest_alone() {
    let app = TestApp::start().await;
    letters(&app, 3).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = prepared(&visitor, "discard").await;
    started(&visitor, &path, 3).await;
    assert!(visitor.page("/dead-letters").await.contains(&format!("Under way: <a href=\"{path}\"")));
    let page = visitor.page(&path).await;
    for _ in 0..2 {
        let answer = visitor.act(&page, "stop_bulk", &[]).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("{path}#done-stop_bulk").as_str()));
    }
    app.settle().await;
    let page = visitor.page(&path).await;
    assert!(page.contains("stopped") && page.contains(r#"data-done="0""#) && !page.contains("data-act"), "{page}");
    assert_eq!(app.items("/v1/dead-letters").await.len(), 3);
    assert_eq!(recorded_acts(&app).await, ["sign_in", "bulk", "stop_bulk"]);
    app.finish().await;
}

/// Two replicas, and a third that dies with an item in its hands: no letter is acted on twice, and none is left out.
#[tokio::test]
async fn replicas_share_a_run_and_a_crash_in_the_middle_of_an_item_loses_nothing() {
    let app = TestApp::start().await;
    let listed = letters(&app, 40).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = prepared(&visitor, "discard").await;
    started(&visitor, &path, 40).await;
    // The one that dies: its transaction holds the first item, and ends without a commit.
    let mut dying = app.pool.begin().await.unwrap();
    let item = account_opening::db::bulk_runs::claim(&mut dying).await.unwrap().unwrap();
    let (one, other) = (BulkRuns(app.context.clone()), BulkRuns(app.context.clone()));
    let carried = join_all([&one, &other].map(|it| async { tick(it).await.unwrap() })).await;
    assert_eq!(carried.iter().map(|it| it.done).sum::<u64>(), 39, "{carried:?}");
    assert!(!visitor.page(&path).await.contains("finished"), "the run waits for the item");
    assert_eq!(letter(&app, &item.letter.to_string()).await["status"], "dead");
    dying.rollback().await.unwrap();
    app.settle().await;
    let page = visitor.page(&path).await;
    assert!(page.contains(r#"<dd data-outcome="done">40</dd>"#) && page.contains("finished"), "{page}");
    let run = path.rsplit('/').next().unwrap();
    for id in &listed {
        assert_eq!(acts_on(&app, id, run).await, 1, "{id}");
        let log = letter(&app, id).await["attempts"].to_string();
        assert_eq!(log.matches("discard").count(), 1, "{log}");
    }
    app.finish().await;
}

/// Two people start the same list at once: one of them does.
#[tokio::test]
async fn a_list_is_started_one_time() {
    let app = TestApp::start().await;
    letters(&app, 2).await;
    let (one, other) = (Visitor::signed_in(&app, OPERATOR).await, Visitor::signed_in(&app, TOKEN).await);
    let path = prepared(&one, "redrive").await;
    let (mine, theirs) = (one.page(&path).await, other.page(&path).await);
    let fields = [("reason", "r"), ("confirm", "2")];
    let answers = join_all([one.act(&mine, "bulk", &fields), other.act(&theirs, "bulk", &fields)]).await;
    let mut statuses: Vec<u16> = answers.iter().map(|it| it.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
    app.settle().await;
    let acts = recorded_acts(&app).await;
    assert_eq!(acts.iter().filter(|it| *it == "bulk").count(), 1, "{acts:?}");
    assert_eq!(acts.iter().filter(|it| *it == "redrive_dead_letter").count(), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_list_that_is_never_started_is_deleted_after_a_day() {
    let app = TestApp::start().await;
    letters(&app, 2).await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = prepared(&visitor, "redrive").await;
    app.pass(chrono::TimeDelta::hours(25));
    app.settle().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    assert_eq!(visitor.get(&path).await.status(), 404);
    let left: i64 = sqlx::query_scalar("select count(*) from bulk_items").fetch_one(&app.pool).await.unwrap();
    assert_eq!(left, 0);
    app.finish().await;
}

//! `/dead-letters` and `/dead-letters/{id}`.

use super::{OPERATOR, READER, Visitor, links, location, pages, recorded_acts, rehearsal};
use crate::support::TestApp;

/// A signed message that no adapter can read.
async fn unreadable(app: &TestApp, text: &str) -> String {
    app.webhook().body(text).acknowledged().await;
    app.settle().await;
    app.items("/v1/dead-letters?cause=unreadable").await[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn letters_are_grouped_by_cause_and_listed_with_rests_filters() {
    let app = TestApp::start().await;
    for n in 0..3 {
        unreadable(&app, &format!("{{\"type\": {n}}}")).await;
    }
    let visitor = Visitor::signed_in(&app, READER).await;
    let page = visitor.page("/dead-letters").await;
    let group = page.split(r#"<tr data-cause="unreadable">"#).nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(group.contains(r#"<td class="numbers">3</td>"#), "{group}");
    assert!(group.contains(r#"href="/dead-letters?queue=inbox&#38;cause=unreadable""#), "{group}");
    assert!(!page.contains("data-act"), "a reader acts on nothing");
    let listed = |page: &str| page.matches("scope=\"row\"><a href=\"/dead-letters/").count();
    assert_eq!(listed(&page), 3);
    assert_eq!(listed(&visitor.page("/dead-letters?queue=inbox&cause=unreadable").await), 3);
    assert_eq!(listed(&visitor.page("/dead-letters?queue=outbox&cause=").await), 0);
    assert_eq!(listed(&visitor.page("/dead-letters?cause=refused").await), 0);
    let all = pages(&visitor, "/dead-letters?limit=1&cause=unreadable").await;
    assert_eq!((all.len(), listed(&all.concat())), (3, 3));
    assert_eq!(visitor.get("/dead-letters?queue=x").await.status(), 422);
    assert_eq!(app.items("/v1/dead-letters?cause=unreadable").await.len(), 3);
    assert_eq!(app.items("/v1/dead-letters?cause=refused").await.len(), 0);
    app.finish().await;
}

/// A letter without a cause stands under `unknown`, and is found by it.
#[tokio::test]
async fn letters_without_a_cause_are_found_by_the_group_that_counts_them() {
    let app = TestApp::start().await;
    let id = unreadable(&app, "{}").await;
    sqlx::query("update inbox set outcome = null where status = 'dead'").execute(&app.pool).await.unwrap();
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page("/dead-letters").await;
    let group = page.split(r#"<tr data-cause="unknown">"#).nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(group.contains(r#"href="/dead-letters?queue=inbox&#38;cause=unknown""#), "{group}");
    let listed = visitor.page("/dead-letters?queue=inbox&cause=unknown").await;
    assert!(listed.contains(&format!("href=\"/dead-letters/{id}\"")), "{listed}");
    assert_eq!(app.items("/v1/dead-letters?cause=unknown").await.len(), 1);
    let answer = visitor.act(&page, "bulk", &[]).await;
    let run = visitor.page(location(&answer)).await;
    assert!(run.contains("data-items=\"1\""), "its bulk run has it too: {run}");
    app.finish().await;
}

#[tokio::test]
async fn a_letters_payload_is_bytes_for_operators_and_masked_for_readers() {
    let app = TestApp::start().await;
    let text = r#"{"type":7,"status":"<script>alert(1)</script>","name":"Jane Doe","to":"jane@acme.example","iban":"BE68539007547034"}"#;
    let id = unreadable(&app, text).await;
    let no_json = unreadable(&app, "Jane Doe BE68539007547034 <script>").await;
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    let page = operator.page(&format!("/dead-letters/{id}")).await;
    assert!(page.contains("&#60;script&#62;") && !page.contains("<script>alert"), "{page}");
    assert!(page.contains("Jane Doe") && page.contains("BE68539007547034"));
    assert!(page.contains("00000000  7b 22 74 79 70 65 22 3a"), "its bytes in hexadecimal");
    assert!(page.contains("unreadable") && page.contains("webhook-id"), "attempts and headers");
    for token in [READER, "caller-token"] {
        let reader = Visitor::signed_in(&app, token).await;
        for id in [&id, &no_json] {
            let page = reader.page(&format!("/dead-letters/{id}")).await;
            for secret in ["Jane", "jane@", "BE68539007547034", "<script>alert", "00000000"] {
                assert!(!page.contains(secret), "{secret}: {page}");
            }
            assert!(!page.contains("data-act"));
        }
        assert!(reader.page(&format!("/dead-letters/{id}")).await.contains("BE68 •••• •••• 7034"));
    }
    assert_eq!(operator.get(&format!("/dead-letters/{}", app.state.shell.ids.next())).await.status(), 404);
    app.finish().await;
}

#[tokio::test]
async fn a_letter_is_redriven_and_discarded_from_its_page_and_the_way_back_is_its_page() {
    let app = TestApp::start().await;
    let id = unreadable(&app, "{}").await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = format!("/dead-letters/{id}");
    let page = visitor.page(&path).await;
    let (redrive, discard) = (links(&page, "redrive_dead_letter")[0], links(&page, "discard_dead_letter")[0]);
    let form = visitor.page(redrive).await;
    assert!(form.contains(&format!("<a href=\"{path}\">Back</a>")), "{form}");
    assert!(rehearsal(&form).contains("pending again"));
    let answer = visitor.act(&form, "redrive_dead_letter", &[("reason", "again")]).await;
    assert_eq!(location(&answer), format!("{path}#done-redrive_dead_letter"));
    app.settle().await;
    let form = visitor.page(discard).await;
    let answer = visitor.act(&form, "discard_dead_letter", &[("reason", "not ours")]).await;
    assert_eq!(location(&answer), format!("{path}#done-discard_dead_letter"));
    let page = visitor.page(&path).await;
    assert_eq!(page.matches("disabled aria-describedby").count(), 2, "{page}");
    assert!(page.contains("It is no longer a dead letter") && page.contains("not ours"));
    assert_eq!(recorded_acts(&app).await, ["sign_in", "redrive_dead_letter", "discard_dead_letter"]);
    let found = visitor.post("/search", &[("q", &id)]).await;
    assert_eq!(found.status(), 200, "a letter that was discarded is a message without an opening");
    app.finish().await;
}

//! `/providers`: breakers, webhooks, lists and secrets, and the acts on them.

use super::{OPERATOR, READER, Visitor, location, recorded_acts};
use crate::support::TestApp;

const FORCE: &str = "/providers/cards/breakers/issue";
const BACKFILL: &str = "/providers/nexusbank/backfill";

#[tokio::test]
async fn the_page_shows_breakers_webhooks_answers_and_secrets_and_offers_acts_to_operators() {
    let app = TestApp::start().await;
    let (_, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, "BE68539007547034").acknowledged().await;
    app.settle().await;
    let page = Visitor::signed_in(&app, READER).await.page("/providers").await;
    for part in ["data-breaker=\"nexusbank/submit\"", "closed", "<td class=\"numbers\">0 %</td>", "yes, as number 1"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("data-act=\"force_breaker\"") && !page.contains("data-act=\"backfill\""));
    let page = Visitor::signed_in(&app, OPERATOR).await.page("/providers").await;
    assert!(page.contains(&format!("href=\"{FORCE}\" data-act=\"force_breaker\"")));
    assert!(page.contains(&format!("href=\"{BACKFILL}\" data-act=\"backfill\"")));
    app.finish().await;
}

#[tokio::test]
async fn a_breaker_is_forced_once_with_a_reason_and_the_page_says_by_whom_and_why() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(FORCE).await;
    assert!(page.contains("data-rehearsal") && page.contains("replaces automatic control"), "{page}");
    assert_eq!(recorded_acts(&app).await, ["sign_in"], "a rehearsal writes nothing");
    let answer = visitor.act(&page, "force_breaker", &[("forced", "open")]).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("Reason is required"));
    let fields = [("forced", "open"), ("reason", "<b>maintenance</b>")];
    for _ in 0..2 {
        let answer = visitor.act(&page, "force_breaker", &fields).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/providers#done-force_breaker"));
    }
    let page = visitor.page("/providers").await;
    assert!(page.contains("forced open") && page.contains("<bdi>&#60;b&#62;maintenance&#60;/b&#62;</bdi>"), "{page}");
    let again = visitor.page(FORCE).await;
    assert!(again.contains("replaces: forced open by operator"), "{again}");
    let fields = [("forced", "automatic"), ("reason", "done")];
    assert_eq!(visitor.act(&again, "force_breaker", &fields).await.status(), 303);
    assert!(!visitor.page("/providers").await.contains("forced open"));
    assert_eq!(recorded_acts(&app).await, ["sign_in", "force_breaker", "force_breaker"]);
    assert_eq!(visitor.get("/providers/cards/breakers/nothing").await.status(), 404);
    app.finish().await;
}

#[tokio::test]
async fn a_list_is_read_again_once_with_a_reason_and_its_progress_is_shown() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let page = visitor.page(BACKFILL).await;
    assert!(page.contains("reads the list page by page"), "{page}");
    for (field, value, says) in [("reason", "", "Reason is required"), ("since", "yesterday", "Changes since must")] {
        let fields = [("reason", "lost webhooks"), ("since", "")]
            .map(|(name, it)| (name, if name == field { value } else { it }));
        let answer = visitor.act(&page, "backfill", &fields).await;
        assert_eq!(answer.status(), 422);
        let text = answer.text().await.unwrap();
        assert!(text.contains(says), "{text}");
    }
    for _ in 0..2 {
        let answer = visitor.act(&page, "backfill", &[("reason", "lost webhooks")]).await;
        assert_eq!(location(&answer), "/providers#done-backfill");
    }
    app.settle().await;
    let page = visitor.page("/providers").await;
    assert!(page.contains("lost webhooks") && page.contains("<td>done</td>"), "{page}");
    assert_eq!(recorded_acts(&app).await, ["sign_in", "backfill"]);
    assert_eq!(visitor.get("/providers/nobank/backfill").await.status(), 404);
    app.finish().await;
}

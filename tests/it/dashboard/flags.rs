//! `/flags`: the rule that decides, where it comes from, and the admin's act.

use super::{OPERATOR, READER, Visitor, location, recorded_acts};
use crate::support::{TOKEN, TestApp};

fn cell<'a>(page: &'a str, market: &str) -> &'a str {
    let row = page.split(&format!("data-market=\"{market}\"")).nth(1).unwrap().split("</tr>").next().unwrap();
    row.split("<td>").nth(1).unwrap()
}

#[tokio::test]
async fn an_admin_sets_the_flag_after_a_rehearsal_and_the_page_says_which_rule_decides() {
    let app = TestApp::start().await;
    for market in ["BE", "BE", "NL"] {
        app.open().market(market).start().await;
    }
    app.settle().await;
    let admin = Visitor::signed_in(&app, TOKEN).await;
    let page = admin.page("/flags").await;
    assert!(cell(&page, "BE").contains("<strong>on</strong>") && cell(&page, "BE").contains("no rule"));
    assert!(
        page.contains(
            "href=\"/flags/set?market=BE&#38;customer_type=company&#38;enabled=false\" data-act=\"set_flag\""
        )
    );
    let path = "/flags/set?market=BE&customer_type=company&enabled=false";
    let page = admin.page(path).await;
    assert!(page.contains("newest 3 openings") && page.contains("starts 2 of them on another flow"), "{page}");
    assert_eq!(recorded_acts(&app).await, ["sign_in"], "a rehearsal writes nothing");
    let rule = [("market", "BE"), ("customer_type", "company"), ("enabled", "false"), ("percentage", "100")];
    for (reason, confirm, says) in
        [("", "BE", "Reason is required"), ("legacy week", "all", "must be the market above, or all")]
    {
        let answer =
            admin.act(&page, "set_flag", &[&rule[..], &[("reason", reason), ("confirm", confirm)]].concat()).await;
        assert_eq!(answer.status(), 422, "{says}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(says), "{text}");
    }
    for _ in 0..2 {
        let answer = admin
            .act(&page, "set_flag", &[&rule[..], &[("reason", "<i>legacy</i>"), ("confirm", "be")]].concat())
            .await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/flags#done-set_flag"));
    }
    assert_eq!(recorded_acts(&app).await, ["sign_in", "set_flag"]);
    let page = Visitor::signed_in(&app, READER).await.page("/flags").await;
    assert!(cell(&page, "BE").contains("<strong>off</strong>") && cell(&page, "BE").contains("rule for BE, company"));
    assert!(cell(&page, "NL").contains("no rule") && cell(&page, "every other").contains("no rule"));
    assert!(page.contains("<bdi>&#60;i&#62;legacy&#60;/i&#62;</bdi>") && !page.contains("data-act"), "{page}");
    app.finish().await;
}

#[tokio::test]
async fn no_role_below_admin_sets_a_flag_and_a_rule_that_is_none_is_refused() {
    let app = TestApp::start().await;
    for token in [READER, OPERATOR, "caller-token"] {
        let visitor = Visitor::signed_in(&app, token).await;
        assert_eq!(visitor.get("/flags/set").await.status(), 403);
        assert_eq!(visitor.post("/flags/set", &[("enabled", "true")]).await.status(), 403);
        assert!(!visitor.page("/flags").await.contains("data-act"));
    }
    let admin = Visitor::signed_in(&app, TOKEN).await;
    for wrong in ["market=XX", "customer_type=bank", "enabled=perhaps", "percentage=101"] {
        assert_eq!(admin.get(&format!("/flags/set?{wrong}")).await.status(), 422, "{wrong}");
    }
    assert_eq!(admin.get("/flags/set?flow=sync").await.status(), 400);
    assert!(recorded_acts(&app).await.iter().all(|it| it == "sign_in"));
    app.finish().await;
}

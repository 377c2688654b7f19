//! A bank statement, with an error at every step of the worker in turn.

use super::{Failure, MANY, Stage};
use crate::reconciliation::bank::{BANK, Message, Statement, charges, entry, send};
use crate::reconciliation::charges::CHARGES;
use crate::reconciliation::upload;

/// P26, P31: with any step failing, the settlement is paid once, and the second payment has one case.
async fn a_statement_with_every_step_failing(failure: Failure) {
    let stage = Stage::new(failure).await;
    for telling in 0..MANY {
        let settlement = format!("stl_{telling}");
        let report = send(&stage.app, CHARGES, charges(&[(&settlement, "10.00")]).text()).await;
        assert_eq!(report["state"], "finished", "{report}");
        let bank_id = |n: usize| format!("b{telling}_{n}");
        let entries = [entry(&bank_id(1), "10.00", &settlement), entry(&bank_id(2), "10.00", &settlement)];
        let before = -2_000 * i64::try_from(telling).unwrap();
        let statement = Statement::numbered(u32::try_from(telling).unwrap() + 1, (before, before - 2_000), &entries);
        let uploaded = upload(&stage.app, BANK, Message::statements(&[statement]).text()).await;
        assert_eq!(uploaded.status, 202, "{}", uploaded.body);
        let (struck, report) = stage.reconcile(telling, &uploaded.id()).await;
        assert_eq!(report["counts"], serde_json::json!({"MATCHED": 1, "BANK_MISMATCH": 1}), "{struck:?}: {report}");
        let lines = stage.app.items("/v1/fee-ledger?account=paid").await;
        let paid = lines.iter().filter(|it| it["settles"] == settlement.as_str()).count();
        assert_eq!(paid, 1, "{struck:?}: {lines:?}");
        let found = stage.app.items(&format!("/v1/mismatches?report={}&state=case", uploaded.id())).await;
        assert_eq!(found.len(), 1, "{struck:?}: {found:?}");
        if struck.is_none() {
            assert!(telling > 8, "the file has more steps than {telling}");
            break;
        }
    }
    stage.app.finish().await;
}

#[tokio::test]
async fn a_connection_lost_at_any_step_of_a_bank_statement_pays_once() {
    Box::pin(a_statement_with_every_step_failing(Failure::ConnectionLost)).await;
}

#[tokio::test]
async fn an_error_of_our_own_at_any_step_of_a_bank_statement_pays_once() {
    Box::pin(a_statement_with_every_step_failing(Failure::Permanent)).await;
}

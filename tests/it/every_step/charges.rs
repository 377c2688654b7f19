//! A charges file, with an error at every step of the worker in turn.

use super::{Failure, MANY, Stage};
use crate::reconciliation::upload;

/// A charge that fits, the same again, and a settlement of both.
fn file(telling: usize, reference: &str) -> String {
    let row = |id: &str, settlement: &str| {
        format!(
            "chg_{telling}_{id},charge,account_opened,1,{reference},,6.05,1.05,EUR,,,,{settlement},2026-01-01T09:30:00Z,\
             2026-01-02,Fee"
        )
    };
    let settlement = format!("stl_{telling}");
    format!(
        "HEADER,charges,nexusbank,1,2025-12-01T00:00:00Z,2025-12-02T00:00:00Z,2026-01-03T00:00:00Z\n\
         line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,\
         original_currency,fx_rate,settlement_id,occurred_at,booked_on,description\n\
         {}\n{}\n{settlement},settlement,,2,,,12.10,2.10,EUR,,,,{settlement},,2026-01-02,Sum\nTRAILER,3,EUR=12.10\n",
        row("1", &settlement),
        row("2", &settlement),
    )
}

/// P26, P31: with any step failing, each line is booked once, and the duplicate has one case.
async fn a_file_with_every_step_failing(failure: Failure) {
    let stage = Stage::new(failure).await;
    for telling in 0..MANY {
        let id = stage.start(telling).await;
        stage.drain(&id, "completed").await;
        let reference = stage.app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
        let uploaded = upload(&stage.app, "provider=nexusbank&kind=charges", file(telling, &reference)).await;
        assert_eq!(uploaded.status, 202, "{}", uploaded.body);
        let (struck, _) = stage.reconcile(telling, &uploaded.id()).await;
        let lines = stage.app.items(&format!("/v1/fee-ledger?opening_id={id}&account=charged")).await;
        assert_eq!(lines.len(), 2, "{struck:?}: {lines:?}");
        let cases = stage.app.items(&format!("/v1/mismatches?opening_id={id}&state=case")).await;
        assert_eq!(cases.len(), 1, "{struck:?}: {cases:?}");
        if struck.is_none() {
            assert!(telling > 8, "the file has more steps than {telling}");
            break;
        }
    }
    stage.app.finish().await;
}

#[tokio::test]
async fn a_connection_lost_at_any_step_of_a_charges_file_books_each_line_once() {
    Box::pin(a_file_with_every_step_failing(Failure::ConnectionLost)).await;
}

#[tokio::test]
async fn an_error_of_our_own_at_any_step_of_a_charges_file_books_each_line_once() {
    Box::pin(a_file_with_every_step_failing(Failure::Permanent)).await;
}

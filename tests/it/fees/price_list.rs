//! The setting `PRICE_LIST`: refused with every flaw, and kept with what it booked.

use crate::support::service::ServiceBuilder;
use crate::support::{PRICE_COLUMNS, TestApp};

#[tokio::test]
async fn a_price_list_that_contradicts_itself_stops_the_start_and_names_both_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    let rows = "nexusbank,BE,*,opened,a,1,EUR,21,,\nnexusbank,BE,*,opened,a,2,EUR,21,2026-01-01,\n";
    std::fs::write(&path, format!("{PRICE_COLUMNS}\n{rows}")).unwrap();
    let program = ServiceBuilder::new().0.env("PRICE_LIST", path.display().to_string());
    let ended = program.run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert_eq!(ended.wrong_settings(), ["PRICE_LIST"], "{}", ended.stderr);
    assert!(ended.stderr.contains("lines 2 and 3 price the same fee at the same time"), "{}", ended.stderr);
}

#[tokio::test]
async fn each_wrong_cell_of_a_price_list_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.csv");
    let rows = "nexusbank,BE,*,opened,a,1e3,EUR,21,,\nnobank,BE,*,opened,a,1,EUR,21,2026-13-01,\n";
    std::fs::write(&path, format!("{PRICE_COLUMNS}\n{rows}")).unwrap();
    let ended = ServiceBuilder::new().0.env("PRICE_LIST", path.display().to_string()).run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    let lines: Vec<String> = ended.lines().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 3, "{}", ended.stderr);
    for (line, says) in lines.iter().zip([
        "line 2, column amount: invalid value \"1e3\"; expected a decimal number",
        "line 3, column provider: invalid value \"nobank\"; expected a provider: nexusbank",
        "line 3, column valid_from: invalid value \"2026-13-01\"; expected a date",
    ]) {
        assert!(line.contains("PRICE_LIST") && line.contains(says), "{line}");
    }
}

#[tokio::test]
async fn the_list_that_booked_a_fee_is_kept() {
    let app = TestApp::with().prices().start().await;
    app.open().waiting().await;
    let kept: Vec<(String, String)> =
        sqlx::query_as("select p.sha256, p.content from expected_fees f join price_lists p on p.sha256 = f.price_list")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let list = app.state.settings.price_list.clone().unwrap();
    assert_eq!(kept, [(list.sha256().to_owned(), list.text().to_owned())]);
    app.finish().await;
}

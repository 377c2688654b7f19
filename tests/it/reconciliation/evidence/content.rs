//! The content of a bundle, for each kind and state of a report, and the roles that may have it.

use std::process::{Command, Stdio};

use account_opening::reconciliation::evidence::bag;
use serde_json::{Value, json};

use super::{
    IBAN, OTHER_IBAN, REGISTER, completed, export, files, first_day, fits, lines, reconcile, register_bundle, unpacked,
    upload, waiting,
};
use crate::support::TestApp;

#[tokio::test]
async fn a_bundle_of_a_register_holds_all_that_belongs_to_it_and_verifies() {
    let app = TestApp::start().await;
    let (report, bundle) = register_bundle(&app).await;
    let id = report["id"].as_str().unwrap();
    let summary = fits(&bundle);
    assert_eq!((summary.rows, summary.redacted, summary.report_id.as_deref()), (3, 0, Some(id)));
    let names: Vec<String> = files(&bundle).into_iter().map(|it| it.0).collect();
    let expected = [
        "data/README.txt",
        "data/report.json",
        "data/received-file.txt",
        "data/redactions.jsonl",
        "data/rows.jsonl",
        "data/errors.jsonl",
        "data/mismatches.jsonl",
        "data/facts.jsonl",
        "data/acts.jsonl",
        "data/charge-lines.jsonl",
        "data/ledger.jsonl",
        "data/openings.jsonl",
        "data/matches.csv",
        "data/balances.jsonl",
        "bagit.txt",
        "bag-info.txt",
        "manifest-sha256.txt",
        "manifest-sha256.txt.sig",
        "public-key.pem",
        "tagmanifest-sha256.txt",
    ];
    assert_eq!(names, expected);
    let raw = app.request(reqwest::Method::GET, &format!("/v1/reports/{id}/raw")).send().await.unwrap();
    assert_eq!(unpacked(&bundle)["data/received-file.txt"], raw.bytes().await.unwrap());
    let rows = lines(&bundle, "data/rows.jsonl");
    let classes: Vec<&Value> = rows.iter().map(|it| &it["class"]).collect();
    assert_eq!(classes, ["MATCHED", "MISSED_ANSWER", "MISSING_INTERNAL"]);
    assert_eq!((&rows[0]["theirs"]["iban"], &rows[0]["ours"]["by_tracking_id"]["iban"]), (&json!(IBAN), &json!(IBAN)));
    assert_eq!(lines(&bundle, "data/errors.jsonl")[0]["code"], "unknown_currency");
    let facts = lines(&bundle, "data/facts.jsonl");
    assert_eq!((facts.len(), &facts[0]["source"], &facts[0]["headers"]["report"]), (1, &json!("report"), &json!(id)));
    let openings = lines(&bundle, "data/openings.jsonl");
    assert_eq!(openings.len(), 2);
    assert!(openings.iter().all(|it| it["history"].as_array().unwrap().last().unwrap()["hash"] == it["head_hash"]));
    let table = String::from_utf8(unpacked(&bundle)["data/matches.csv"].clone()).unwrap();
    assert!(table.lines().nth(1).unwrap().contains("COMPLETED,completed,BE68539007547034,BE68539007547034"), "{table}");
    app.finish().await;
}

/// Each decision is in the bundle, with its author and reason; and so is each earlier export.
#[tokio::test]
async fn decisions_and_exports_are_recorded_and_enclosed() {
    let app = TestApp::start().await;
    let (report, bundle) = register_bundle(&app).await;
    let id = report["id"].as_str().unwrap();
    let acts = app.items("/v1/operator-actions").await;
    let exported = acts.iter().find(|it| it["action"] == "export").unwrap();
    assert_eq!((&exported["subject"], &exported["who"]), (&json!(id), &json!("operator")), "{exported}");
    let manifest = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        &unpacked(&bundle)[bag::MANIFEST],
    ));
    assert_eq!(exported["detail"]["manifest_sha256"], hex::encode(manifest));
    let case = app.items("/v1/cases?kind=missing_internal").await[0]["id"].as_str().unwrap().to_owned();
    let decide = json!({"reason": "the bank's test account"});
    assert_eq!(app.post(&format!("/v1/cases/{case}/resolve"), &decide).await.0, 202);
    let bundle = export(&app, id).await;
    fits(&bundle);
    let mismatches = lines(&bundle, "data/mismatches.jsonl");
    let stranger = mismatches.iter().find(|it| it["class"] == "MISSING_INTERNAL").unwrap();
    let decided = (&stranger["case"]["resolved_by"], &stranger["case"]["reason"]);
    assert_eq!(decided, (&json!("admin"), &json!("the bank's test account")));
    assert_eq!(stranger["steps"].as_array().unwrap().last().unwrap()["by"], "admin");
    let acts = lines(&bundle, "data/acts.jsonl");
    let done: Vec<&Value> = acts.iter().map(|it| &it["action"]).collect();
    assert_eq!(done, ["upload_report", "export"], "the export before this one");
    app.finish().await;
}

/// The two programs that every auditor has.
#[tokio::test]
async fn sha256sum_and_openssl_suffice() {
    let app = TestApp::start().await;
    let (_, bundle) = register_bundle(&app).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&bundle) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let verify: Vec<&str> =
        "openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in manifest-sha256.txt -sigfile \
                             manifest-sha256.txt.sig"
            .split(' ')
            .collect();
    let commands = [
        vec!["sha256sum", "-c", "manifest-sha256.txt"],
        vec!["sha256sum", "-c", "tagmanifest-sha256.txt"],
        verify.into_iter().filter(|it| !it.is_empty()).collect(),
    ];
    let run = |command: &[&str]| {
        let program =
            Command::new(command[0]).args(&command[1..]).current_dir(folder.path()).stdout(Stdio::null()).status();
        if program.is_err() {
            eprintln!("not checked: this machine has no {}", command[0]);
        }
        program.ok().map(|status| status.success())
    };
    for command in &commands {
        assert_ne!(run(command), Some(false), "{command:?}");
    }
    let rows = folder.path().join("data/rows.jsonl");
    std::fs::write(&rows, [&std::fs::read(&rows).unwrap()[..], b" "].concat()).unwrap();
    assert_ne!(run(&commands[0]), Some(true), "a changed file is found");
    let manifest = folder.path().join(bag::MANIFEST);
    std::fs::write(&manifest, [&std::fs::read(&manifest).unwrap()[..], b" "].concat()).unwrap();
    assert_ne!(run(&commands[2]), Some(true), "a changed manifest is found");
    app.finish().await;
}

#[tokio::test]
async fn incomplete_held_discarded_and_dry_reports_have_evidence_that_verifies() {
    let app = TestApp::start().await;
    let opening = waiting(&app).await;
    let cut = upload(&app, REGISTER, first_day().about(&opening, "IN_PROGRESS", "").cut()).await.id();
    let mut many = first_day().about(&opening, "COMPLETED", IBAN);
    for n in 0..21 {
        many = many.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let dry = upload(&app, &format!("{REGISTER}&dry_run=true"), many.text()).await.id();
    app.settle().await;
    let held = reconcile(&app, &many).await["id"].as_str().unwrap().to_owned();
    for (id, state, rows) in [(&cut, "finished", 1), (&dry, "finished", 22), (&held, "held", 22)] {
        let bundle = export(&app, id).await;
        assert_eq!(fits(&bundle).rows, rows, "{state}");
        let report: Value = serde_json::from_slice(&unpacked(&bundle)["data/report.json"]).unwrap();
        assert_eq!(report["state"], state);
    }
    let kept = lines(&export(&app, &held).await, "data/mismatches.jsonl");
    assert_eq!(kept.iter().map(|it| &it["class"]).collect::<Vec<_>>(), ["TOO_MANY_DIFFERENCES"]);
    app.post(&format!("/v1/reports/{held}/release"), &json!({"reason": "it is the right file"})).await;
    app.settle().await;
    let bundle = export(&app, &held).await;
    fits(&bundle);
    let acts = lines(&bundle, "data/acts.jsonl");
    assert!(
        acts.iter().any(|it| it["action"] == "release_report" && it["reason"] == "it is the right file"),
        "{acts:?}"
    );
    many.as_of += chrono::TimeDelta::hours(1);
    let wrong = reconcile(&app, &many.row("aor_more,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,")).await;
    let discarded = wrong["id"].as_str().unwrap();
    app.post(&format!("/v1/reports/{discarded}/discard"), &json!({"reason": "the wrong file"})).await;
    fits(&export(&app, discarded).await);
    app.finish().await;
}

/// A file that repeats rows, revises them and contradicts itself, with absences: the classes that depend on other rows and files.
#[tokio::test]
async fn rows_that_came_before_and_rows_that_conflict_verify() {
    let app = TestApp::with().settings(|it| it.reconciliation.recon_window = "1h".to_owned()).start().await;
    let (one, two, three) = (completed(&app, IBAN).await, waiting(&app).await, completed(&app, OTHER_IBAN).await);
    app.pass(chrono::TimeDelta::hours(28));
    let stranger = "aor_stranger,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,";
    let register = first_day().about(&one, "COMPLETED", IBAN).about(&two, "IN_PROGRESS", "").row(stranger);
    let first = reconcile(&app, &register).await;
    assert_eq!(first["counts"]["MISSING_EXTERNAL"], 1, "{first} {three}");
    fits(&export(&app, first["id"].as_str().unwrap()).await);
    let moved = stranger.replace("BE,EUR", "NL,EUR");
    let mut later = first_day().about(&one, "COMPLETED", IBAN).about(&two, "IN_PROGRESS", "").row(&moved);
    later.as_of += chrono::TimeDelta::hours(1);
    let later = later.about(&three, "COMPLETED", IBAN).about(&three, "COMPLETED", OTHER_IBAN);
    let report = reconcile(&app, &later).await;
    let bundle = export(&app, report["id"].as_str().unwrap()).await;
    let classes: Vec<Value> = lines(&bundle, "data/rows.jsonl").iter().map(|it| it["class"].clone()).collect();
    let expected = ["REPEATED", "REPEATED", "MISSING_INTERNAL", "CONFLICTING_ROWS", "CONFLICTING_ROWS"];
    assert_eq!(classes, expected, "{report}");
    fits(&bundle);
    app.finish().await;
}

/// The opening's values are nowhere in the bundle; what is left verifies, and says that it was redacted.
#[tokio::test]
async fn after_an_erasure_the_bundle_verifies_and_holds_none_of_the_values() {
    let app = TestApp::start().await;
    let (one, other) = (completed(&app, IBAN).await, waiting(&app).await);
    let register = first_day().about(&one, "COMPLETED", OTHER_IBAN).about(&other, "IN_PROGRESS", "");
    let report = reconcile(&app, &register).await;
    let id = report["id"].as_str().unwrap();
    let before = export(&app, id).await;
    fits(&before);
    let holds =
        |bundle: &[u8], canary: &str| files(bundle).iter().any(|(_, it)| String::from_utf8_lossy(it).contains(canary));
    assert!(holds(&before, IBAN) && holds(&before, OTHER_IBAN), "the canaries sing");
    let erase = format!("/v1/account-openings/{}/erase", one["id"].as_str().unwrap());
    assert_eq!(app.post(&erase, &json!({"reason": "the customer asked"})).await.0, 202);
    let bundle = export(&app, id).await;
    let summary = fits(&bundle);
    assert_eq!((summary.rows, summary.redacted), (1, 1));
    assert!(!holds(&bundle, IBAN) && !holds(&bundle, OTHER_IBAN));
    let redactions = lines(&bundle, "data/redactions.jsonl");
    let rows = lines(&bundle, "data/rows.jsonl");
    assert_eq!((&redactions[0]["byte"], &redactions[0]["length"]), (&rows[0]["byte"], &rows[0]["length"]));
    let old = lines(&before, "data/rows.jsonl");
    assert_eq!((&rows[0]["digest"], &rows[0]["class"]), (&old[0]["digest"], &old[0]["class"]), "they stay");
    fits(&before);
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_a_profile_read_carries_the_profile() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    let of = |name: &str| opening[name].as_str().unwrap();
    let columns = "Case number\tYour reference\tOutcome\tIBAN\tSWIFT\tRemarks\tCountry\tCurrency\tReceived\tDecided";
    let decided = "01/01/2026 09:00:00\t01/01/2026 10:30:00";
    let row = format!("{}\t{}\tOpened\t{IBAN}\tNEXUBEBB\t\tBE\tEUR\t{decided}", of("provider_reference"), of("id"));
    let formula = "=1+1\t\tNew\t\t\t\tBE\tEUR\t01/01/2026 09:00:00\t";
    let text = format!("{columns}\n{row}\n{formula}\nNumber of cases\t2\n");
    let uploaded = upload(&app, &format!("{REGISTER}&format=fjord-register"), text).await;
    assert_eq!(uploaded.status, 202, "{}", uploaded.body);
    app.settle().await;
    let bundle = export(&app, &uploaded.id()).await;
    assert_eq!(fits(&bundle).rows, 2);
    let files = unpacked(&bundle);
    assert!(String::from_utf8_lossy(&files["data/profile.toml"]).contains("Number of cases"));
    let table = String::from_utf8(files["data/matches.csv"].clone()).unwrap();
    assert!(table.contains(",'=1+1") && !table.contains(",=1+1"), "{table}");
    app.finish().await;
}

#[tokio::test]
async fn evidence_is_for_operators_of_reports_that_are_read() {
    let app = TestApp::start().await;
    let id = upload(&app, REGISTER, first_day().text()).await.id();
    let path = format!("{}/v1/reports/{id}/evidence", app.internal);
    let status = async |token: &str| app.client.get(&path).bearer_auth(token).send().await.unwrap().status().as_u16();
    assert_eq!(app.client.get(&path).send().await.unwrap().status(), 401);
    assert_eq!((status("reader-token").await, status("caller-token").await), (403, 403));
    assert_eq!(status("operator-token").await, 409, "it is not read yet");
    app.settle().await;
    assert_eq!(status("operator-token").await, 200);
    let unknown = app.request(reqwest::Method::GET, "/v1/reports/01994c3e-0000-7000-8000-000000000001/evidence");
    assert_eq!(unknown.send().await.unwrap().status(), 404);
    let acts = app.items("/v1/operator-actions").await;
    assert_eq!(acts.iter().filter(|it| it["action"] == "export").count(), 1, "what is refused is not recorded");
    app.finish().await;
}

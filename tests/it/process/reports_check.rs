//! `reports check` as people and machines run it.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::process::{Ended, Folder, Program};

const CHARGES: &str = "HEADER,charges,nexusbank,1,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-02-01T03:00:00Z
line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,original_currency,fx_rate,settlement_id,occurred_at,booked_on,description
chg_1,charge,account_opened,1,aor_1,,6.05,1.05,EUR,,,,stl_9,2026-01-01T09:30:00Z,2026-01-02,Account opening
chg_2,charge,account_opened,1,aor_2,,66.55,11.55,SEK,6.05,EUR,11.0000,stl_8,2026-01-01T10:30:00Z,2026-01-02,Account opening
stl_9,settlement,,1,,,6.05,0.00,EUR,,,,stl_9,,2026-02-01,Debited on 2026-02-03
TRAILER,3,EUR=6.05;SEK=66.55
";

async fn check(bytes: &[u8], options: &[&str]) -> Ended {
    let folder = Folder::new();
    std::fs::write(folder.path().join("report"), bytes).unwrap();
    let arguments: Vec<&str> = ["reports", "check", "report"].into_iter().chain(options.iter().copied()).collect();
    Program::new(&arguments).within(&folder).run().await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_good_file_ends_with_0_its_rows_and_its_sums() {
    for bytes in [CHARGES.as_bytes().to_vec(), gzip(CHARGES.as_bytes())] {
        let ended = check(&bytes, &[]).await;
        assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
        let told = "charges of nexusbank: 3 rows, 0 of them bad
period from 2026-01-01T00:00:00Z until 2026-02-01T00:00:00Z
as of 2026-02-01T03:00:00Z
sum EUR 6.05
sum SEK 66.55
complete
";
        assert_eq!(ended.stdout, told);
        let ended = check(&bytes, &["--json"]).await;
        let object: Value = serde_json::from_str(&ended.stdout).unwrap();
        let sums = json!([{"currency": "EUR", "amount": "6.05"}, {"currency": "SEK", "amount": "66.55"}]);
        let expected = json!({"kind": "charges", "provider": "nexusbank", "complete": true, "rows": 3, "bad_rows": 0, "sums": sums, "errors": []});
        assert_eq!(object, expected);
    }
}

#[tokio::test]
async fn every_error_is_listed_and_the_exit_code_is_1() {
    let file = CHARGES.replacen("6.05", "6e2", 1).replacen("SEK,", "KRON,", 1);
    let ended = check(file.as_bytes(), &[]).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("report: 2 errors, listed on standard output"), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "line 3, byte 264: amount: exponent: found \"6e2\"; expected a number without an exponent");
    assert!(lines[1].starts_with("line 4, byte 371: currency: unknown_currency: found \"KRON\""), "{}", lines[1]);
    assert!(ended.stdout.contains("3 rows, 2 of them bad\n") && ended.stdout.ends_with("not complete: a row is bad\n"));

    let ended = check(file.as_bytes(), &["--json"]).await;
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code(), &object["bad_rows"], &object["complete"]), (Some(1), &2.into(), &false.into()));
    let error = json!({"line": 3, "byte": 264, "field": "amount", "code": "exponent", "detail": "found \"6e2\"; expected a number without an exponent"});
    assert_eq!(object["errors"][0], error);
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_told_as_such() {
    let cut = CHARGES.split("TRAILER").next().unwrap();
    let ended = check(cut.as_bytes(), &[]).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains("no_trailer") && ended.stdout.contains("3 rows, 0 of them bad"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_one_error() {
    for (bytes, options, code) in [
        (b"a,b\n1,2\n".to_vec(), &[][..], "header_not_understood"),
        (b"PK\x03\x04".to_vec(), &[], "zip"),
        (Vec::new(), &[], "header_not_understood"),
        (gzip(&vec![0; 10_000_000]), &[], "record_too_long"),
        (CHARGES.as_bytes().to_vec(), &["--kind", "register"], "contradicts_request"),
        (CHARGES.as_bytes().to_vec(), &["--provider", "other"], "contradicts_request"),
    ] {
        let ended = check(&bytes, options).await;
        assert_eq!(ended.code(), Some(1), "{code}: {}", ended.stdout);
        assert!(ended.stdout.starts_with(&format!("line 1: {code}: ")), "{code}: {}", ended.stdout);
        let json: Vec<&str> = options.iter().copied().chain(["--json"]).collect();
        let ended = check(&bytes, &json).await;
        let object: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((object["errors"][0]["code"].as_str(), &object["rows"]), (Some(code), &0.into()));
        assert_eq!(object["complete"], false, "{code}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_failure_and_wrong_usage_is_2() {
    let ended = Program::new(&["reports", "check", "none.csv"]).run().await;
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("cannot read none.csv: No such file"), "{}", ended.stderr);
    let truncated = gzip(CHARGES.as_bytes());
    let ended = check(&truncated[..truncated.len() - 12], &["--json"]).await;
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code(), &object["complete"]), (Some(1), &false.into()), "{}", ended.stderr);
    assert_eq!(object["errors"][0]["code"], "unreadable");
    for arguments in [
        &["reports"][..],
        &["reports", "check"],
        &["reports", "check", "x", "--kind", "y"],
        &["reports", "check", "x", "--format", "y"],
    ] {
        let ended = Program::new(arguments).run().await;
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
    }
}

/// The bounds of an upload: a file that the service would refuse is refused here too.
#[tokio::test]
async fn a_file_beyond_the_bounds_of_an_upload_is_refused_with_what_was_counted_before() {
    let bomb = gzip(&[CHARGES.as_bytes(), &vec![b'\n'; 10_000_000]].concat());
    let ended = check(&bomb, &[]).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains("unreadable") && ended.stdout.contains("more than 200 to 1"), "{}", ended.stdout);
    assert!(ended.stdout.contains("charges of nexusbank: 3 rows, 0 of them bad\n"), "{}", ended.stdout);
    let ended = check(&bomb, &["--json"]).await;
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    let sums = json!([{"currency": "EUR", "amount": "6.05"}, {"currency": "SEK", "amount": "66.55"}]);
    let counted = (&object["rows"], &object["sums"], &object["complete"]);
    assert_eq!(counted, (&json!(3), &sums, &json!(false)));
    for bytes in [CHARGES.as_bytes().to_vec(), gzip(CHARGES.as_bytes())] {
        let ended = check(&bytes, &["--report-max-bytes", "500"]).await;
        assert!(ended.stdout.contains("over REPORT_MAX_BYTES = 500 bytes"), "{}", ended.stdout);
        assert_eq!(check(&bytes, &["--report-max-bytes", "1000"]).await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_bank_statement_that_does_not_add_up_is_an_error() {
    let balance = |code: &str, amount: &str| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>"
        )
    };
    let file = format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt><Stmt><Id>S1</Id>{}{}</Stmt></BkToCstmrStmt></Document>",
        balance("OPBD", "1"),
        balance("CLBD", "2")
    );
    let ended = check(file.as_bytes(), &["--json", "--provider", "nexusbank"]).await;
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code(), &object["kind"], &object["provider"]), (Some(1), &"bank".into(), &"nexusbank".into()));
    assert_eq!(object["errors"][0]["code"], "balance_mismatch");
    let detail =
        "statement S1: found the closing balance 2.00 EUR; expected 1.00 EUR, the opening balance and the entries";
    assert_eq!(object["errors"][0]["detail"], detail);
}

#[tokio::test]
async fn a_file_of_another_provider_is_read_by_a_profile_from_a_folder() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("report", "Day;Fee\n02.01.2026;6,05\nTotal;1\n");
    let profile = [
        "kind = \"charges\"\ndelimiter = \";\"\ndecimal = \",\"\ndates = [\"%d.%m.%Y\"]",
        "[columns]\nbooked_on = \"Day\"\namount = \"Fee\"\n[defaults]\ncurrency = \"EUR\"\ntype = \"fee\"",
        "[types]\nfee = \"charge\"\n[footer]\nstarts_with = \"Total\"\nrows = 2\n",
    ];
    write("mine.toml", &profile.join("\n"));
    let arguments = ["reports", "check", "report", "--format", "mine", "--provider", "other"];
    let program = Program::new(&arguments).within(&folder).env("REPORT_PROFILES", ".");
    let ended = program.run().await;
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "charges of other: 1 rows, 0 of them bad\nsum EUR 6.05\ncomplete\n");
    write("mine.toml", "kind = 7");
    let ended = program.run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stdout);
    let line = ended.line_about("REPORT_PROFILES");
    assert!(line.contains("mine.toml: kind: invalid value 7; expected register or charges"), "{line}");
}

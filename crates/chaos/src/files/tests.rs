//! The content of the file, and when it is there.

use serde_json::{Value, json};

use super::*;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_durable_record_stands_in_the_file_with_all_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let recorder = Recorder::create(&path).unwrap();
    for n in 0..100 {
        recorder.record(&json!({ "n": n }));
    }
    recorder.record_durably(&json!({ "n": 100 })).await.unwrap();
    assert_eq!(lines(&path), (0..=100).map(|n| json!({ "n": n })).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_many_tasks_stay_whole_and_the_last_recorder_writes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let recorder = Recorder::create(&path).unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|task| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    recorder.record(&json!({ "task": task, "n": n }));
                }
                recorder.record_durably(&json!({ "task": task, "n": 20 })).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    recorder.flush().await.unwrap();
    assert_eq!(lines(&path).len(), 50 * 21);
}

#[test]
fn an_existing_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    drop(Recorder::create(&path).unwrap());
    assert_eq!(Recorder::create(&path).err().map(|it| it.kind()), Some(io::ErrorKind::AlreadyExists));
}

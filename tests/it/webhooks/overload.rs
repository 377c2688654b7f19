//! More than can be stored, a database that does not answer, and clients that do not wait. (P1, P2, P19)

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::io::AsyncWriteExt;

use crate::support::{TestApp, eventually, exchange, wire};

use super::{IBAN, message};

/// Below the time after which the writer gives up by itself, and far above `ACK_TIMEOUT`: machines may be slow.
const GENEROUS: Duration = Duration::from_secs(10);

fn body(n: usize) -> String {
    message(&format!("aor_{n}"), "IN_PROGRESS", None)
}

/// P19
#[tokio::test]
async fn a_webhook_that_cannot_be_stored_is_refused_in_time_and_taken_when_it_comes_again() {
    let app = TestApp::with()
        .settings(|it| {
            it.ingest_queue = "1".to_owned();
            it.ack_timeout = "1s".to_owned();
        })
        .start()
        .await;
    let send = async |n: usize| {
        let started = Instant::now();
        let response = app.webhook().id(&format!("msg_{n:02}")).body(body(n)).send().await;
        let retry_after = response.headers().get("retry-after").map(|it| it.to_str().unwrap().to_owned());
        (response.status().as_u16(), retry_after, started.elapsed())
    };
    let mut lock = app.lock_inbox().await;
    // One message that the writer holds, one that fills the queue, and those without capacity.
    for (status, retry_after, took) in join_all((0..20).map(&send)).await {
        assert_eq!(status, 503);
        assert!(retry_after.unwrap().parse::<u32>().unwrap() > 0);
        assert!(took < GENEROUS, "{took:?}");
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from inbox").fetch_one(&mut *lock).await.unwrap();
    assert_eq!(stored, 0);
    lock.rollback().await.unwrap();

    // They come again, as long as it takes.
    for n in 0..20 {
        eventually("a place in the queue", async || (send(n).await.0 == 200).then_some(())).await;
    }
    let mut kept: Vec<_> = app.inbox().await.into_iter().map(|it| (it.event_id, it.body)).collect();
    kept.sort();
    let expected: Vec<_> = (0..20).map(|n| (format!("msg_{n:02}"), body(n).into_bytes())).collect();
    assert_eq!(kept, expected, "each once, byte for byte");
    app.finish().await;
}

/// P19, P1: every message acknowledged while the queue overflows is stored.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_queue_overflows_what_is_acknowledged_is_stored_and_the_rest_is_told_to_come_again() {
    let app = TestApp::with()
        .settings(|it| {
            it.ingest_queue = "1".to_owned();
            // So that a 503 says that the queue was full, and not that the machine is slow.
            it.ack_timeout = "60s".to_owned();
        })
        .start()
        .await;
    let answers = join_all((0..200).map(|n| app.webhook().id(&format!("msg_{n}")).body(body(n)).answered())).await;
    let stored: Vec<String> = app.inbox().await.into_iter().map(|it| it.event_id).collect();
    let mut acknowledged = 0;
    for (n, answer) in answers.into_iter().enumerate() {
        assert!([200, 503].contains(&answer), "{answer}");
        assert!(answer == 503 || stored.contains(&format!("msg_{n}")), "acknowledged and not stored: {n}");
        acknowledged += usize::from(answer == 200);
    }
    assert!(acknowledged > 0);
    assert_eq!(stored.len(), acknowledged, "who is told that the queue is full was not stored");
    app.finish().await;
}

/// One place in the queue is enough for any number of copies, since they wait for the first.
#[tokio::test]
async fn copies_that_come_while_the_first_is_being_stored_share_its_success() {
    let app = TestApp::with().settings(|it| it.ingest_queue = "1".to_owned()).start().await;
    let webhook = || app.webhook().id("msg_1").body(body(1)).answered();
    let lock = app.lock_inbox().await;
    let later = async {
        app.an_insert_waits().await;
        let copies = join_all((0..30).map(|_| webhook()));
        let release = async {
            // They are under way: other requests have gone through meanwhile.
            for _ in 0..20 {
                let livez = app.client.get(format!("{}/livez", app.public)).send().await.unwrap();
                assert_eq!(livez.status(), 200);
            }
            lock.rollback().await.unwrap();
        };
        tokio::join!(copies, release).0
    };
    let (first, copies) = tokio::join!(webhook(), later);
    assert_eq!((first, copies), (200, vec![200; 30]));
    let stored = app.inbox().await;
    assert_eq!((stored.len(), stored[0].duplicates), (1, 0));
    app.finish().await;
}

/// P1: none of them is told that it is a duplicate of something that never was.
#[tokio::test]
async fn copies_that_come_while_the_first_is_being_stored_share_its_failure() {
    let app = TestApp::with().settings(|it| it.ack_timeout = "20s".to_owned()).start().await;
    let webhook = || app.webhook().id("msg_1").body(body(1));
    let mut lock = app.lock_inbox().await;
    let copies = join_all((0..20).map(|_| webhook().send()));
    // Those that come after the first has failed are first themselves: they fail too.
    let failing = async {
        loop {
            app.an_insert_waits().await;
            app.cut_waiting_inserts().await;
        }
    };
    let answers = tokio::select! {
        answers = copies => answers,
        () = failing => unreachable!("it fails until all are answered"),
    };
    for answer in answers {
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from inbox").fetch_one(&mut *lock).await.unwrap();
    assert_eq!(stored, 0);
    lock.rollback().await.unwrap();
    // Full service again, on the connections that are left and on new ones.
    eventually("service after the cut", async || (webhook().answered().await == 200).then_some(())).await;
    assert_eq!(app.inbox().await.len(), 1);
    app.finish().await;
}

/// P1, P2: a completely sent message is stored completely or not at all, and disturbs no other.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_leave_whole_messages_or_none_and_a_working_service() {
    let app = TestApp::start().await;
    for n in 0..30 {
        let mut stream = wire::connect(&app.public).await;
        stream.write_all(&app.webhook().id(&format!("msg_{n}")).body(body(n)).wire()).await.unwrap();
        drop(stream);
    }
    // And in the middle of it.
    for n in 0..30 {
        let whole = app.webhook().id(&format!("msg_half_{n}")).body(body(n)).wire();
        let mut stream = wire::connect(&app.public).await;
        stream.write_all(&whole[..whole.len() - 1 - n]).await.unwrap();
        drop(stream);
    }
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().id("msg_last").body(message(&tracking_id, "COMPLETED", Some(IBAN))).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    for row in app.inbox().await.into_iter().filter(|it| it.event_id != "msg_last") {
        let n: usize = row.event_id.strip_prefix("msg_").unwrap().parse().expect("no half message is stored");
        assert_eq!(row.body, body(n).as_bytes());
    }
    // They come again, as the bank does with what was not acknowledged: each is there once.
    for n in 0..30 {
        app.webhook().id(&format!("msg_{n}")).body(body(n)).acknowledged().await;
    }
    assert_eq!(app.inbox().await.len(), 31);
    app.finish().await;
}

/// P1: the client is gone before the commit; what becomes of its message does not depend on it.
#[tokio::test]
async fn a_message_whose_sender_hung_up_while_it_was_being_stored_is_stored() {
    let app = TestApp::start().await;
    let lock = app.lock_inbox().await;
    let mut stream = wire::connect(&app.public).await;
    stream.write_all(&app.webhook().id("msg_1").body(body(1)).wire()).await.unwrap();
    app.an_insert_waits().await;
    drop(stream);
    lock.rollback().await.unwrap();
    let stored = eventually("the message", async || app.inbox().await.pop()).await;
    assert_eq!((stored.event_id.as_str(), stored.body), ("msg_1", body(1).into_bytes()));
    app.finish().await;
}

/// P1: copies wait until the first copy is stored, and not for its sender.
#[tokio::test]
async fn copies_share_the_success_of_a_first_whose_sender_hung_up() {
    let app = TestApp::with().settings(|it| it.ack_timeout = "20s".to_owned()).start().await;
    let lock = app.lock_inbox().await;
    let wire = app.webhook().id("msg_1").body(body(1)).wire();
    let mut first = wire::connect(&app.public).await;
    first.write_all(&wire).await.unwrap();
    app.an_insert_waits().await;
    let copy = async { app.webhook().id("msg_1").body(body(1)).answered().await };
    let hang_up = async {
        // The copy is under way: other requests have gone through meanwhile.
        for _ in 0..20 {
            assert_eq!(app.client.get(format!("{}/livez", app.public)).send().await.unwrap().status(), 200);
        }
        drop(first);
        for _ in 0..20 {
            assert_eq!(app.client.get(format!("{}/livez", app.public)).send().await.unwrap().status(), 200);
        }
        lock.rollback().await.unwrap();
    };
    let (answered, ()) = tokio::join!(copy, hang_up);
    assert_eq!(answered, 200);
    let stored = app.inbox().await;
    assert_eq!((stored.len(), stored[0].duplicates), (1, 0));
    app.finish().await;
}

/// P19: also when it is the client that does not go on, which is told so: nothing is wrong with us.
#[tokio::test]
async fn a_body_that_never_ends_is_answered_in_time_and_not_stored() {
    let app = TestApp::with().settings(|it| it.ack_timeout = "1s".to_owned()).start().await;
    let whole = app.webhook().body(body(1)).wire();
    let started = Instant::now();
    let answer = exchange(&app.public, &whole[..whole.len() - 1]).await;
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert!(started.elapsed() < GENEROUS);
    assert_eq!(app.inbox().await, []);
    app.finish().await;
}

//! A bulk run with an error at each of its steps in turn: each letter of its list is acted on once, and recorded once.

use account_opening::acts::bulk::worker::BulkRuns;
use account_opening::acts::bulk::{self, prepare};
use account_opening::acts::{Operator, Principal};
use account_opening::config::{Role, Token};
use account_opening::db::dead_letters::{Act, Filter};
use account_opening::driver::tick;

use super::{Failure, Stage, of_bulk_runs};

impl Stage {
    /// A run over two messages that cannot be read.
    async fn a_bulk_run(&self, telling: usize) {
        for n in 0..2 {
            let body = format!("{{\"telling\": {telling}, \"n\": {n}}}");
            self.app.webhook().body(body).acknowledged().await;
        }
        self.app.settle().await;
        let token = Token { name: "desk".into(), secret: "desk-token".into(), role: Role::Operator };
        let operator = Operator::try_from(Principal::from(&token)).unwrap();
        let (acts, run) = (&self.app.state.acts, self.app.state.shell.ids.next());
        prepare::run(acts, &operator, run, Act::Discard, Filter::default()).await.unwrap();
        bulk::run(acts, &operator, run, "not ours".to_owned()).await.unwrap();
        self.fault.arm(telling);
        if let Err(error) = tick(&BulkRuns(self.app.context.clone())).await {
            assert!(self.fault.has_struck(), "{error}");
        }
        let struck = self.fault.disarm();
        self.app.settle().await;
        let sql = "select count(*) from operator_actions a join inbox i on i.id::text = a.subject
                    where a.action = 'discard_dead_letter' and a.detail ->> 'bulk_run' = $1 and i.status = 'ignored'
                      and i.attempt_log @> '[{\"class\": \"discard\", \"by\": \"desk\"}]'
                      and jsonb_array_length(i.attempt_log) = 1";
        let done: i64 = sqlx::query_scalar(sql).bind(run.to_string()).fetch_one(&self.app.pool).await.unwrap();
        let items = "select concat_ws(' ', i.outcome, i.why, l.status, l.attempt_log) from bulk_items i
                       left join inbox l on l.id = i.letter_id where i.run_id = $1";
        let items: Vec<String> = sqlx::query_scalar(items).bind(run).fetch_all(&self.app.pool).await.unwrap();
        assert_eq!(done, 2, "{struck:?}: {items:?}");
    }
}

/// P15: an item is done once, with any step failing and however often it begins anew.
async fn a_run_with_every_step_failing(failure: Failure) {
    let stage = Stage::new(failure).await;
    let tellings = stage.tell(async |stage, telling| stage.a_bulk_run(telling).await).await;
    assert!(tellings > of_bulk_runs().len(), "{tellings}");
    assert_eq!(stage.fault.seen(), of_bulk_runs());
    assert_eq!(stage.count("select count(*) from bulk_items where outcome is distinct from 'done'").await, 0);
    stage.app.finish().await;
}

#[tokio::test]
async fn a_connection_lost_at_any_step_of_a_bulk_run_leaves_each_letter_acted_on_once() {
    Box::pin(a_run_with_every_step_failing(Failure::ConnectionLost)).await;
}

#[tokio::test]
async fn an_error_of_our_own_at_any_step_of_a_bulk_run_leaves_each_letter_acted_on_once() {
    Box::pin(a_run_with_every_step_failing(Failure::Permanent)).await;
}

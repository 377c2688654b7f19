//! Counts statements by their names, and leaves out those that the service runs by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use crate::fill::run;
use crate::pages::Measured;
use crate::stats::{millis, percentile};
use crate::visitor::Visitor;

/// Requests for a page before it is measured.
const WARM_UP: u64 = 3;

/// The statements of the session itself.
const OF_SESSION: [&str; 2] = ["sessions::visit", "sessions::look"];

/// Calls, and the milliseconds of each, by the name in a statement's first line.
type Calls = BTreeMap<String, (f64, f64)>;

pub struct Counter<'a> {
    connection: &'a mut PgConnection,
    /// Calls a second while no page is asked for.
    idle: Calls,
}

impl<'a> Counter<'a> {
    /// Looks at the service for so long while no page is asked for.
    pub async fn start(connection: &'a mut PgConnection, idle: Duration) -> Self {
        let mut counter = Self { connection, idle: Calls::new() };
        counter.forget().await;
        let began = Instant::now();
        tokio::time::sleep(idle).await;
        let took = began.elapsed().as_secs_f64();
        counter.idle =
            counter.calls().await.into_iter().map(|(name, (calls, each))| (name, (calls / took, each))).collect();
        counter
    }

    pub async fn forget(&mut self) {
        run(self.connection, "select pg_stat_statements_reset()").await;
    }

    async fn calls(&mut self) -> Calls {
        let calls = "select substring(query from '^\\s*-- ([a-z_:]+)') as name, sum(calls)::float8, sum(total_exec_time) / sum(calls)
                       from pg_stat_statements
                      where dbid = (select oid from pg_database where datname = current_database())
                        and query ~ '^\\s*-- [a-z_]+::'
                      group by name";
        let calls: Vec<(String, f64, f64)> =
            sqlx::query_as(calls).fetch_all(&mut *self.connection).await.expect("Postgres answers");
        calls.into_iter().map(|(name, calls, each)| (name, (calls, each))).collect()
    }

    /// Asks for a page, again and again, and counts what each request runs beside its session.
    pub async fn measure(&mut self, visitor: &Visitor, path: &str, visits: u64) -> Measured {
        for _ in 0..WARM_UP {
            visitor.page(path).await;
        }
        self.forget().await;
        let (began, mut times, mut wrong) = (Instant::now(), Vec::new(), Vec::new());
        for _ in 0..visits {
            let asked = Instant::now();
            let (status, text) = visitor.page(path).await;
            times.push(asked.elapsed());
            if status != 200 {
                wrong.push(format!("GET {path}: {status} {}", text.chars().take(300).collect::<String>()));
            }
        }
        let took = began.elapsed().as_secs_f64();
        times.sort_unstable();
        wrong.truncate(1);
        let named = self.of_each(took, visits).await;
        let statements = named.iter().map(|it| it.1).sum();
        let at = |share| percentile(&times, share).map(millis).unwrap_or_default();
        Measured { statements, named, median: at(0.5), p99: at(0.99), wrong }
    }

    /// How often each of `visits` requests ran each statement, in a time in which the service ran its own.
    async fn of_each(&mut self, seconds: f64, visits: u64) -> Vec<(String, u64, f64)> {
        let calls = self.calls().await;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let visits = visits as f64;
        let of_each = |(name, (calls, each)): (String, (f64, f64))| {
            let own = self.idle.get(&name).copied().unwrap_or_default().0 * seconds;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
            let calls = ((calls - own) / visits).round().max(0.0) as u64;
            (name, calls, each)
        };
        let of_each = calls.into_iter().filter(|(name, _)| !OF_SESSION.contains(&name.as_str())).map(of_each);
        of_each.filter(|it| it.1 > 0).collect()
    }

    /// Statements a second beyond those that the service runs without a browser, since the last [`Self::forget`]. Those of a sign-in
    /// count too.
    pub async fn beyond_idle(&mut self, seconds: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let seconds = seconds as f64;
        let calls = self.calls().await;
        let beyond = calls.iter().map(|(name, (calls, _))| {
            let own = self.idle.get(name).copied().unwrap_or_default().0;
            (name, (calls / seconds - own).max(0.0))
        });
        let beyond = beyond.filter(|it| it.1 >= 0.1);
        beyond
            .inspect(|(name, each)| eprintln!("beside an idle service: {each:.2} {name} a second"))
            .map(|it| it.1)
            .sum()
    }
}

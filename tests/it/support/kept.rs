//! Acknowledged requests, held against what is there.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::load::{Answer, Kind};
use super::process::WITHIN;
use crate::process::external::{connect, not_in_inbox};

/// The answers that are held against a database.
pub struct Acknowledged {
    webhooks: Vec<String>,
    /// Idempotency-Keys; each is for a customer of the same name.
    keys: Vec<String>,
    openings: Vec<String>,
}

impl Acknowledged {
    /// Of these answers, those that said that it is done.
    pub fn in_(answers: &[Answer]) -> Self {
        let each = |kind: Kind, name: fn(&Answer) -> Option<&String>| {
            let done = answers.iter().filter(|it| it.kind == kind && it.acknowledges());
            let mut each: Vec<String> = done.filter_map(name).cloned().collect();
            each.sort_unstable();
            each.dedup();
            each
        };
        Self {
            webhooks: each(Kind::Webhook, |it| Some(&it.key)),
            keys: each(Kind::Start, |it| Some(&it.key)),
            openings: each(Kind::Start, |it| it.opening.as_ref()),
        }
    }

    /// P1: webhooks are in the inbox. Each key has the one opening that was answered.
    pub async fn is_there(&self, url: &str, schema: &str) {
        assert!(!self.webhooks.is_empty() && !self.keys.is_empty(), "nothing was acknowledged");
        let lost = not_in_inbox(url, schema, &self.webhooks).await;
        assert!(lost.is_empty(), "P1: acknowledged and lost: {lost:?}");
        assert_eq!(self.keys.len(), self.openings.len(), "a key was answered with two openings");
        let wrong: Vec<(String, i64)> = sqlx::query_as(
            "select key, count(o.id) from unnest($1::text[]) key
               left join account_openings o on o.customer_reference = key and o.id = any ($2::uuid[])
              group by key having count(o.id) <> 1
              union all
             select customer_reference, count(*) from account_openings group by 1 having count(*) <> 1",
        )
        .bind(&self.keys)
        .bind(self.openings.iter().map(|it| it.parse().unwrap()).collect::<Vec<uuid::Uuid>>())
        .fetch_all(&mut connect(url, schema).await)
        .await
        .unwrap();
        assert!(wrong.is_empty(), "openings by key: {wrong:?}");
    }

    /// P21: openings come to their end; the world is one that completes them all.
    pub async fn is_completed(&self, url: &str, schema: &str) {
        let (mut connection, deadline) = (connect(url, schema).await, Instant::now() + WITHIN + WITHIN);
        loop {
            let left = self.incomplete(&mut connection).await;
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "P21: acknowledged and not completed: {left:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn incomplete(&self, connection: &mut PgConnection) -> Vec<(String, String)> {
        sqlx::query_as(
            "select id::text, state from account_openings where id = any ($1::uuid[]) and state <> 'completed'",
        )
        .bind(self.openings.iter().map(|it| it.parse().unwrap()).collect::<Vec<uuid::Uuid>>())
        .fetch_all(connection)
        .await
        .unwrap()
    }
}

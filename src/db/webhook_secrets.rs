//! `webhook_secret_uses`: per webhook secret the number of verified webhooks and the time of the last one.

use sqlx::PgConnection;

use super::Page;
use crate::clock::Time;

/// Uses of one secret since the last write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uses {
    pub provider: String,
    pub fingerprint: String,
    pub uses: i64,
    pub first: Time,
    pub last: Time,
}

/// A currently configured secret.
#[derive(Clone, Debug)]
pub struct Active {
    pub provider: String,
    pub fingerprint: String,
    /// Its index in the list, from 0.
    pub position: i32,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub provider: String,
    pub fingerprint: String,
    /// None: no longer configured.
    pub position: Option<i32>,
    pub uses: i64,
    pub first_used_at: Option<Time>,
    pub last_used_at: Option<Time>,
}

/// Adds uses. A retry after a lost reply counts twice, which retires no secret in use. `uses` must be sorted by
/// provider and fingerprint without repeats, so that two replicas lock rows in the same order.
pub async fn add(connection: &mut PgConnection, uses: &[Uses]) -> sqlx::Result<()> {
    let providers: Vec<String> = uses.iter().map(|it| it.provider.clone()).collect();
    let fingerprints: Vec<String> = uses.iter().map(|it| it.fingerprint.clone()).collect();
    let counts: Vec<i64> = uses.iter().map(|it| it.uses).collect();
    let first: Vec<Time> = uses.iter().map(|it| it.first).collect();
    let last: Vec<Time> = uses.iter().map(|it| it.last).collect();
    sqlx::query!(
        r#"-- webhook_secrets::add
        insert into webhook_secret_uses as held (provider, fingerprint, uses, first_used_at, last_used_at)
        select * from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
        on conflict (provider, fingerprint) do update
           set uses = held.uses + excluded.uses,
               first_used_at = least(held.first_used_at, excluded.first_used_at),
               last_used_at = greatest(held.last_used_at, excluded.last_used_at)"#,
        &providers,
        &fingerprints,
        &counts,
        &first,
        &last,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A page of secrets that are configured or have verified a webhook, by provider and fingerprint.
pub async fn list(
    connection: &mut PgConnection,
    active: &[Active],
    page: Page<(String, String)>,
) -> sqlx::Result<Vec<Row>> {
    let providers: Vec<String> = active.iter().map(|it| it.provider.clone()).collect();
    let fingerprints: Vec<String> = active.iter().map(|it| it.fingerprint.clone()).collect();
    let positions: Vec<i32> = active.iter().map(|it| it.position).collect();
    let (after_provider, after) = page.after.unzip();
    sqlx::query_as!(
        Row,
        r#"-- webhook_secrets::list
        select provider as "provider!", fingerprint as "fingerprint!", a.position as "position?",
               coalesce(u.uses, 0) as "uses!", u.first_used_at as "first_used_at?", u.last_used_at as "last_used_at?"
          from unnest($1::text[], $2::text[], $3::int[]) as a(provider, fingerprint, position)
          full join webhook_secret_uses u using (provider, fingerprint)
         where $4::text is null or (provider, fingerprint) > ($4, $5::text)
         order by provider, fingerprint
         limit $6"#,
        &providers,
        &fingerprints,
        &positions,
        after_provider,
        after,
        page.limit,
    )
    .fetch_all(connection)
    .await
}

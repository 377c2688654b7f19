//! `webhook_secret_uses`: how often each secret of a provider verified a webhook, and when last.

use sqlx::PgConnection;

use super::Page;
use crate::clock::Time;

/// Uses of one secret since they were last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uses {
    /// Whose secret.
    pub provider: String,
    /// Which.
    pub fingerprint: String,
    /// How often.
    pub uses: i64,
    /// When first.
    pub first: Time,
    /// When last.
    pub last: Time,
}

/// A secret that is configured now.
#[derive(Clone, Debug)]
pub struct Active {
    /// Whose.
    pub provider: String,
    /// Which.
    pub fingerprint: String,
    /// Its place in the list, counted from 0.
    pub position: i32,
}

/// A secret as it is listed.
#[derive(Clone, Debug)]
pub struct Row {
    pub provider: String,
    pub fingerprint: String,
    /// None: it is not configured any more.
    pub position: Option<i32>,
    pub uses: i64,
    pub first_used_at: Option<Time>,
    pub last_used_at: Option<Time>,
}

/// Adds these. A repeat after a lost reply counts them twice, which retires no secret that is in use. They must be sorted by
/// provider and fingerprint, each once, so that two replicas lock rows in the same order.
///
/// # Errors
/// When the database is away.
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

/// A page of the secrets that are configured or ever verified a webhook, by provider and fingerprint.
///
/// # Errors
/// When the database is away.
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

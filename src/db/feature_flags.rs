//! `feature_flag_changes`: every change of a flag. The last change of a scope is in force.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::CustomerType;
use crate::domain::flag::{Rule, Rules, Scope};

#[derive(Clone, Debug)]
pub struct Change {
    pub number: i64,
    pub flag: String,
    pub market: Option<String>,
    pub customer_type: Option<String>,
    pub enabled: bool,
    pub percentage: i32,
    pub reason: String,
    pub who: String,
    pub at: Time,
}

#[derive(Clone, Debug)]
pub struct NewChange {
    pub id: Uuid,
    pub flag: String,
    pub rule: Rule,
    pub reason: String,
    pub who: String,
    pub at: Time,
}

/// The key of a page of rules: market and customer type; empty for "all".
pub type ScopeKey = (String, String);

impl Change {
    #[must_use]
    pub fn scope_key(&self) -> ScopeKey {
        (self.market.clone().unwrap_or_default(), self.customer_type.clone().unwrap_or_default())
    }
}

/// Records a change. Idempotent by id.
pub async fn insert(connection: &mut PgConnection, change: &NewChange) -> sqlx::Result<()> {
    let Rule { scope: Scope { market, customer_type }, enabled, percentage } = &change.rule;
    sqlx::query!(
        r#"-- feature_flags::insert
        insert into feature_flag_changes (id, flag, market, customer_type, enabled, percentage, reason, who, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (id) do nothing"#,
        change.id,
        change.flag,
        market.as_deref(),
        customer_type.map(CustomerType::as_str),
        enabled,
        i32::from(*percentage),
        change.reason,
        change.who,
        change.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The rule in force for a scope.
pub async fn get(connection: &mut PgConnection, flag: &str, scope: &Scope) -> sqlx::Result<Option<Change>> {
    sqlx::query_as!(
        Change,
        r#"-- feature_flags::get
        select number, flag, market, customer_type, enabled, percentage, reason, who, at
          from feature_flag_changes
         where flag = $1 and market is not distinct from $2 and customer_type is not distinct from $3
         order by number desc
         limit 1"#,
        flag,
        scope.market.as_deref(),
        scope.customer_type.map(CustomerType::as_str),
    )
    .fetch_optional(connection)
    .await
}

/// A page of the rules in force, by market and customer type; rules for all come first.
pub async fn list(connection: &mut PgConnection, flag: &str, page: Page<ScopeKey>) -> sqlx::Result<Vec<Change>> {
    let (market, customer_type) = page.after.unzip();
    sqlx::query_as!(
        Change,
        r#"-- feature_flags::list
        select distinct on (coalesce(market, ''), coalesce(customer_type, ''))
               number, flag, market, customer_type, enabled, percentage, reason, who, at
          from feature_flag_changes
         where flag = $1
           and ($2::text is null or (coalesce(market, ''), coalesce(customer_type, '')) > ($2, $3::text))
         order by coalesce(market, ''), coalesce(customer_type, ''), number desc
         limit $4"#,
        flag,
        market,
        customer_type,
        page.limit,
    )
    .fetch_all(connection)
    .await
}

pub async fn changes(connection: &mut PgConnection, flag: &str, page: Page<i64>) -> sqlx::Result<Vec<Change>> {
    sqlx::query_as!(
        Change,
        r#"-- feature_flags::changes
        select number, flag, market, customer_type, enabled, percentage, reason, who, at
          from feature_flag_changes
         where flag = $1 and ($2::bigint is null or number < $2)
         order by number desc
         limit $3"#,
        flag,
        page.after,
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// The rules in force. A rule for a customer type that only a newer version knows is ignored.
pub async fn rules(connection: &mut PgConnection, flag: &str) -> sqlx::Result<Rules> {
    let all = list(connection, flag, Page { limit: i64::MAX, after: None }).await?;
    let rule = |change: Change| {
        let customer_type = change.customer_type.map(|word| word.parse()).transpose().ok()?;
        let percentage = u8::try_from(change.percentage).ok()?;
        Some(Rule { scope: Scope { market: change.market, customer_type }, enabled: change.enabled, percentage })
    };
    Ok(Rules(all.into_iter().filter_map(rule).collect()))
}

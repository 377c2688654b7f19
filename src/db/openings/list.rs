//! Listing openings: where to look for those that a filter lets through, and for how long.
//!
//! No index covers the state, since it changes at every step. What people look for stands together elsewhere: what has not ended
//! in the timers, what ended badly or was escalated in small indexes of its own. Of the rest, and in each of these, a page
//! looks at [`SCAN`] openings at the most, and then says from where to go on.

use sqlx::PgConnection;
use uuid::Uuid;

use super::read;
use crate::db::Page;
use crate::domain::{Opening, StateName};

/// The most openings that are looked at for one page.
const SCAN: i64 = 10_000;

/// What a list of openings is narrowed by.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these states. None: all.
    pub states: Option<Vec<StateName>>,
    /// The market.
    pub market: Option<String>,
    /// The caller's name for the customer.
    pub customer_reference: Option<String>,
}

/// A page of openings.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Newest first.
    pub openings: Vec<Opening>,
    /// From where on there may be more.
    pub next: Option<Uuid>,
}

/// Where openings are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Among those that have a timer.
    Running,
    /// Among those that were escalated at some time.
    Escalated,
    /// Among those that were rejected or failed.
    EndedBadly,
    /// Among the customer's.
    Customer,
    /// Among all.
    All,
}

impl Filter {
    fn place(&self) -> Place {
        let Some(states) = &self.states else {
            return if self.customer_reference.is_some() { Place::Customer } else { Place::All };
        };
        let all = |which: fn(StateName) -> bool| states.iter().all(|it| which(*it));
        if self.customer_reference.is_some() {
            Place::Customer
        } else if all(|it| it == StateName::Escalated) {
            Place::Escalated
        } else if all(|it| matches!(it, StateName::Rejected | StateName::Failed)) {
            Place::EndedBadly
        } else if all(|it| !it.is_terminal()) {
            Place::Running
        } else {
            Place::All
        }
    }
}

/// A page of openings, newest first. It may hold fewer than asked for although there are more: where that is so it says how to
/// go on.
///
/// # Errors
/// When the database is away.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Listed> {
    if filter.states.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Listed { openings: Vec::new(), next: None });
    }
    let found = find(connection, filter, Page { limit: page.limit + 1, ..page }).await?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let ids: Vec<Uuid> = found.iter().filter(|it| it.matches).map(|it| it.id).take(limit).collect();
    // One more than the page holds was found; or else that is where the look ended.
    let next =
        if found.len() > limit { ids.last().copied() } else { found.iter().find(|it| !it.matches).map(|it| it.id) };
    let mut openings = read(connection, &ids).await?;
    // One may have gone on since it was found.
    openings.retain(|it| filter.states.as_ref().is_none_or(|states| states.contains(&it.state_name())));
    openings.sort_unstable_by_key(|it| std::cmp::Reverse(it.id.0));
    Ok(Listed { openings, next })
}

struct Found {
    id: Uuid,
    /// False: it is only the last that was looked at.
    matches: bool,
}

/// The ids of those that match, in the order in which they are looked at, and no more are looked at than it takes; if these are
/// fewer than the limit and there are more than the [`SCAN`] that were looked at, the last of these too. The anchor is asked
/// for row by row: a join might be made in another order.
macro_rules! find_among {
    ($connection:expr, $filter:expr, $page:expr, $name:literal, $among:literal) => {{
        let states: Option<Vec<String>> =
            $filter.states.as_ref().map(|states| states.iter().map(ToString::to_string).collect());
        sqlx::query_as!(
            Found,
            $name
                + r#"
            with looked_at as ("#
                + $among
                + r#" limit (select $6::bigint + 1)
            ), found as (
                select id from (select id from looked_at limit (select $6)) as looked_at
                 where (select ($1::text[] is null or o.state = any($1)) and ($2::text is null or o.market = $2)
                               and ($3::text is null or o.customer_reference = $3)
                          from account_openings o where o.id = looked_at.id)
                 limit (select $5::bigint)
            )
            select id as "id!", true as "matches!" from found
             union all
            select * from (select id, false from looked_at offset (select $6 - 1) limit 1) as last
             where (select count(*) from found) < $5 and exists (select from looked_at offset (select $6))"#,
            states.as_deref(),
            $filter.market,
            $filter.customer_reference,
            $page.after.unwrap_or(Uuid::max()),
            $page.limit,
            SCAN,
        )
        .fetch_all($connection)
        .await
    }};
}

async fn find(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Found>> {
    match filter.place() {
        Place::Running => find_among!(
            connection,
            filter,
            page,
            "-- openings::list_running",
            "select opening_id as id from timers where opening_id < $4 order by opening_id desc"
        ),
        Place::Escalated => find_among!(
            connection,
            filter,
            page,
            "-- openings::list_escalated",
            "select id from account_openings where escalated_at is not null and id < $4 order by id desc"
        ),
        Place::EndedBadly => find_among!(
            connection,
            filter,
            page,
            "-- openings::list_ended_badly",
            "select id from account_openings where reason is not null and id < $4 order by id desc"
        ),
        Place::Customer => find_among!(
            connection,
            filter,
            page,
            "-- openings::list_of_customer",
            "select id from account_openings where customer_reference = $3 and id < $4 order by id desc"
        ),
        Place::All => find_among!(
            connection,
            filter,
            page,
            "-- openings::list_all",
            "select id from account_openings where id < $4 order by id desc"
        ),
    }
}

//! Lists openings with filters, in bounded time.
//!
//! No index covers the state, because it changes at every step. Common filters use smaller sets: unfinished openings
//! are in the timers; rejected, failed and escalated ones have partial indexes. Any other filter, and each of these
//! sets, examines at most [`SCAN`] openings per page; the answer says where to continue.

use sqlx::PgConnection;
use uuid::Uuid;

use super::read;
use crate::db::Page;
use crate::domain::{CustomerType, Opening, StateName};

/// The maximum number of openings examined per page.
const SCAN: i64 = 10_000;

/// The filters of a list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these states. None: all states.
    pub states: Option<Vec<StateName>>,
    pub market: Option<String>,
    pub customer_type: Option<CustomerType>,
    pub customer_reference: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Listed {
    /// Newest first.
    pub openings: Vec<Opening>,
    /// The last examined id, if more openings may follow.
    pub next: Option<Uuid>,
}

/// The set of openings that a query scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Openings with a timer.
    Running,
    /// Openings that were ever escalated.
    Escalated,
    /// Rejected or failed openings.
    EndedBadly,
    /// The openings of a customer reference.
    Customer,
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

/// A page of openings, newest first. It may be shorter than `limit` although more exist; `next` then says where to
/// continue.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Listed> {
    if filter.states.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Listed { openings: Vec::new(), next: None });
    }
    let found = find(connection, filter, Page { limit: page.limit + 1, ..page }).await?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let ids: Vec<Uuid> = found.iter().filter(|it| it.matches).map(|it| it.id).take(limit).collect();
    // Continue after the page if one more match was found, else after the last examined id.
    let next =
        if found.len() > limit { ids.last().copied() } else { found.iter().find(|it| !it.matches).map(|it| it.id) };
    let mut openings = read(connection, &ids).await?;
    // A state may have changed since the scan.
    openings.retain(|it| filter.states.as_ref().is_none_or(|states| states.contains(&it.state_name())));
    openings.sort_unstable_by_key(|it| std::cmp::Reverse(it.id.0));
    Ok(Listed { openings, next })
}

struct Found {
    id: Uuid,
    /// False: this row is only the last one examined.
    matches: bool,
}

/// The ids of matches in scan order, examining no more rows than needed. If the limit is not reached within [`SCAN`]
/// rows, the last examined id is added. Plan: the anchor is read row by row in a subquery, because a join might change
/// the order.
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
                               and ($7::text is null or o.customer_type = $7)
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
            $filter.customer_type.map(CustomerType::as_str),
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

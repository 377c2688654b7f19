//! Which mismatches a list is about, and by which index they are found.

use uuid::Uuid;

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub id: Option<Uuid>,
    pub class: Option<String>,
    pub state: Option<String>,
    pub provider: Option<String>,
    pub market: Option<String>,
    pub opening_id: Option<Uuid>,
    pub report: Option<Uuid>,
}

/// The index that finds the mismatches of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Id,
    Report,
    Opening,
    State,
    Class,
    All,
}

impl Filter {
    /// The place with the fewest mismatches. At any time few mismatches of any class are open; nearly all others are settled.
    pub(super) fn place(&self) -> Place {
        let is_open = self.state.as_deref().is_some_and(|it| !["settled", "resolved"].contains(&it));
        match self {
            Self { id: Some(_), .. } => Place::Id,
            Self { report: Some(_), .. } => Place::Report,
            Self { opening_id: Some(_), .. } => Place::Opening,
            Self { class: Some(_), .. } if !is_open => Place::Class,
            Self { state: Some(_), .. } => Place::State,
            _ => Place::All,
        }
    }
}

/// Calls `$read!` with the end of its name, the ids of its place, newest first, their order, and the condition that the filter is. `$1` to
/// `$7` are the filter's fields in their order, `$8` is the id after which the ids begin.
///
/// Plan: plans are generic, and with optional filters the planner expects few rows. It would sort all rows of a place, or walk the
/// table from its newest row. So the ids are found alone, a word as a range of its index in the index's order, and each row is read by
/// its id. A limit of unknown size keeps the planner from sorting.
macro_rules! in_place {
    ($read:ident, $connection:expr, $filter:expr, $page:expr) => {
        match $filter.place() {
            Place::Id => in_place!(
                @$read,
                $connection,
                $filter,
                $page,
                "_by_id",
                "select id from mismatches where id = $1",
                "said.id desc"
            ),
            Place::Report => in_place!(
                @$read,
                $connection,
                $filter,
                $page,
                "_of_report",
                "select distinct mismatch_id as id from mismatch_reports where report_id = $7 and mismatch_id < $8
                  order by mismatch_id desc",
                "said.id desc"
            ),
            Place::Opening => in_place!(
                @$read,
                $connection,
                $filter,
                $page,
                "_of_opening",
                "select id from (select id from mismatches where opening_id = $6 offset 0) as those order by id desc",
                "said.id desc"
            ),
            Place::State => in_place!(
                @$read,
                $connection,
                $filter,
                $page,
                "_in_state",
                "select state, id from mismatches where state >= $3 and (state, id) < ($3, $8) order by state desc, id desc",
                "said.state desc, said.id desc"
            ),
            Place::Class => in_place!(
                @$read,
                $connection,
                $filter,
                $page,
                "_of_class",
                "select class, id from mismatches where class >= $2 and (class, id) < ($2, $8) order by class desc, id desc",
                "said.class desc, said.id desc"
            ),
            Place::All => in_place!(
                @$read,
                $connection,
                $filter,
                $page,
                "",
                "select id from mismatches where id < $8 order by id desc",
                "said.id desc"
            ),
        }
    };
    (@$read:ident, $connection:expr, $filter:expr, $page:expr, $name:literal, $among:literal, $order:literal) => {
        $read!(
            $connection,
            $filter,
            $page,
            $name,
            $among,
            $order,
            "($1::uuid is null or m.id = $1)
               and ($2::text is null or m.class = $2)
               and ($3::text is null or m.state = $3)
               and ($4::text is null or m.provider = $4)
               and ($5::text is null or m.market = $5)
               and ($6::uuid is null or m.opening_id = $6)
               and ($7::uuid is null or exists (select from mismatch_reports r
                                                 where r.mismatch_id = m.id and r.report_id = $7))
               and m.id < $8"
        )
    };
}

pub(super) use in_place;

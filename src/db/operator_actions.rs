//! `operator_actions`: operators' acts, recorded in the commit that made them.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use super::mentions::Mentions;
use crate::clock::Time;
use crate::domain::OpeningId;

#[derive(Clone, Debug)]
pub struct Action {
    pub id: Uuid,
    pub at: Time,
    /// The name of the operator's token.
    pub who: String,
    /// For example `resolve`.
    pub action: String,
    /// The id or name of the changed object.
    pub subject: String,
    pub opening_id: Option<Uuid>,
    pub reason: String,
    pub detail: Value,
    /// The dashboard's form that asked for it. Two acts of one form violate [`ONE_ACT_PER_FORM`].
    pub form: Option<Uuid>,
}

/// The unique index by which a form that is sent again does nothing.
pub const ONE_ACT_PER_FORM: &str = "one_act_per_form";

/// Records an action. Idempotent by id, so a retried request records it once.
///
/// # Errors
/// A violation of [`ONE_ACT_PER_FORM`] when another act of the same form was recorded; the caller's commit then fails as a whole.
pub async fn insert(connection: &mut PgConnection, action: &Action) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- operator_actions::insert
        insert into operator_actions (id, at, who, action, subject, opening_id, reason, detail, form_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (id) do nothing"#,
        action.id,
        action.at,
        action.who,
        action.action,
        action.subject,
        action.opening_id,
        action.reason,
        action.detail,
        action.form,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub opening: Option<Uuid>,
    pub who: Option<String>,
    pub action: Option<String>,
}

macro_rules! list_among {
    ($connection:expr, $filter:expr, $page:expr, $name:literal, $among:literal, $order:literal) => {
        sqlx::query_as!(
            Action,
            "-- operator_actions::list"
                + $name
                + r#"
            select a.id as "id!", a.at as "at!", a.who as "who!", a.action as "action!", a.subject as "subject!", a.opening_id,
                   a.reason as "reason!", a.detail as "detail!", a.form_id as form
              from ("#
                + $among
                + r#" limit (select null::bigint)) as said
             cross join lateral (select * from operator_actions where id = said.id limit 1) as a
             where ($1::uuid is null or a.opening_id = $1)
               and ($4::text is null or a.who = $4)
               and ($5::text is null or a.action = $5)
               and a.id < $2
             order by "#
                + $order
                + r#"
             limit $3"#,
            $filter.opening,
            $page.after.unwrap_or(Uuid::max()),
            $page.limit,
            $filter.who,
            $filter.action,
        )
        .fetch_all($connection)
        .await
    };
}

/// A page of acts, newest first, with a statement for each way to find them. Plan: as of `mismatches::list`.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Action>> {
    match filter {
        Filter { opening: Some(_), .. } => list_among!(
            connection,
            filter,
            page,
            "_of_opening",
            "select opening_id, id from operator_actions where opening_id >= $1 and (opening_id, id) < ($1, $2)
              order by opening_id desc, id desc",
            "said.opening_id desc, said.id desc"
        ),
        Filter { who: Some(_), action: Some(_), .. } => list_among!(
            connection,
            filter,
            page,
            "_of_persons_kind",
            "select who, action, id from operator_actions
              where (who, action) >= ($4, $5) and (who, action, id) < ($4, $5, $2)
              order by who desc, action desc, id desc",
            "said.who desc, said.action desc, said.id desc"
        ),
        Filter { who: Some(_), .. } => list_among!(
            connection,
            filter,
            page,
            "_of_person",
            "select who, id from operator_actions where who >= $4 and (who, id) < ($4, $2) order by who desc, id desc",
            "said.who desc, said.id desc"
        ),
        Filter { action: Some(_), .. } => list_among!(
            connection,
            filter,
            page,
            "_of_kind",
            "select action, id from operator_actions where action >= $5 and (action, id) < ($5, $2)
              order by action desc, id desc",
            "said.action desc, said.id desc"
        ),
        _ => list_among!(
            connection,
            filter,
            page,
            "",
            "select id from operator_actions where id < $2 order by id desc",
            "said.id desc"
        ),
    }
}

/// Whether this act was recorded. True after a commit with a lost reply.
pub async fn is_recorded(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- operator_actions::is_recorded
        select exists (select from operator_actions where id = $1) as "exists!""#,
        id,
    )
    .fetch_one(connection)
    .await
}

/// Remembers the form of an act that had been done before it: sent again, the form does nothing, as the first time.
pub async fn remember_form(connection: &mut PgConnection, action: &Action) -> sqlx::Result<()> {
    let Some(form) = action.form else { return Ok(()) };
    sqlx::query!(
        r#"-- operator_actions::remember_form
        insert into answered_forms (form_id, answered_at, subject) values ($1, $2, $3)
        on conflict (form_id) do nothing"#,
        form,
        action.at,
        action.subject,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether this form was answered: its act was done, or had been done before it.
pub async fn is_answered(connection: &mut PgConnection, form: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- operator_actions::is_answered
        select exists (select from operator_actions where form_id = $1)
            or exists (select from answered_forms where form_id = $1) as "exists!""#,
        form,
    )
    .fetch_one(connection)
    .await
}

/// The act that this form asked for, if it was done.
pub async fn of_form(connection: &mut PgConnection, form: Uuid) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        r#"-- operator_actions::of_form
        select id from operator_actions where form_id = $1"#,
        form,
    )
    .fetch_optional(connection)
    .await
}

/// The subject of this form's act, if the act was done, or had been done before it.
pub async fn subject_of_form(connection: &mut PgConnection, form: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"-- operator_actions::subject_of_form
        select subject as "subject!" from operator_actions where form_id = $1
         union all
        select subject from answered_forms where form_id = $1
         limit 1"#,
        form,
    )
    .fetch_optional(connection)
    .await
}

/// Marks a reveal as shown. Returns whether it was not shown before: on all replicas together that is so once.
pub async fn show_once(connection: &mut PgConnection, reveal: &Reveal<'_>, now: Time) -> sqlx::Result<bool> {
    let shown = sqlx::query!(
        r#"-- operator_actions::show_once
        update operator_actions set detail = detail || jsonb_build_object('shown_at', $4::timestamptz)
         where id = $1 and who = $2 and opening_id = $3 and at > $5
           and action = 'reveal_personal_data' and not detail ? 'shown_at'"#,
        reveal.act,
        reveal.who,
        reveal.opening.0,
        now,
        reveal.not_before,
    )
    .execute(connection)
    .await?;
    Ok(shown.rows_affected() == 1)
}

/// A recorded reveal of personal data that is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Reveal<'a> {
    pub act: Uuid,
    pub who: &'a str,
    pub opening: OpeningId,
    /// A reveal that was recorded earlier is not shown any more.
    pub not_before: Time,
}

/// Erases the texts of acts on an opening, on its `emptied` facts and cases, and on no opening if they mention its
/// customer. Operator, act, time and the reason of the erasure stay.
pub async fn erase(
    connection: &mut PgConnection,
    opening: OpeningId,
    emptied: &[Uuid],
    mentions: &Mentions,
) -> sqlx::Result<()> {
    let subjects: Vec<String> = emptied.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"-- operator_actions::erase
        update operator_actions set reason = '', detail = '{}'
         where (opening_id = $1 or subject = any($2) or (opening_id is null and reason || detail::text ~* $3))
           and action <> 'erase'"#,
        opening.0,
        &subjects,
        mentions.customer,
    )
    .execute(connection)
    .await?;
    Ok(())
}

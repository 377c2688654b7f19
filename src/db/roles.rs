//! Two database roles: the owner runs migrations; the service has only the rights that its queries need.
//!
//! Triggers defend the history. Only owners and superusers can disable triggers, so the service must be neither.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The service's rights per table. Of write-once tables only the columns that operators or erasures change may be
/// updated. A newer version may add rights; it may only revoke rights that the version before, running beside it during
/// an upgrade, did not use.
const RIGHTS: [(&str, &str); 54] = [
    ("_sqlx_migrations", "select"),
    ("account_openings", "select, insert, update"),
    ("answered_forms", "select, insert"),
    ("archive_walks", "select, update (place, began_at)"),
    ("backfills", "select, insert, update"),
    ("bank_statements", "select, insert, update (outcome)"),
    ("bank_words", "select, insert, delete"),
    ("breakers", "select, insert, update, delete"),
    ("bulk_items", "select, insert, update (outcome, why, done_at), delete"),
    ("bulk_runs", "select, insert, update (started_act, started_at, stopped_at, finished_at), delete"),
    ("cases", "select, insert, update (status, reason, resolved_by, resolved_at, cause, ours, theirs)"),
    ("charge_lines", "select, insert, update"),
    ("database_starts", "select, insert"),
    ("event_head", "select, update (position, server_started_at)"),
    ("event_positions", "select, insert"),
    ("events", "select, insert, update (data)"),
    ("events_without_position", "select, insert, delete"),
    ("expected_fees", "select, insert"),
    ("feature_flag_changes", "select, insert"),
    ("fee_bookings", "select, insert"),
    ("fee_ledger", "select"),
    ("fee_sums", "select, insert, delete"),
    ("heartbeats", "select, insert, update"),
    ("idempotency_keys", "select, insert, update, delete"),
    ("inbox", "select, insert, update, delete"),
    ("inbox_archive", "select, insert, update (body, headers, attempt_log, erased_at, duplicates, last_duplicate_at)"),
    ("mismatch_reports", "select, insert"),
    ("mismatch_steps", "select, insert"),
    ("mismatches", "select, insert, update"),
    ("opening_count_changes", "select, delete"),
    ("opening_counts", "select, insert, update"),
    ("opening_history", "select, insert"),
    ("opening_ibans", "select"),
    ("operator_actions", "select, insert, update (reason, detail)"),
    ("outbox", "select, insert, update, delete"),
    ("outbox_archive", "select, insert, update (payload, attempt_log)"),
    ("price_lists", "select, insert"),
    ("rejected_requests", "select, insert, update, delete"),
    ("rejected_sources", "select, insert, update, delete"),
    ("rejected_total", "select, update"),
    ("report_chunks", "select, insert, update (bytes)"),
    ("report_errors", "select, insert, update (detail)"),
    ("report_pages", "select, insert, delete"),
    ("report_profiles", "select, insert"),
    ("report_pulls", "select, insert, update"),
    ("report_redactions", "select, insert, update (length)"),
    ("report_rows", "select, insert, update"),
    ("reports", "select, insert, update"),
    ("sessions", "select, insert, update, delete"),
    ("settlements", "select, insert, update"),
    ("tickets", "select, insert, update"),
    ("timers", "select, insert, update, delete"),
    ("webhook_marks", "select, insert, update"),
    ("webhook_secret_uses", "select, insert, update"),
];
/// Functions that the service calls directly or in a trigger. Every role may call them, unless an administrator revoked
/// that.
const FUNCTIONS: [&str; 2] = ["opening_step_is_legal(text, text)", "room_on_disk()"];

/// A power that makes a role unfit for the service: it could disable the triggers that defend the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    Superuser,
    /// Owner of a table, a trigger's function or the schema.
    Owner,
    /// Member of the owner's role.
    Member,
    /// May make itself a member (`createrole`, before PostgreSQL 16).
    Joiner,
}

impl std::fmt::Display for Power {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Superuser => "is a superuser",
            Self::Owner => "owns the tables or their schema",
            Self::Member => "is a member of the role that owns the tables or their schema",
            Self::Joiner => "may make itself a member of the role that owns the tables",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    /// The power that makes it unfit for the service, if any.
    pub power: Option<Power>,
}

pub async fn exists(connection: &mut PgConnection, role: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- roles::exists
        select exists (select from pg_roles where rolname = $1) as "exists!""#,
        role,
    )
    .fetch_one(connection)
    .await
}

/// The login role of this connection, ignoring `set role`, which the session could undo.
pub async fn of_session(connection: &mut PgConnection) -> sqlx::Result<Role> {
    let tables: Vec<String> = RIGHTS.iter().map(|(table, _)| (*table).to_owned()).collect();
    let row = sqlx::query!(
        r#"-- roles::of_session
        with ours as (
            select oid, relowner from pg_class
             where relnamespace = current_schema()::regnamespace and relname = any($1)
        ), owners as (
            select relowner as owner from ours
             union
            select nspowner from pg_namespace where nspname = current_schema()
             union
            select f.proowner from pg_trigger t join pg_proc f on f.oid = t.tgfoid
             where t.tgrelid in (select oid from ours) and not t.tgisinternal
        )
        select r.rolname::text as "name!", r.rolsuper as "is_superuser!",
               r.oid in (select owner from owners) as "is_owner!",
               exists (select from owners where pg_has_role(r.oid, owner, 'member')) as "is_member!",
               (r.rolcreaterole and current_setting('server_version_num')::int < 160000) as "may_join!"
          from pg_roles r where r.rolname = session_user"#,
        &tables,
    )
    .fetch_one(connection)
    .await?;
    let powers = [
        (row.is_superuser, Power::Superuser),
        (row.is_owner, Power::Owner),
        (row.is_member, Power::Member),
        (row.may_join, Power::Joiner),
    ];
    let power = powers.into_iter().find(|(has, _)| *has).map(|(_, power)| power);
    Ok(Role { name: row.name, power })
}

/// Grants a role the service's rights, as the owner. `exactly` also revokes all other rights; do not use it on a newer
/// version's schema, which may need rights unknown to this version.
///
/// # Errors
/// If the role does not exist or the connection's role may not grant.
pub async fn grant(connection: &mut PgConnection, schema: &str, role: &str, exactly: bool) -> sqlx::Result<()> {
    let (schema, role) = (quoted(schema), quoted(role));
    let mut statements = Vec::new();
    if exactly {
        let tables = RIGHTS.map(|(table, _)| table).join(", ");
        statements.push(format!("revoke all on {tables} from {role}"));
        statements.push(format!("revoke create on schema {schema} from {role}"));
    }
    statements.push(format!("grant usage on schema {schema} to {role}"));
    statements.extend(RIGHTS.iter().map(|(table, rights)| format!("grant {rights} on {table} to {role}")));
    statements.push(format!("grant execute on function {} to {role}", FUNCTIONS.join(", ")));
    let sql = format!("-- roles::grant\n{}", statements.join(";\n"));

    // One commit: a running service never lacks a right meanwhile. Serialised by a lock: concurrent grants on one table
    // fail.
    let mut transaction = connection.begin().await?;
    sqlx::query!(
        r"-- roles::grant
        select pg_advisory_xact_lock(hashtextextended($1, 0))",
        schema,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    transaction.commit().await
}

/// A quoted SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

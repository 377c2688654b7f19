//! Session settings hold behind any pooler and for any role's own settings.

use std::time::Duration;

use account_opening::db::{PoolOptions, connect as pool};
use sqlx::PgPool;

use super::external::{connect, execute, migrate, migrate_for};
use crate::support::cluster::{SERVICE, create_role, fresh_schema, url_as};
use crate::support::pooler::{Lends, Pooler};
use crate::support::process::{Process, Program, WITHIN, eventually};
use crate::support::service::ServiceBuilder;

async fn text(pool: &PgPool, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// The settings of every session of the service, as `show` says them.
const SESSION: [(&str, &str); 10] = [
    ("timezone", "UTC"),
    ("client_encoding", "UTF8"),
    ("statement_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("default_transaction_isolation", "read committed"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// G2: also through a pooler that drops what a session was started with, and for a role that brings settings of its own.
#[tokio::test]
async fn every_session_has_its_cell_and_its_settings_despite_the_pooler_and_the_role() {
    let (url, schema) = fresh_schema().await;
    let role = format!("session_{schema}");
    let as_role = create_role(&url, &role, "").await;
    for setting in [
        "statement_timeout = 0",
        "lock_timeout = 0",
        "idle_in_transaction_session_timeout = 0",
        "default_transaction_isolation = 'serializable'",
        "search_path = public",
        "timezone = 'Asia/Tokyo'",
        "plan_cache_mode = auto",
    ] {
        execute(&url, "public", &format!("alter role {role} set {setting}")).await;
    }
    execute(&url, "public", &format!("create schema {schema} authorization {role}")).await;
    let pooler = Pooler::start(&url, Lends::Sessions, "127.0.0.1").await;
    for url in [pooler.url(&as_role), as_role] {
        let options =
            PoolOptions { url, schema: schema.clone(), max_connections: 2, acquire_timeout: Duration::from_secs(10) };
        let pool = pool(&options).unwrap();
        assert_eq!(text(&pool, "select current_schema()::text").await, schema);
        for (name, value) in SESSION {
            let found: String =
                sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&pool).await.unwrap();
            assert_eq!(found, value, "{name}");
        }
        pool.close().await;
    }
}

/// G2
#[tokio::test]
async fn a_session_pooler_that_drops_startup_options_is_migrated_and_served_in_its_cell() {
    let (url, schema) = fresh_schema().await;
    let pooler = Pooler::start(&url, Lends::Sessions, "127.0.0.1").await;
    let through = pooler.url(&url);
    let migrated = migrate_for(&url_as(&through, SERVICE), &through, &schema).await;
    assert_eq!(migrated.code(), Some(0), "{}", migrated.stderr);
    let mut superuser = connect(&url, &schema).await;
    let cell = "select to_regclass(current_schema() || '.account_openings') is not null";
    assert!(sqlx::query_scalar::<_, bool>(cell).fetch_one(&mut superuser).await.unwrap());

    let service = ServiceBuilder::on(&url_as(&through, SERVICE), &schema).start().await;
    assert_eq!(service.open("order-1").await.0, 202);
    let openings = "select count(*) from account_openings";
    assert_eq!(sqlx::query_scalar::<_, i64>(openings).fetch_one(&mut superuser).await.unwrap(), 1);
    assert_eq!(service.stop().await.code(), Some(0));
}

/// G2: what a session has does not survive there, and neither do prepared statements or advisory locks.
#[tokio::test]
async fn a_pooler_that_lends_a_session_for_one_transaction_is_refused_with_a_line_that_says_so() {
    let (url, schema) = fresh_schema().await;
    assert_eq!(migrate(&url, &schema).await.code(), Some(0));
    let pooler = Pooler::start(&url, Lends::Transactions, "127.0.0.1").await;
    let through = pooler.url(&url);
    let verify = Program::new(&["verify-history"]).env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    for program in [Program::new(&["migrate"]), verify, ServiceBuilder::new().env("LOG", "error").0] {
        let program = program.env("DATABASE_URL", through.as_str()).env("DATABASE_SCHEMA", schema.as_str());
        let ended = program.run().await;
        assert_eq!((ended.code(), ended.wrong_settings()), (Some(2), vec!["DATABASE_URL"]), "{}", ended.stderr);
        let line = ended.line_about("DATABASE_URL");
        assert!(line.contains("transaction") && line.contains("; expected "), "{line}");
    }
}

/// G16
#[tokio::test]
async fn an_ipv6_address_in_brackets_is_connected_to() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let (url, schema) = fresh_schema().await;
    let pooler = Pooler::start(&url, Lends::Sessions, "[::1]").await;
    let through = pooler.url(&url);
    assert!(through.contains("@[::1]:"), "{through}");
    let migrated = migrate(&through, &schema).await;
    assert_eq!(migrated.code(), Some(0), "{}", migrated.stderr);
    let service = ServiceBuilder::on(&through, &schema).start().await;
    assert_eq!(service.stop().await.code(), Some(0));
}

/// G9: names come from all of Unicode.
#[tokio::test]
async fn a_database_in_another_encoding_than_utf8_is_refused_by_migrate_and_serve() {
    let (url, schema) = fresh_schema().await;
    for encoding in ["LATIN1", "WIN1252", "SQL_ASCII"] {
        let name = format!("{schema}_{}", encoding.to_lowercase());
        let create = format!("create database {name} encoding '{encoding}' locale 'C' template template0");
        execute(&url, "public", &create).await;
        let url = url.replacen("/account%5Fopening?", &format!("/{name}?"), 1);
        for program in [Program::new(&["migrate"]), ServiceBuilder::new().env("LOG", "error").0] {
            let ended = program.env("DATABASE_URL", url.as_str()).run().await;
            assert_eq!((ended.code(), ended.wrong_settings()), (Some(2), vec!["DATABASE_URL"]), "{}", ended.stderr);
            let line = ended.line_about("DATABASE_URL");
            assert!(line.contains(encoding) && line.contains("UTF8"), "{line}");
        }
        let mut connection = connect(&url, "public").await;
        let tables = "select count(*) from pg_tables where schemaname = 'public'";
        assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&mut connection).await.unwrap(), 0, "{encoding}");
    }
}

/// G14: a role's time-outs are for its everyday work, and migrations take their time.
#[tokio::test]
async fn migrations_do_not_break_at_the_time_outs_that_their_role_has() {
    let (url, schema) = fresh_schema().await;
    let role = format!("owner_of_{schema}");
    let owner = create_role(&url, &role, "").await;
    execute(&url, "public", &format!("create schema {schema} authorization {role}")).await;
    for setting in ["statement_timeout = '1ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'"]
    {
        execute(&url, "public", &format!("alter role {role} set {setting}")).await;
    }
    let ended = migrate_for(&url_as(&url, SERVICE), &owner, &schema).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
}

/// G14: one that waits for a lock must not make everybody else wait behind it for long, so it gives up and tries again.
#[tokio::test]
async fn a_migration_that_does_not_get_its_lock_tries_again_until_it_does() {
    let (url, schema) = fresh_schema().await;
    let role = format!("owner_of_{schema}");
    let owner = create_role(&url, &role, "").await;
    execute(&url, "public", &format!("create schema {schema} authorization {role}")).await;
    execute(&url, "public", &format!("alter role {role} set lock_timeout = '10ms'")).await;
    assert_eq!(migrate_for(&url_as(&url, SERVICE), &owner, &schema).await.code(), Some(0));
    let mut holder = connect(&url, &schema).await;
    let mut held = sqlx::Connection::begin(&mut holder).await.unwrap();
    sqlx::query("lock table _sqlx_migrations in access exclusive mode").execute(&mut *held).await.unwrap();
    let mut migrating: Process =
        Program::new(&["migrate"]).env("DATABASE_URL", owner.as_str()).env("DATABASE_SCHEMA", schema.as_str()).spawn();
    eventually("it says that it waits", WITHIN, async || {
        assert!(migrating.lives(), "it gave up: {}", migrating.stderr());
        migrating.stderr().contains("lock").then_some(())
    })
    .await;
    held.rollback().await.unwrap();
    let ended = migrating.ended(WITHIN).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
}

/// G18: by the log at the start, and by `/readyz` and the log later.
#[tokio::test]
async fn the_log_and_readyz_name_what_refuses_a_connection() {
    let (url, schema) = fresh_schema().await;
    let role = format!("limited_{schema}");
    let service = create_role(&url, &role, "").await;
    assert_eq!(migrate_for(&service, &url, &schema).await.code(), Some(0));
    let pooler = Pooler::start(&url, Lends::Sessions, "127.0.0.1").await;
    let serve = ServiceBuilder::on(&pooler.url(&service), &schema);

    execute(&url, &schema, &format!("alter role {role} connection limit 0")).await;
    let process = serve.0.spawn();
    says(&process, "too many connections for role").await;
    drop(process);
    let nobody = Program::new(&["serve"]).env("DATABASE_URL", "postgres://user:hush-hush@127.0.0.1:9/x");
    let process = ServiceBuilder(nobody).env("ENVIRONMENT", "development").0.spawn();
    says(&process, "refused").await;
    assert!(!process.stderr().contains("hush"), "{}", process.stderr());
    drop(process);

    execute(&url, &schema, &format!("alter role {role} connection limit -1")).await;
    let service = serve.start().await;
    let out = format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'");
    execute(&url, &schema, &format!("alter role {role} connection limit 0; {out}")).await;
    readyz_says(&service, "too many connections for role").await;
    says(&service.process, "too many connections for role").await;
    execute(&url, &schema, &format!("alter role {role} connection limit -1")).await;
    service.answers_ready(200, WITHIN).await;
    drop(pooler);
    readyz_says(&service, "refused").await;
    says(&service.process, "refused").await;
    assert!(!service.process.stderr().contains("pool timed out"), "{}", service.process.stderr());
}

async fn says(process: &Process, what: &str) {
    eventually(&format!("the log says {what}"), WITHIN, async || process.stderr().contains(what).then_some(())).await;
}

async fn readyz_says(service: &crate::support::service::Service, what: &str) {
    eventually(&format!("/readyz says {what}"), WITHIN, async || {
        let (status, body) = service.ready().await;
        (status == 503 && body.contains(what)).then_some(())
    })
    .await;
}

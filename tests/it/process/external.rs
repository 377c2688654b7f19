//! A database that was given: `migrate`, its schema's version, cells beside each other, several services.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};

use crate::support::cluster::{SERVICE, fresh_cell, fresh_database, fresh_schema, url_as};
use crate::support::process::{Ended, Program, WITHIN};
use crate::support::service::ServiceBuilder;

/// A connection with this schema as its default.
pub async fn connect(url: &str, schema: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.options([("search_path", schema)]).connect().await.unwrap()
}

/// Those of these messages that are not in the inbox.
pub async fn not_in_inbox(url: &str, schema: &str, ids: &[String]) -> Vec<String> {
    sqlx::query_scalar(
        "select sent from unnest($1::text[]) sent
          where not exists (select 1 from inbox where consumer_group = 'webhook:nexusbank' and event_id = sent)",
    )
    .bind(ids)
    .fetch_all(&mut connect(url, schema).await)
    .await
    .unwrap()
}

pub async fn execute(url: &str, schema: &str, sql: &str) {
    let mut connection = connect(url, schema).await;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
}

/// The schema as an earlier build left it: more migrations than this program has, and another first one.
pub const EARLIER_BUILD: &str = "update _sqlx_migrations set checksum = '\\x00' where version = 1;
     insert into _sqlx_migrations (version, description, success, checksum, execution_time)
     values (38, 'account due', true, '\\x00', 0)";

pub async fn migrate(url: &str, schema: &str) -> Ended {
    Program::new(&["migrate"]).env("DATABASE_URL", url).env("DATABASE_SCHEMA", schema).run().await
}

/// `migrate` as one role, for the service of another.
pub async fn migrate_for(service: &str, owner: &str, schema: &str) -> Ended {
    let program = Program::new(&["migrate"]).env("DATABASE_URL", service).env("MIGRATION_DATABASE_URL", owner);
    program.env("DATABASE_SCHEMA", schema).run().await
}

/// A service with a role of its own in a migrated schema of its own, with the database's URL as superuser and the schema.
pub async fn migrated() -> (ServiceBuilder, String, String) {
    let (url, schema) = fresh_cell().await;
    (ServiceBuilder::on(&url_as(&url, SERVICE), &schema), url, schema)
}

#[tokio::test]
async fn an_empty_database_is_refused_until_migrate_has_run_which_may_run_twice() {
    let (url, _) = fresh_database().await;
    let serve = ServiceBuilder::new().env("DATABASE_URL", url.as_str());
    let refused = serve.clone().env("LOG", "error").0.run().await;
    assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
    assert_eq!(refused.wrong_settings(), ["DATABASE_URL"], "{}", refused.stderr);
    assert!(refused.stderr.contains("account-opening migrate"), "{}", refused.stderr);

    for _ in 0..2 {
        let ended = Program::new(&["migrate"]).env("DATABASE_URL", url.as_str()).run().await;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("public"), "{}", ended.stdout);
    }
    let service = serve.start().await;

    // Another cell beside it: the schema of the first does not count for the second.
    let other = ServiceBuilder::on(&url, "other");
    let refused = other.clone().env("LOG", "error").0.run().await;
    assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
    assert_eq!(migrate(&url, "other").await.code(), Some(0));
    let other = other.start().await;
    let (_, _, opening) = service.open("order-1").await;
    assert_eq!(service.get("/v1/account-openings").await["items"][0]["id"], opening["id"]);
    assert_eq!(other.get("/v1/account-openings").await["items"].as_array().unwrap().len(), 0);
    assert_eq!(other.open("order-1").await.0, 202);
}

#[tokio::test]
async fn migrate_takes_the_owners_url_where_there_is_one() {
    let (url, schema) = fresh_schema().await;
    let ended = migrate_for("postgres://service@127.0.0.1:9/x", &url, &schema).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    ServiceBuilder::on(&url, &schema).start().await;
}

#[tokio::test]
async fn a_schema_that_a_newer_version_migrated_is_served() {
    let (serve, url, schema) = migrated().await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'of a newer version', true, '\\x00', 0)";
    execute(&url, &schema, newer).await;
    assert_eq!(migrate(&url, &schema).await.code(), Some(0));
    serve.start().await;
}

#[tokio::test]
async fn a_schema_that_lacks_the_latest_migration_is_refused() {
    let (serve, url, schema) = migrated().await;
    let older = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    execute(&url, &schema, older).await;
    let refused = serve.env("LOG", "error").0.run().await;
    assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("account-opening migrate"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_schema_of_an_earlier_build_is_refused_by_serve_and_migrate_and_left_as_it_is() {
    let (serve, url, schema) = migrated().await;
    execute(&url, &schema, EARLIER_BUILD).await;
    execute(&url, &schema, "delete from _sqlx_migrations where version = 11").await;
    let found = "select count(*) from _sqlx_migrations";
    let before: i64 = sqlx::query_scalar(found).fetch_one(&mut connect(&url, &schema).await).await.unwrap();
    let migrating = migrate(&url, &schema).await;
    for refused in [serve.env("LOG", "error").0.run().await, migrating] {
        assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
        assert_eq!(refused.wrong_settings(), ["DATABASE_URL"], "{}", refused.stderr);
        for word in ["earlier build", "version is 38", "migration 1 ", "empty database", "DATABASE_SCHEMA"] {
            assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
        }
    }
    let after: i64 = sqlx::query_scalar(found).fetch_one(&mut connect(&url, &schema).await).await.unwrap();
    assert_eq!(after, before, "nothing was migrated");
}

#[tokio::test]
async fn a_database_that_is_away_fails_migrate_and_serve_with_a_line_that_does_not_show_its_password() {
    let url = "postgres://user:hush-hush@127.0.0.1:9/x";
    let migrate = Program::new(&["migrate"]).env("DATABASE_URL", url);
    let serve = ServiceBuilder::on(url, "public").env("LOG", "error").0;
    let (migrate, serve) = tokio::join!(migrate.run(), serve.run());
    for ended in [migrate, serve] {
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        assert_eq!(ended.lines().len(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("database") && !ended.stderr.contains("hush"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn two_services_share_one_database() {
    let (serve, ..) = migrated().await;
    let serve = serve.env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    let (one, other) = tokio::join!(serve.start(), serve.start());
    let (_, _, opening) = one.open("order-1").await;
    assert_eq!(other.open("order-1").await, (202, true, opening.clone()));
    let path = format!("/v1/account-openings/{}", opening["id"].as_str().unwrap());
    assert_eq!(other.get(&path).await["id"], opening["id"]);
}

/// P24
#[tokio::test]
async fn a_database_that_does_not_keep_what_it_commits_or_does_not_write_is_never_ready() {
    let (url, name) = fresh_database().await;
    assert_eq!(migrate(&url, "public").await.code(), Some(0));
    for (setting, value, problem) in
        [("synchronous_commit", "off", "synchronous_commit"), ("default_transaction_read_only", "on", "read-only")]
    {
        execute(&url, "public", &format!("alter database {name} set {setting} = {value}")).await;
        let service = ServiceBuilder::new().env("DATABASE_URL", url.as_str()).listening().await;
        let body = service.answers_ready(503, WITHIN).await;
        assert!(body.contains(problem), "{body}");
        assert_eq!(service.status(reqwest::Method::GET, &format!("{}/livez", service.internal)).await.0, 200);
        let undo = format!("begin read write; alter database {name} reset {setting}; commit");
        execute(&url, "public", &undo).await;
    }
}

#[tokio::test]
async fn an_address_that_is_taken_fails_with_a_line_that_names_its_setting() {
    let (serve, ..) = migrated().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for setting in ["PUBLIC_ADDR", "INTERNAL_ADDR"] {
        let ended = serve.clone().env(setting, addr.as_str()).env("LOG", "error").0.run().await;
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        assert_eq!(ended.lines().len(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(setting) && ended.stderr.contains(&addr), "{}", ended.stderr);
    }
    let ended = Program::new(&["simulator"]).env("SIMULATOR_ADDR", addr.as_str()).run().await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("SIMULATOR_ADDR") && ended.stderr.contains(&addr), "{}", ended.stderr);
}

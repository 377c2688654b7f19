//! Two roles: the owner's, which migrates, and the service's, which can do its work and nothing to the history. (P7, P22)

use std::collections::BTreeMap;

use private_postgres::Cluster;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::external::{connect, execute, migrate, migrate_for};
use crate::support::cluster::{SERVICE, create_role, fresh_schema, url_as};
use crate::support::process::{Ended, Program, WITHIN, eventually};
use crate::support::service::{Service, ServiceBuilder};

const TOKEN: &str = "a-token-of-our-own";
const SECRET: &str = "whsec_YSBzZWNyZXQgb2Ygb3VyIG93biE=";
const KEY: &str = "a-key-of-our-own";

/// A schema with an owner and a service of its own, neither a superuser; not migrated yet.
struct Cell {
    superuser: String,
    schema: String,
    owner: String,
    service: String,
}

impl Cell {
    async fn new() -> Self {
        let (superuser, schema) = fresh_schema().await;
        let owner = create_role(&superuser, &format!("owner_of_{schema}"), "").await;
        let service = create_role(&superuser, &format!("service_of_{schema}"), "").await;
        execute(&superuser, "public", &format!("create schema {schema} authorization owner_of_{schema}")).await;
        Self { superuser, schema, owner, service }
    }

    async fn migrated() -> Self {
        let cell = Self::new().await;
        let ended = cell.migrate().await;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        cell
    }

    async fn migrate(&self) -> Ended {
        migrate_for(&self.service, &self.owner, &self.schema).await
    }

    /// A service in production.
    fn serve(&self, url: &str) -> ServiceBuilder {
        ServiceBuilder::on(url, &self.schema)
            .env("ENVIRONMENT", "production")
            .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
            .env("EVIDENCE_KEY", crate::support::evidence_key())
            .env("API_TOKENS", format!("shop:{TOKEN}:admin"))
            .env("NEXUSBANK_API_KEY", KEY)
            .env("NEXUSBANK_WEBHOOK_SECRETS", SECRET)
    }

    /// The rights of the service's role, by table, as the database has them.
    async fn rights(&self) -> BTreeMap<String, String> {
        let sql = "select c.relname::text, string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
                     from pg_class c, aclexplode(c.relacl) a
                    where c.relnamespace = current_schema()::regnamespace and a.grantee = $1::regrole
                    group by c.relname";
        let mut connection = connect(&self.superuser, &self.schema).await;
        let role = format!("service_of_{}", self.schema);
        let rows: Vec<(String, String)> = sqlx::query_as(sql).bind(role).fetch_all(&mut connection).await.unwrap();
        rows.into_iter().collect()
    }
}

/// The error's code, or none when it was done and committed.
async fn refused(connection: &mut PgConnection, statements: &str) -> Option<String> {
    let sql = format!("begin; {statements}; commit");
    let result = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
    let _ = connection.execute("rollback").await;
    let database =
        |error: sqlx::Error| error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap().into_owned();
    result.err().map(database)
}

/// Statements that change history, or what keeps it from being changed.
const VERBS: [&str; 8] = [
    "update opening_history set detail = 'x'",
    "update opening_history set version = version + 1",
    "delete from opening_history",
    "truncate opening_history",
    "truncate account_openings cascade",
    "insert into opening_history select opening_id, 2, to_state, 'completed', event, source, inbox_id, at, detail, hash
       from opening_history where version = 1",
    "set session_replication_role = replica",
    "set local session_replication_role = replica; delete from opening_history",
];
/// Statements that only an owner may run.
const OWNERS: [&str; 13] = [
    "alter table opening_history disable trigger append_only",
    "alter table opening_history disable trigger all",
    "alter table opening_history disable trigger user",
    "drop trigger append_only on opening_history",
    "drop trigger legal_steps on opening_history",
    "drop table opening_history cascade",
    "alter table opening_history drop column hash",
    "alter table opening_history rename to history_of_old",
    "alter table opening_history owner to current_user",
    "create trigger mine before insert on opening_history for each row execute function opening_history_is_append_only()",
    "create or replace function opening_history_is_append_only() returns trigger language plpgsql as 'begin return null; end'",
    "create rule mine as on insert to opening_history do instead nothing",
    "drop function opening_step_is_legal(text, text) cascade",
];

/// P22, P7. The owner is held by the triggers as long as they are there; that an owner can drop them is why production
/// refuses one.
#[tokio::test]
async fn no_verb_changes_history_neither_for_the_service_nor_for_the_owner() {
    let cell = Cell::migrated().await;
    let service = cell.serve(&cell.service).start().await.with_token(TOKEN);
    assert_eq!(service.open("order-1").await.0, 202);
    let mut superuser = connect(&cell.superuser, &cell.schema).await;
    let history = "select coalesce(string_agg(h::text, ';' order by version), '') from opening_history h";
    let before: String = sqlx::query_scalar(history).fetch_one(&mut superuser).await.unwrap();
    assert!(before.contains("creating_profile"), "{before}");

    let owns = format!("grant owner_of_{} to current_user", cell.schema);
    let as_owner = format!("set role owner_of_{}", cell.schema);
    let by_service = VERBS.iter().chain(&OWNERS).copied().chain([owns.as_str(), as_owner.as_str()]);
    for (url, verbs) in [(&cell.service, by_service.collect::<Vec<_>>()), (&cell.owner, VERBS.to_vec())] {
        let mut connection = connect(url, &cell.schema).await;
        for verb in verbs {
            let code = refused(&mut connection, verb).await;
            // The trigger on steps says 23000; everything else lacks a right, or membership in the owner.
            let expected: &[&str] = if verb.starts_with("insert") { &["23000"] } else { &["42501", "0LP01"] };
            assert!(code.as_deref().is_some_and(|it| expected.contains(&it)), "{code:?}: {verb}");
        }
    }
    // A role without the right to grant gets a warning, and nothing is granted.
    let rights = cell.rights().await;
    let itself = format!("grant all on opening_history, account_openings to service_of_{}", cell.schema);
    let mut connection = connect(&cell.service, &cell.schema).await;
    assert_eq!(refused(&mut connection, &itself).await, None);
    assert_eq!(cell.rights().await, rights);
    assert_eq!(refused(&mut connection, "delete from opening_history").await.as_deref(), Some("42501"));
    let after: String = sqlx::query_scalar(history).fetch_one(&mut superuser).await.unwrap();
    assert!(after.starts_with(&before), "{before}\n{after}");
}

/// P7: the guards read the real history, whichever tables the session puts in front of it.
#[tokio::test]
async fn a_temporary_table_or_a_search_path_does_not_lead_the_guards_astray() {
    let cell = Cell::migrated().await;
    let service = cell.serve(&cell.service).start().await.with_token(TOKEN);
    let (_, _, opening) = service.open("order-1").await;
    let (id, schema) = (opening["id"].as_str().unwrap(), &cell.schema);
    let forged = format!(
        "create temp table opening_history (like {schema}.opening_history);
         insert into pg_temp.opening_history
         values ('{id}', 1, null, 'issuing_card', 'x', 'api', null, now(), null, sha256('x'));
         create temp table account_openings (like {schema}.account_openings);"
    );
    let step = format!(
        "insert into {schema}.opening_history
         values ('{id}', 2, 'issuing_card', 'completed', 'x', 'api', null, now(), null, sha256('x'))"
    );
    for path in ["", "set local search_path = pg_temp;", "set local search_path = pg_temp, public, pg_catalog;"] {
        let mut connection = connect(&cell.service, schema).await;
        let code = refused(&mut connection, &format!("{forged} {path} {step}")).await;
        assert_eq!(code.as_deref(), Some("23000"), "{path}");
    }
}

/// P22: everything that the service does, it may, in production, on a role that owns nothing.
#[tokio::test]
async fn a_service_in_production_works_on_the_role_that_migrate_granted_to() {
    let cell = Cell::migrated().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let world = format!("http://{free}");
    let serve = cell.serve(&cell.service).outside_world(&world).env("POLL_SCHEDULE", "1s");
    // One more relay; no subscriber accepts its deliveries.
    let serve = serve.env("EVENT_SUBSCRIBERS", format!("http://127.0.0.1:9/events|{SECRET}"));
    let service = serve.env("LOG", "debug,sqlx=warn,hyper=warn").start().await.with_token(TOKEN);
    let mut simulator = Program::new(&["simulator"])
        .env("SIMULATOR_ADDR", free.as_str())
        .env("WEBHOOK_URL", format!("{}/webhooks/nexusbank", service.public))
        .env("NEXUSBANK_API_KEY", KEY)
        .env("NEXUSBANK_WEBHOOK_SECRETS", SECRET)
        .spawn();
    eventually("the simulator is there", WITHIN, async || {
        simulator.stderr().contains("simulator started").then_some(())
    })
    .await;

    let (status, _, opening) = service.open("order-1").await;
    assert_eq!(status, 202, "{opening}");
    assert!(service.open("order-1").await.1, "a replay");
    let id = opening["id"].as_str().unwrap();
    service.reaches(id, "completed").await;
    for path in ["history", "timeline"] {
        service.get(&format!("/v1/account-openings/{id}/{path}")).await;
    }
    for path in ["/v1/account-openings", "/v1/events", "/v1/cases", "/v1/tickets", "/v1/dead-letters"] {
        service.get(path).await;
    }
    assert_eq!(service.status(reqwest::Method::GET, &format!("{}/metrics", service.internal)).await.0, 200);
    assert_eq!(worked(&cell).await, ["command:nexusbank", "webhook:nexusbank"]);

    simulator.signal(nix::sys::signal::Signal::SIGTERM);
    simulator.ended(WITHIN).await;
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0));
    for wrong in ["permission denied", "42501", "tick failed", "not ready", "gauges of the database", "panicked"] {
        let line = ended.stderr.lines().find(|it| it.contains(wrong));
        assert_eq!(line, None, "{wrong}");
    }
    // P22: and what it wrote verifies, as the same role.
    let verified = Program::new(&["verify-history"])
        .env("DATABASE_URL", cell.service.as_str())
        .env("DATABASE_SCHEMA", cell.schema.as_str())
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        .run()
        .await;
    assert_eq!(verified.code(), Some(0), "{}{}", verified.stdout, verified.stderr);
}

/// The sources of the facts that were applied, polls aside: whether one came is a matter of time.
async fn worked(cell: &Cell) -> Vec<String> {
    let sql = "select distinct consumer_group from inbox where status = 'applied' and source <> 'poll' order by 1";
    sqlx::query_scalar(sql).fetch_all(&mut connect(&cell.superuser, &cell.schema).await).await.unwrap()
}

#[tokio::test]
async fn production_refuses_a_role_that_owns_the_tables_or_may_act_as_their_owner() {
    let cell = Cell::migrated().await;
    let schema = &cell.schema;
    let member = create_role(&cell.superuser, &format!("member_of_{schema}"), "noinherit").await;
    execute(&cell.superuser, schema, &format!("grant owner_of_{schema} to member_of_{schema}")).await;
    let grandchild = create_role(&cell.superuser, &format!("grandchild_of_{schema}"), "").await;
    execute(&cell.superuser, schema, &format!("grant member_of_{schema} to grandchild_of_{schema}")).await;
    let superuser = create_role(&cell.superuser, &format!("superuser_of_{schema}"), "superuser").await;
    for (url, says) in [
        (&cell.owner, "owns the tables"),
        (&member, "is a member of the role that owns the tables"),
        (&grandchild, "is a member of the role that owns the tables"),
        (&superuser, "is a superuser"),
    ] {
        if url != &cell.owner {
            // So that nothing but what it is speaks against it.
            let ended = migrate_for(url, &cell.superuser, schema).await;
            assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        }
        let ended = cell.serve(url).env("LOG", "error").0.run().await;
        assert_eq!(ended.code(), Some(2), "{says}: {}", ended.stderr);
        assert_eq!(ended.wrong_settings(), ["DATABASE_URL"], "{}", ended.stderr);
        let line = ended.line_about("DATABASE_URL");
        assert!(
            line.contains(says) && line.contains("; expected ") && line.contains("account-opening migrate"),
            "{line}"
        );
        assert!(!line.contains("postgres://"), "{line}");
    }
    // An owner that is set to another role on connecting can set itself back.
    let disguised = format!("{superuser}&options=-c%20role%3D{SERVICE}");
    let ended = cell.serve(&disguised).env("LOG", "error").0.run().await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
}

#[tokio::test]
async fn elsewhere_an_owners_role_is_served_with_a_warning() {
    let (url, schema) = fresh_schema().await;
    assert_eq!(migrate(&url, &schema).await.code(), Some(0));
    for environment in ["staging", "sandbox", "development"] {
        let service = ServiceBuilder::on(&url, &schema).env("ENVIRONMENT", environment).start().await;
        let log = service.process.stderr();
        let line = log.lines().find(|it| it.contains("DATABASE_URL")).unwrap_or_else(|| panic!("no warning: {log}"));
        assert!(line.contains("WARN") && line.contains("is a superuser") && !line.contains("postgres://"), "{line}");
    }
    let quiet: Service = ServiceBuilder::new().start().await;
    assert!(!quiet.process.stderr().contains("DATABASE_URL"), "a private cluster: {}", quiet.process.stderr());
}

/// Takes everything out of a schema.
const EMPTY: &str = "do $$
    declare it text;
    begin
        for it in select format('drop table %s cascade', oid::regclass) from pg_class
                   where relnamespace = current_schema()::regnamespace and relkind = 'r' loop
            execute it;
        end loop;
        for it in select format('drop function %s cascade', oid::regprocedure) from pg_proc
                   where pronamespace = current_schema()::regnamespace loop
            execute it;
        end loop;
    end $$";

/// P23: an older schema that is migrated, a second run, and rights changed by hand.
#[tokio::test]
async fn migrate_grants_what_the_service_needs_and_takes_the_rest_each_time() {
    let cell = Cell::new().await;
    let ended = migrate_for(&cell.owner, &cell.owner, &cell.schema).await;
    assert!(ended.stdout.contains("no rights granted"), "{}", ended.stdout);
    assert_eq!(cell.rights().await, BTreeMap::new());
    // As an older version left it.
    execute(&cell.owner, &cell.schema, EMPTY).await;
    let mut owner = connect(&cell.owner, &cell.schema).await;
    sqlx::migrate!().run_to(4, &mut owner).await.unwrap();
    drop(owner);

    let ended = cell.migrate().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let line = format!("to service_of_{}", cell.schema);
    assert!(ended.stdout.contains(&line), "{}", ended.stdout);
    let granted = cell.rights().await;
    assert_eq!(granted["opening_history"], "insert, select");
    assert_eq!(granted["account_openings"], "insert, select, update");
    assert_eq!(granted["_sqlx_migrations"], "select");
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'v')",
    )
    .fetch_all(&mut connect(&cell.superuser, &cell.schema).await)
    .await
    .unwrap();
    assert_eq!(granted.len(), tables.len(), "a table that nobody thought of: {tables:?} {granted:?}");

    assert_eq!(cell.migrate().await.code(), Some(0));
    assert_eq!(cell.rights().await, granted, "the second run changes nothing");
    let role = format!("service_of_{}", cell.schema);
    let wrong = format!(
        "grant all on opening_history, timers to {role}; grant create on schema {} to {role};
         revoke insert on inbox from {role}; grant update (detail) on opening_history to {role}",
        cell.schema
    );
    execute(&cell.owner, &cell.schema, &wrong).await;
    assert_ne!(cell.rights().await, granted);
    // On the schema of a newer version: what that one granted is not taken from it.
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'of a newer version', true, '\\x00', 0)";
    execute(&cell.owner, &cell.schema, newer).await;
    assert_eq!(cell.migrate().await.code(), Some(0));
    assert!(cell.rights().await["timers"].contains("truncate"));
    assert_eq!(cell.rights().await["inbox"], granted["inbox"]);
    execute(&cell.owner, &cell.schema, "delete from _sqlx_migrations where version = 9999").await;
    assert_eq!(cell.migrate().await.code(), Some(0));
    assert_eq!(cell.rights().await, granted);
    let mut service = connect(&cell.service, &cell.schema).await;
    assert_eq!(refused(&mut service, "create table mine ()").await.as_deref(), Some("42501"));
    assert_eq!(refused(&mut service, "update opening_history set detail = 'x'").await.as_deref(), Some("42501"));
    cell.serve(&cell.service).start().await;
}

#[tokio::test]
async fn migrate_names_a_service_role_that_does_not_exist_before_it_changes_anything() {
    let cell = Cell::new().await;
    let nobody = url_as(&cell.owner, "nobody_at_all");
    let ended = migrate_for(&nobody, &cell.owner, &cell.schema).await;
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    let line = ended.line_about("DATABASE_URL");
    assert!(
        line.contains("\"nobody_at_all\"") && line.contains("create role") && !line.contains("postgres://"),
        "{line}"
    );
    let mut connection = connect(&cell.owner, &cell.schema).await;
    let made: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(!made, "nothing was migrated");
    connection.close().await.unwrap();

    let program = Program::new(&["migrate"]).env("MIGRATION_DATABASE_URL", cell.owner.as_str());
    let ended = program.env("DATABASE_SCHEMA", cell.schema.as_str()).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("no rights granted: DATABASE_URL"), "{}", ended.stdout);
}

/// Any name that a role can have, and two runs at once.
#[tokio::test]
async fn migrate_grants_to_a_role_of_any_name_and_two_at_once_get_along() {
    let cluster = Cluster::temporary(None, 60).await.unwrap();
    create_role(cluster.url(), "\"O'Neil; drop \"\"all\"\"\"", "").await;
    let url = url_as(cluster.url(), "O%27Neil%3B%20drop%20%22all%22");
    let runs = futures::future::join_all((0..4).map(|_| migrate_for(&url, cluster.url(), "public"))).await;
    for ended in runs {
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("to O'Neil; drop \"all\""), "{}", ended.stdout);
    }
    ServiceBuilder::new().env("DATABASE_URL", url).start().await;
}

//! Cells that tests borrow one after the other.
//!
//! A new database with new sessions costs several times what an ordinary test does in it: the copy, a process for each session, and in
//! each the plans of a hundred statements. So a test that has kept the invariants gives its cell back with its sessions.
//!
//! Invariant: a cell is lent again only as the template would be copied: with its catalogs, its rows and its settings, and with no session
//! but those of the cell. Any other is dropped.

use std::cell::RefCell;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use chaos::Proxy;
use futures::future::try_join_all;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres, Row};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::cluster::{self, CELL, SERVICE};

/// Each connection prepares each statement for itself: with two the suite takes a fifth less processor time than with four.
const SERVICE_CONNECTIONS: u32 = 2;
/// Those of the superuser. A test may hold some and wait for another.
const CONNECTIONS: u32 = 4;
/// Longer than the return of a connection that is not in use takes.
const RETURNED_WITHIN: Duration = Duration::from_millis(100);
/// Longer than the renewal of any cell takes.
const RENEWED_WITHIN: Duration = Duration::from_secs(30);
/// Dead rows are not vacuumed, since that would have each session make its plans anew: a cell that has grown by so much is dropped.
const MAX_GROWTH: i64 = 16 << 20;

/// Connections belong to the runtime that opened them, and that of a test ends with it.
static KEEPER: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("cells").enable_all().build().unwrap());
static IDLE: Mutex<Vec<Cell>> = Mutex::new(Vec::new());
static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

thread_local! {
    /// Cells whose tests have kept the invariants. The test runner ends a test's thread after the test's runtime, so the test's service
    /// has stopped when another test borrows the cell.
    static GIVEN_BACK: RefCell<GivenBack> = const { RefCell::new(GivenBack(Vec::new())) };
}

/// A migrated cell.
pub struct Cell {
    /// The URL of its database as the superuser.
    pub url: String,
    /// As the superuser, for what a test does by hand.
    pub pool: PgPool,
    /// As the role that services run as.
    pub service: PgPool,
    /// The session that renews it.
    renewal: PgPool,
}

impl Cell {
    /// A cell that no test has used.
    pub async fn new() -> Self {
        super::run::begin_test();
        KEEPER.spawn(Self::copy()).await.unwrap()
    }

    /// A cell that is as if no test had used it.
    pub async fn borrow() -> Self {
        super::run::begin_test();
        let idle = IDLE.lock().unwrap().pop();
        match idle {
            Some(cell) => cell,
            None => Self::new().await,
        }
    }

    /// A pool of the service that goes through the proxy.
    pub fn service_through(&self, proxy: &Proxy) -> PgPool {
        let url = cluster::url_through(&cluster::url_as(&self.url, SERVICE), proxy);
        super::builder::pool(&url, CELL, SERVICE_CONNECTIONS)
    }

    async fn copy() -> Self {
        let url = cluster::copy_template().await;
        let open = |url: &str, most| super::builder::pool(&with_statements_kept(url), CELL, most);
        let (pool, service) = (open(&url, CONNECTIONS), open(&cluster::url_as(&url, SERVICE), SERVICE_CONNECTIONS));
        let cell = Self { renewal: open(&url, 1), url, pool, service };
        cell.sessions().await.unwrap();
        let mut connection = cell.renewal.acquire().await.unwrap();
        TEMPLATE.get_or_init(|| async { Template::read(&mut connection).await.unwrap() }).await;
        // As pg_restore deletes: without triggers. Set once, since each change of it ends all plans of the session.
        connection.execute("set session_replication_role = replica").await.unwrap();
        cell
    }

    /// The sessions of both pools. A session that a test's runtime opened has ended with it, and another takes its place here.
    async fn sessions(&self) -> sqlx::Result<Vec<Session>> {
        let connections = (0..CONNECTIONS)
            .map(|_| self.pool.acquire())
            .chain((0..SERVICE_CONNECTIONS).map(|_| self.service.acquire()));
        let mut connections = try_join_all(connections).await?;
        try_join_all(connections.iter_mut().map(Session::release)).await
    }

    /// Makes it as if no test had used it. Whether that came about.
    async fn renew(&self) -> sqlx::Result<bool> {
        let template = TEMPLATE.get().unwrap();
        let sessions = self.sessions().await?;
        let mut connection = self.renewal.acquire().await?;
        let ours: Vec<i32> = sessions.iter().map(|it| it.pid).collect();
        let end_others = "select coalesce(bool_and(pg_terminate_backend(pid, 5000)), true) from pg_stat_activity
                           where datname = current_database() and pid <> pg_backend_pid() and not pid = any ($1)";
        let alone: bool = sqlx::query_scalar(end_others).bind(ours).fetch_one(&mut *connection).await?;
        let (catalogs, size) = catalogs(&mut connection).await?;
        let unchanged = catalogs == template.catalogs && sessions.iter().all(|it| it.settings == template.settings);
        if !alone || !unchanged || size > template.size + MAX_GROWTH {
            return Ok(false);
        }
        for statement in [&template.empty, &template.fill] {
            sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut *connection).await?;
        }
        Ok(true)
    }

    async fn lend_again(self) {
        let started = Instant::now();
        let renewed = timeout(RENEWED_WITHIN, self.renew()).await;
        if matches!(renewed, Ok(Ok(true))) {
            super::run::record("cells renewed", started.elapsed());
            IDLE.lock().unwrap().push(self);
        } else {
            super::run::record("cells dropped", started.elapsed());
            for pool in [&self.pool, &self.service, &self.renewal] {
                pool.close().await;
            }
        }
    }
}

/// Keeps a cell until its test ends, and lends it again.
pub async fn give_back(cell: Cell) {
    // A connection returns to its pool by a task, which would end with the test's runtime, and the session with it.
    let all_are_back = || [&cell.pool, &cell.service].iter().all(|it| it.num_idle() == it.size() as usize);
    let returning = async {
        while !all_are_back() {
            tokio::task::yield_now().await;
        }
    };
    // A connection that is still in use is replaced.
    let _ = timeout(RETURNED_WITHIN, returning).await;
    GIVEN_BACK.with_borrow_mut(|given| given.0.push(cell));
}

struct GivenBack(Vec<Cell>);

impl Drop for GivenBack {
    fn drop(&mut self) {
        for cell in self.0.drain(..) {
            KEEPER.spawn(cell.lend_again());
        }
    }
}

/// By default a connection forgets a statement for each after its hundredth.
fn with_statements_kept(url: &str) -> String {
    format!("{url}&statement-cache-capacity=1000")
}

/// The content of a copy of the template.
struct Template {
    catalogs: String,
    size: i64,
    settings: String,
    /// Deletes all rows.
    empty: String,
    /// Inserts those of the template.
    fill: String,
}

impl Template {
    async fn read(connection: &mut PoolConnection<Postgres>) -> sqlx::Result<Self> {
        let settings = Session::release(connection).await?.settings;
        let (catalogs, size) = catalogs(connection).await?;
        let named = "select tablename::text from pg_tables where schemaname = current_schema() order by tablename";
        let tables: Vec<String> = sqlx::query_scalar(named).fetch_all(&mut **connection).await?;
        let mut inserts = Vec::new();
        for table in &tables {
            let sql = format!("select jsonb_agg(to_jsonb(t))::text from {table} t");
            let rows: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut **connection).await?;
            inserts.extend(rows.map(|rows| {
                let rows = rows.replace('\'', "''");
                format!("insert into {table} select * from jsonb_populate_recordset(null::{table}, '{rows}')")
            }));
        }
        let deletes = tables.iter().map(|table| format!("delete from {table}"));
        let sequences = "select setval(oid::regclass, 1, false) from pg_class
                          where relkind = 'S' and relnamespace = current_schema()::regnamespace";
        let fill = in_one_statement(inserts.into_iter(), sequences);
        Ok(Self { catalogs, size, settings, empty: in_one_statement(deletes, "select"), fill })
    }
}

/// So that a session plans them one time.
fn in_one_statement(writes: impl Iterator<Item = String>, query: &str) -> String {
    let parts: Vec<String> = writes.enumerate().map(|(number, it)| format!("part_{number} as ({it})")).collect();
    format!("with {} {query}", parts.join(",\n"))
}

struct Session {
    pid: i32,
    /// The settings that differ from those of the server.
    settings: String,
}

impl Session {
    /// Takes from a session what it holds beside its prepared statements.
    async fn release(connection: &mut PoolConnection<Postgres>) -> sqlx::Result<Self> {
        let sql = "select pg_advisory_unlock_all(); unlisten *; close all; discard temp; discard sequences; reset role";
        connection.execute(sqlx::raw_sql(sql)).await?;
        let sql = "select pg_backend_pid(), coalesce(string_agg(name || '=' || setting, ',' order by name), '')
                     from pg_settings where source = 'session'";
        let row = sqlx::query(sql).fetch_one(&mut **connection).await?;
        Ok(Self { pid: row.try_get(0)?, settings: row.try_get(1)? })
    }
}

/// A digest of the catalogs, and the bytes of all tables. A changed row has another `xmin`; the columns that are named are those that
/// Postgres changes in place.
async fn catalogs(connection: &mut PoolConnection<Postgres>) -> sqlx::Result<(String, i64)> {
    /// The first id that Postgres does not use for itself.
    const OURS: &str = "16384";
    let ours = [
        ("attribute", "attrelid"),
        ("index", "indexrelid"),
        ("statistic", "starelid"),
        ("attrdef", "oid"),
        ("constraint", "oid"),
        ("extension", "oid"),
        ("namespace", "oid"),
        ("policy", "oid"),
        ("proc", "oid"),
        ("publication", "oid"),
        ("publication_rel", "oid"),
        ("rewrite", "oid"),
        ("trigger", "oid"),
        ("type", "oid"),
    ];
    let digests = ours.map(|(table, id)| {
        format!("(select (count(*), sum(xmin::text::bigint))::text from pg_{table} where {id} >= {OURS})")
    });
    let sql = format!(
        "select concat_ws(',', {},
             (select (count(*), sum(xmin::text::bigint), sum(relpages), sum(reltuples))::text from pg_class where oid >= {OURS}),
             (select count(*) from pg_db_role_setting
               where setdatabase = (select oid from pg_database where datname = current_database()))),
             (select sum(pg_relation_size(oid))::bigint from pg_class
               where relkind = 'r' and relnamespace = current_schema()::regnamespace)",
        digests.join(", ")
    );
    sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut **connection).await
}

/// Traces that a test may leave in its cell, and whether the cell is lent again.
const LEFT: [(&str, bool); 10] = [
    ("delete from archive_walks; update rejected_total set bytes = 7; delete from event_head", true),
    ("insert into rejected_sources (source, bytes) values ('left', 1)", true),
    ("select nextval('feature_flag_changes_number_seq')", true),
    ("select pg_advisory_lock(1)", true),
    ("set work_mem = '5MB'", false),
    ("alter table timers add column more int", false),
    ("grant all on timers to public", false),
    ("create function left_behind() returns int language sql as 'select 1'", false),
    ("alter table opening_history disable trigger user", false),
    ("analyze timers", false),
];

#[tokio::test]
async fn a_cell_is_lent_again_only_if_it_is_as_a_copy_of_the_template() {
    for (left, is_lent_again) in LEFT {
        let cell = Cell::new().await;
        sqlx::raw_sql(left).execute(&cell.pool).await.unwrap();
        assert_eq!(cell.renew().await.unwrap(), is_lent_again, "{left}");
        if is_lent_again {
            let mut connection = cell.renewal.acquire().await.unwrap();
            let (now, template) = (Template::read(&mut connection).await.unwrap(), TEMPLATE.get().unwrap());
            assert_eq!(now.fill, template.fill, "{left}");
            let others = "select (select count(*) from pg_locks where locktype = 'advisory' and database =
                                     (select oid from pg_database where datname = current_database()))
                               + (select count(*) from feature_flag_changes_number_seq where is_called)";
            let others: i64 = sqlx::query_scalar(others).fetch_one(&mut *connection).await.unwrap();
            assert_eq!(others, 0, "{left}");
        }
    }
}

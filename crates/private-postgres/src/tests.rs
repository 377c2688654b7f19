//! The cluster against a real Postgres: what it keeps, refuses and leaves behind.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tempfile::TempDir;

use super::{Cluster, ClusterError, ClusterOptions};

const WITHIN: Duration = Duration::from_secs(20);

/// A folder that Postgres' user may pass.
fn open_folder() -> TempDir {
    let folder = super::folder::temporary("open-", &std::env::temp_dir()).unwrap();
    super::folder::set_mode(folder.path(), 0o755).unwrap();
    folder
}

fn options(data_dir: &Path) -> ClusterOptions {
    ClusterOptions { data_dir: data_dir.to_owned(), bin_dir: None, max_connections: 20, settings: Vec::new() }
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&PgConnectOptions::from_str(url)?).await
}

async fn execute(cluster: &Cluster, sql: &'static str) {
    sqlx::query(sql).execute(&mut connect(cluster.url()).await.unwrap()).await.unwrap();
}

async fn try_text(url: &str, sql: &'static str) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(&mut connect(url).await?).await
}

async fn text(cluster: &Cluster, sql: &'static str) -> String {
    try_text(cluster.url(), sql).await.unwrap()
}

/// Polls until there is an answer, for conditions that become true soon.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap())
}

async fn is_gone(pid: u32) {
    eventually("the process is gone", async || kill(pid_of(pid), None).is_err().then_some(())).await;
}

#[tokio::test]
async fn written_rows_are_there_after_a_stop_and_a_start_and_a_second_service_is_refused() {
    let folder = open_folder();
    let data_dir = folder.path().join("some where, \"quoted\"");
    let began = Instant::now();
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    println!("made and started in {:?}", began.elapsed());
    execute(&cluster, "create table kept as select 'here' as value").await;

    let second = Cluster::start(options(&data_dir)).await.err().unwrap();
    assert!(matches!(&second, ClusterError::InUse { holder, .. } if *holder == std::process::id().to_string()));
    assert!(!second.to_string().contains('\n'), "{second}");

    let began = Instant::now();
    let pid = cluster.postmaster_pid().unwrap();
    cluster.stop().await.unwrap();
    println!("stopped in {:?}", began.elapsed());
    assert!(kill(pid_of(pid), None).is_err(), "stop waits until Postgres is gone");

    let began = Instant::now();
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    println!("started in {:?}", began.elapsed());
    assert_eq!(text(&cluster, "select value from kept").await, "here");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_postmaster_that_is_killed_comes_back_by_itself_with_its_data_and_at_the_same_url() {
    let cluster = Cluster::temporary(None, 20).await.unwrap();
    execute(&cluster, "create table kept as select 'here' as value").await;
    let url = cluster.url().to_owned();
    // A busy session outlives its postmaster for a while.
    let mut busy = connect(&url).await.unwrap();
    let busy = tokio::spawn(async move { sqlx::query("select pg_sleep(2)").execute(&mut busy).await });

    for _ in 0..2 {
        let pid = cluster.postmaster_pid().unwrap();
        kill(pid_of(pid), Signal::SIGKILL).unwrap();
        let began = Instant::now();
        let new = eventually("another postmaster", async || cluster.postmaster_pid().filter(|new| *new != pid)).await;
        println!("back in {:?}", began.elapsed());
        assert_ne!(new, pid);
        assert_eq!(try_text(&url, "select value from kept").await.unwrap(), "here");
    }
    busy.abort();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_cluster_is_durable_and_open_to_its_own_user_alone() {
    let cluster = Cluster::temporary(None, 33).await.unwrap();
    for setting in ["show fsync", "show synchronous_commit", "show full_page_writes", "show data_checksums"] {
        assert_eq!(text(&cluster, setting).await, "on", "{setting}");
    }
    assert_eq!(text(&cluster, "show max_connections").await, "33");
    assert_eq!(text(&cluster, "show server_encoding").await, "UTF8");
    assert_eq!(text(&cluster, "select current_database()").await, "account_opening");
    assert_eq!(text(&cluster, "show listen_addresses").await, "");
    assert!(text(&cluster, "select pg_is_in_recovery()::text").await.starts_with('f'));

    let data = text(&cluster, "show data_directory").await;
    let data_dir = Path::new(&data).parent().unwrap();
    let owner = data_dir.join("postgres").metadata().unwrap().uid();
    for (name, mode) in [("postgres", 0o700), ("socket", 0o700), ("postgres/password", 0o600)] {
        let found = data_dir.join(name).metadata().unwrap();
        assert_eq!((found.mode() & 0o777, found.uid()), (mode, owner), "{name}");
    }
    assert_ne!(owner, 0);

    execute(&cluster, "create database \"an other\"").await;
    assert_eq!(try_text(&cluster.url_for("an other"), "select current_database()").await.unwrap(), "an other");

    let data_dir = data_dir.to_owned();
    cluster.stop().await.unwrap();
    assert!(!data_dir.exists(), "a temporary cluster leaves nothing");
}

/// P24.
#[tokio::test]
async fn more_settings_are_taken_but_none_that_makes_commits_less_durable() {
    let settings =
        [("shared_buffers", "32MB"), ("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = ClusterOptions { settings, ..options(&std::env::temp_dir()) };
    let cluster = Cluster::temporary_with(options).await.unwrap();
    assert_eq!(text(&cluster, "show shared_buffers").await, "32MB");
    for setting in ["show fsync", "show synchronous_commit", "show full_page_writes"] {
        assert_eq!(text(&cluster, setting).await, "on", "{setting}");
    }
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn values_of_callers_do_not_get_into_the_log() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    let mut connection = connect(cluster.url()).await.unwrap();
    execute(&cluster, "create table once (mail text unique)").await;
    for _ in 0..2 {
        let _ = sqlx::query("insert into once values ('ops@acme.example')").execute(&mut connection).await;
        let _ = sqlx::query("select 'ops@acme.example'::int").execute(&mut connection).await;
    }
    cluster.stop().await.unwrap();
    let log = std::fs::read_to_string(data_dir.join("postgres.log")).unwrap();
    assert!(log.contains("ready to accept connections") && !log.contains("acme"), "{log}");
}

#[tokio::test]
async fn where_the_sockets_path_is_too_long_it_listens_on_localhost_with_a_password() {
    let folder = open_folder();
    let data_dir = folder.path().join("x".repeat(100));
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    assert_eq!(text(&cluster, "show listen_addresses").await, "127.0.0.1");
    assert_eq!(text(&cluster, "show unix_socket_directories").await, "");
    assert_eq!(text(&cluster, "select current_database()").await, "account_opening");

    let url = cluster.url().to_owned();
    let (start, rest) = url.split_once("postgres:").unwrap().1.split_once(':').unwrap();
    let (password, place) = rest.split_once('@').unwrap();
    assert_eq!((start, password.len()), ("//postgres", 48));
    let wrong = try_text(&format!("postgres://postgres:wrong@{place}"), "select 'in'").await.unwrap_err();
    assert_eq!(wrong.as_database_error().unwrap().code().unwrap(), "28P01");

    let pid = cluster.postmaster_pid().unwrap();
    kill(pid_of(pid), Signal::SIGKILL).unwrap();
    eventually("another postmaster", async || cluster.postmaster_pid().filter(|new| *new != pid)).await;
    assert_eq!(try_text(&url, "select 'in'").await.unwrap(), "in");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_version_and_folders_that_hold_something_else_are_left_alone() {
    let folder = open_folder();
    std::fs::create_dir(folder.path().join("postgres")).unwrap();
    let error = Cluster::start(options(folder.path())).await.err().unwrap();
    assert!(matches!(error, ClusterError::NotACluster(_)), "{error}");
    std::fs::write(folder.path().join("postgres/PG_VERSION"), "9.6\n").unwrap();
    let error = Cluster::start(options(folder.path())).await.err().unwrap();
    assert!(matches!(&error, ClusterError::OtherVersion { wanted, .. } if wanted == "9.6"), "{error}");
}

#[tokio::test]
async fn root_is_told_which_folder_keeps_postgres_out() {
    if !Uid::effective().is_root() {
        return;
    }
    let closed = super::folder::temporary("closed-", &std::env::temp_dir()).unwrap();
    let error = Cluster::start(options(&closed.path().join("data"))).await.err().unwrap();
    let ClusterError::NotReachable { folder, .. } = &error else { panic!("{error}") };
    assert_eq!(*folder, closed.path().canonicalize().unwrap());
}

#[tokio::test]
async fn a_failed_start_says_what_postgres_said() {
    let folder = open_folder();
    Cluster::start(options(folder.path())).await.unwrap().stop().await.unwrap();
    std::fs::write(folder.path().join("postgres/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let error = Cluster::start(options(folder.path())).await.err().unwrap().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_cluster_outlives_the_runtime_that_started_it_and_goes_when_dropped() {
    let started = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Cluster::temporary(None, 20)).unwrap()
    });
    let cluster = started.join().unwrap();
    assert_eq!(text(&cluster, "select 'here'").await, "here");

    let pid = cluster.postmaster_pid().unwrap();
    let data = text(&cluster, "show data_directory").await;
    drop(cluster);
    is_gone(pid).await;
    eventually("the folder is gone", async || (!Path::new(&data).parent().unwrap().exists()).then_some(())).await;
}

/// A child process for the next two tests: prints its pids and lives until it is killed.
#[tokio::test]
#[ignore = "not a test: a process for others to kill"]
async fn victim() {
    let cluster = match std::env::var_os("VICTIM_DATA_DIR") {
        Some(data_dir) => Cluster::start(options(Path::new(&data_dir))).await.unwrap(),
        None => Cluster::temporary(None, 20).await.unwrap(),
    };
    execute(&cluster, "create table if not exists kept as select 'here' as value").await;
    let data = text(&cluster, "show data_directory").await;
    println!("victim {} {data}", cluster.postmaster_pid().unwrap());
    std::future::pending::<()>().await;
}

/// Starts a victim; returns the process, its postmaster's pid and its data directory.
fn start_victim(data_dir: Option<&Path>) -> (std::process::Child, u32, String) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tests::victim", "--ignored", "--nocapture"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(data_dir) = data_dir {
        command.env("VICTIM_DATA_DIR", data_dir);
    }
    let mut victim = command.spawn().unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("victim ")?.1.to_owned())).unwrap();
    let (pid, data) = said.split_once(' ').unwrap();
    (victim, pid.parse().unwrap(), data.to_owned())
}

#[tokio::test]
async fn nothing_is_left_of_a_service_that_was_killed() {
    let (mut victim, pid, data) = start_victim(None);
    victim.kill().unwrap();
    victim.wait().unwrap();
    is_gone(pid).await;
    eventually("the folder is gone", async || (!Path::new(&data).parent().unwrap().exists()).then_some(())).await;
}

#[tokio::test]
async fn a_service_takes_over_from_one_that_was_killed_a_moment_ago() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    for _ in 0..2 {
        let (mut victim, _, _) = start_victim(Some(&data_dir));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let began = Instant::now();
        let cluster = Cluster::start(options(&data_dir)).await.unwrap();
        println!("taken over in {:?}", began.elapsed());
        assert_eq!(text(&cluster, "select value from kept").await, "here");
        cluster.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_postmaster_that_lost_its_leash_is_stopped_and_a_stranger_with_its_pid_is_not() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    let (mut victim, pid, data) = start_victim(Some(&data_dir));
    // First the process that watches the postmaster, then the service: no process is left to stop it.
    let group = nix::unistd::getpgid(Some(pid_of(pid))).unwrap();
    kill(pid_of(victim.id()), Signal::SIGSTOP).unwrap();
    for watcher in processes_of(group).into_iter().filter(|watcher| *watcher != pid_of(pid)) {
        let _ = kill(watcher, Signal::SIGKILL);
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(kill(pid_of(pid), None).is_ok(), "it is an orphan now");

    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    is_gone(pid).await;
    assert_eq!(text(&cluster, "select value from kept").await, "here");
    let pid = cluster.postmaster_pid().unwrap();
    kill(pid_of(pid), Signal::SIGKILL).unwrap();
    cluster.stop().await.ok();

    // As after a container restart, where pids are reused.
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let file = Path::new(&data).join("postmaster.pid");
    std::fs::write(&file, format!("{}\n{data}\n", stranger.id())).unwrap();
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    assert_eq!(text(&cluster, "select value from kept").await, "here");
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger is left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    cluster.stop().await.unwrap();
}

/// G17: as after a machine restart, where an old pid belongs to another Postgres.
#[tokio::test]
async fn a_pid_that_is_another_postgres_by_now_does_not_keep_the_cluster_from_starting() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    execute(&cluster, "create table kept as select 'here' as value").await;
    let data = text(&cluster, "show data_directory").await;
    cluster.stop().await.unwrap();

    let other = Cluster::temporary(None, 20).await.unwrap();
    let mut session = connect(other.url()).await.unwrap();
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut session).await.unwrap();
    for pid in [i32::try_from(other.postmaster_pid().unwrap()).unwrap(), backend] {
        std::fs::write(Path::new(&data).join("postmaster.pid"), format!("{pid}\n{data}\n")).unwrap();
        let began = Instant::now();
        let cluster = Cluster::start(options(&data_dir)).await.unwrap();
        println!("started in {:?}", began.elapsed());
        assert_eq!(text(&cluster, "select value from kept").await, "here");
        cluster.stop().await.unwrap();
    }
    assert_eq!(text(&other, "select 'untouched'").await, "untouched");
    other.stop().await.unwrap();
}

/// G17: a Postgres that uses this folder, under any command line, is neither signalled nor ignored.
#[tokio::test]
async fn a_postgres_on_this_very_folder_that_is_not_ours_is_left_to_postgres_to_judge() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    let data = text(&cluster, "show data_directory").await;
    cluster.stop().await.unwrap();
    // Its working directory is the cluster's, as for every Postgres process.
    let programs = open_folder();
    let program = programs.path().join("postgres");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let owner = Path::new(&data).metadata().unwrap();
    let mut stranger = std::process::Command::new(&program);
    let mut stranger = stranger.arg("60").current_dir(&data).uid(owner.uid()).gid(owner.gid()).spawn().unwrap();
    let noted = format!("{}\n{data}\n", stranger.id());
    std::fs::write(Path::new(&data).join("postmaster.pid"), &noted).unwrap();
    let started = tokio::time::timeout(Duration::from_secs(3), Cluster::start(options(&data_dir))).await;
    assert!(started.is_err(), "two on one folder");
    assert_eq!(std::fs::read_to_string(Path::new(&data).join("postmaster.pid")).unwrap(), noted);
    assert!(stranger.try_wait().unwrap().is_none(), "it was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn processes_of(group: Pid) -> Vec<Pid> {
    let listed = std::process::Command::new("ps").args(["-A", "-o", "pid=,pgid="]).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let pairs = listed.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let of_group = pairs.filter(|(_, of)| of.trim() == group.to_string());
    of_group.map(|(pid, _)| Pid::from_raw(pid.parse().unwrap())).collect()
}

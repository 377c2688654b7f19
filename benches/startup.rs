//! How long until the service is ready on an existing private cluster, and how much memory it takes when idle.
//!
//! `cargo bench --bench startup` runs the release build as a process, several times, and prints medians with minimum and
//! maximum. Nothing is asserted: a machine that is busy is slow, not wrong.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends by saying why")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// Idle for so long before the memory is read: the workers have looked for work a few times.
const IDLE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (first, _) = round(directory.path());
    println!("first start, the cluster is made: ready after {:.0} ms", first.as_secs_f64() * 1e3);
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (took, kilobytes) = round(directory.path());
        ready.push(took.as_secs_f64() * 1e3);
        memory.extend(kilobytes.map(|it| it / 1024.0));
    }
    print("ready on an existing cluster, ms", &mut ready);
    print("resident memory when idle, MB", &mut memory);
}

fn print(what: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        println!("{what}: not measured on this system");
        return;
    };
    println!("{what}: median {:.1} ({first:.1} to {last:.1}, {ROUNDS} rounds)", values[values.len() / 2]);
}

/// Starts the service, waits until it is ready and then idle, and ends it.
fn round(data_dir: &Path) -> (Duration, Option<f64>) {
    let internal = free_port();
    let started = Instant::now();
    let mut service = serve(data_dir, internal);
    while !is_ready(internal) {
        assert!(started.elapsed() < PATIENCE, "not ready within {PATIENCE:?}");
        assert!(service.try_wait().expect("the service's status").is_none(), "the service ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = started.elapsed();
    std::thread::sleep(IDLE);
    let memory = resident(service.id());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(service.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("the service takes signals");
    service.wait().expect("the service ends");
    (took, memory)
}

fn serve(data_dir: &Path, internal: SocketAddr) -> Child {
    Command::new(env!("CARGO_BIN_EXE_account-opening"))
        .arg("serve")
        .env("ENVIRONMENT", "development")
        .env("DATA_DIR", data_dir)
        .env("PUBLIC_ADDR", free_port().to_string())
        .env("INTERNAL_ADDR", internal.to_string())
        .env("LOG", "error")
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .spawn()
        .expect("the service starts")
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port")
}

fn is_ready(addr: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Kilobytes, where the system has `/proc`.
fn resident(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

//! The real program as a process: its commands, settings, signals and what it leaves behind.
//!
//! A [`Program`] runs in a folder of its own with an environment of its own (`PATH` and `HOME` are kept), so that neither
//! a `.env` nor a variable of the developer's changes a test. A [`Process`] that a test drops is killed and reaped; no
//! signal goes to a process that this did not start, or that has been reaped.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub use super::eventually::eventually_within as eventually;

/// How long anything that must happen may take.
pub const WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a process runs.
pub fn runs(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

/// A folder that the user of Postgres may enter. It goes once no Postgres runs in it.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Arc<Self> {
        let open = std::fs::Permissions::from_mode(0o755);
        let made = tempfile::Builder::new().prefix("process-").permissions(open).tempdir_in(super::cluster::data_dir());
        Arc::new(Self(made.unwrap()))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Of every private Postgres that has its data below this folder.
    pub fn postmasters(&self) -> Vec<i32> {
        files_named("postmaster.pid", self.path(), 3)
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let deadline = Instant::now() + WITHIN;
        while self.postmasters().into_iter().any(runs) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }
}

fn files_named(name: &str, folder: &Path, depth: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name() == name {
            found.push(entry.path());
        } else if depth > 0 {
            found.extend(files_named(name, &entry.path(), depth - 1));
        }
    }
    found
}

/// A command to be run.
#[derive(Clone)]
pub struct Program {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    folder: Arc<Folder>,
    /// The arguments of `ulimit` before the program runs. None: no limit.
    ulimit: Option<String>,
}

impl Program {
    pub fn new(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&it| it.to_owned()).collect();
        Self { arguments, variables: Vec::new(), folder: Folder::new(), ulimit: None }
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.retain(|(held, _)| held != name);
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Runs under a limit: `-S -n 256` sets the soft limit of open files, without `-S` it is the hard one too.
    pub fn limit(mut self, ulimit: &str) -> Self {
        self.ulimit = Some(ulimit.to_owned());
        self
    }

    /// Runs in this folder, which another may use too.
    pub fn within(mut self, folder: &Arc<Folder>) -> Self {
        self.folder = Arc::clone(folder);
        self
    }

    /// Starts it.
    pub fn spawn(&self) -> Process {
        super::run::take_process_turn();
        let program = env!("CARGO_BIN_EXE_account-opening");
        let mut command = Command::new(if self.ulimit.is_some() { "sh" } else { program });
        if let Some(ulimit) = &self.ulimit {
            command.args(["-c", &format!("ulimit {ulimit} && exec \"$0\" \"$@\""), program]);
        }
        command.args(&self.arguments).env_clear().current_dir(self.folder.path());
        for name in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = Stream::of(child.stdout.take().unwrap());
        let stderr = Stream::of(child.stderr.take().unwrap());
        Process { child, stdout, stderr, folder: Arc::clone(&self.folder) }
    }

    /// Runs it to its end.
    pub async fn run(&self) -> Ended {
        self.spawn().ended(WITHIN + WITHIN).await
    }
}

/// The output of a process, read as it comes, so that the process never waits for a reader.
struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                shared.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

/// A process that was started.
pub struct Process {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    folder: Arc<Folder>,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// Sends a signal, unless it has ended: its pid is its own for as long as it is not reaped.
    pub fn signal(&mut self, signal: Signal) {
        if self.child.try_wait().unwrap().is_none() {
            kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        }
    }

    /// Whether it runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub async fn ended(&mut self, within: Duration) -> Ended {
        let deadline = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still runs after {within:?}: {}", self.stderr());
            tokio::time::sleep(LOOK).await;
        };
        Ended { status, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }

    /// kill -9.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.ended(WITHIN).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for one that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The exit code; none: a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The lines on standard error.
    pub fn lines(&self) -> Vec<&str> {
        self.stderr.lines().collect()
    }

    /// The names that open the lines on standard error (`NAME: …`), sorted: the settings that were found wrong.
    pub fn wrong_settings(&self) -> Vec<&str> {
        let names = self.stderr.lines().map(|line| line.split_once(": ").map_or("", |(name, _)| name));
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names
    }

    /// The line about a setting.
    pub fn line_about(&self, setting: &str) -> &str {
        let found = self.stderr.lines().find(|line| line.starts_with(&format!("{setting}: ")));
        found.unwrap_or_else(|| panic!("no line about {setting}: {}", self.stderr))
    }
}

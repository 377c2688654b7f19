//! The run's files: append-only JSON lines.
//!
//! A caller hands over a line and continues; a separate thread writes the gathered lines, at the latest after
//! [`LATEST`]. A durable line is on disk when the call returns, together with all earlier lines: one fdatasync serves
//! all waiting callers. A crash of the machine leaves a prefix with at most one incomplete last line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;

/// How long a line may stay in memory.
const LATEST: Duration = Duration::from_millis(100);

/// Microseconds since the epoch by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "the judge has one clock, and this is where it is read")]
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// Writes one file; a clone writes the same one. Flush it before the process ends.
#[derive(Clone)]
pub struct Recorder(Arc<Handle>);

struct Handle(Arc<Shared>);

struct Shared {
    gathered: Mutex<Gathered>,
    wake: Condvar,
}

#[derive(Default)]
struct Gathered {
    lines: Vec<u8>,
    waiting: Vec<Waiting>,
    closed: bool,
    /// After a failed write, no later line is reported as written.
    failed: Option<(io::ErrorKind, String)>,
}

struct Waiting {
    durably: bool,
    done: oneshot::Sender<io::Result<()>>,
}

impl Recorder {
    /// Creates the file; refuses an existing one, which is evidence of an earlier run.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let shared = Arc::new(Shared { gathered: Mutex::default(), wake: Condvar::new() });
        let (writer, name) = (Arc::clone(&shared), path.display().to_string());
        std::thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.write_all(&file, &name))?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Records a line. The next [`Self::flush`] reports errors.
    pub fn record(&self, line: &impl Serialize) {
        self.shared().lock().append(line);
    }

    /// Records a line and waits until it is on disk.
    pub async fn record_durably(&self, line: &impl Serialize) -> io::Result<()> {
        self.until(true, |gathered| gathered.append(line)).await
    }

    /// Waits until all earlier lines are written, or returns the error.
    pub async fn flush(&self) -> io::Result<()> {
        self.until(false, |_| ()).await
    }

    async fn until(&self, durably: bool, first: impl FnOnce(&mut Gathered)) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        {
            let mut gathered = self.shared().lock();
            first(&mut gathered);
            gathered.waiting.push(Waiting { durably, done });
        }
        self.shared().wake.notify_one();
        written.await.unwrap_or_else(|_| Err(io::Error::other("the recorder has ended")))
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl Gathered {
    fn append(&mut self, line: &impl Serialize) {
        let before = self.lines.len();
        match serde_json::to_writer(&mut self.lines, line) {
            Ok(()) => self.lines.push(b'\n'),
            Err(error) => {
                self.lines.truncate(before);
                self.failed = Some((io::ErrorKind::InvalidData, error.to_string()));
            }
        }
    }

    fn outcome(&self) -> io::Result<()> {
        self.failed.as_ref().map_or(Ok(()), |(kind, why)| Err(io::Error::new(*kind, why.clone())))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // A line is appended completely or not at all, so a poisoned lock is usable.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut file: &File, name: &str) {
        let mut lines = Vec::new();
        loop {
            let (waiting, closed) = self.gather(&mut lines);
            let mut written = file.write_all(&lines);
            if waiting.iter().any(|it| it.durably) {
                written = written.and_then(|()| file.sync_data());
            }
            lines.clear();
            let mut gathered = self.lock();
            if let Err(error) = written {
                eprintln!("{name} cannot be written: {error}");
                gathered.failed.get_or_insert((error.kind(), error.to_string()));
            }
            for it in waiting {
                let _ = it.done.send(gathered.outcome());
            }
            if closed {
                return;
            }
        }
    }

    /// Waits for a durable line or for [`LATEST`], and takes the gathered lines.
    fn gather(&self, lines: &mut Vec<u8>) -> (Vec<Waiting>, bool) {
        let gathered = self.lock();
        let idle = |it: &mut Gathered| it.waiting.is_empty() && !it.closed;
        let (mut gathered, _) =
            self.wake.wait_timeout_while(gathered, LATEST, idle).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(lines, &mut gathered.lines);
        (std::mem::take(&mut gathered.waiting), gathered.closed)
    }
}

#[cfg(test)]
mod tests;

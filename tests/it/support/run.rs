//! State that the tests of one run share beside the Postgres: the turns that they wait for, and the report of times at the end.
//!
//! The test runner starts more tests than may run at once: some wait for the one browser, others for a turn with real processes, and a
//! thread that waits should keep no other test from running. The time-outs of a real process pass in real time, so [`take_process_turn`]
//! lets only a few such tests run at once. All marks live in the thread of the test, which the runner makes for it and ends with it.

use std::cell::RefCell;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Tests that run at the same time. Most wait for Postgres or for each other's messages, so they are more than cores.
const TURNS: usize = 8;
/// Tests among them that run processes of the service.
const PROCESS_TURNS: usize = 4;
/// The name of the threads of a test's own runtime, which run parts of the test under its turn.
const WORKER: &str = "tokio-rt-worker";

static TAKEN: (Mutex<Taken>, Condvar) = (Mutex::new(Taken { all: 0, with_processes: 0 }), Condvar::new());

/// Turns that are taken.
struct Taken {
    all: usize,
    with_processes: usize,
}

thread_local! {
    static TEST: RefCell<Option<Stopwatch>> = const { RefCell::new(None) };
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Waits for a turn, unless the test of this thread has one, and measures the test from then to its end, for the report.
pub fn begin_test() {
    take_turn(false);
}

/// Waits until fewer than [`PROCESS_TURNS`] other tests have processes; the turn ends with the test. A test takes one turn
/// for all its processes, so that two tests never wait for each other.
pub fn take_process_turn() {
    take_turn(true);
}

fn take_turn(has_processes: bool) {
    if std::thread::current().name() == Some(WORKER) {
        return;
    }
    TURN.with_borrow_mut(|turn| {
        if turn.as_ref().is_some_and(|it| it.has_processes >= has_processes) {
            return;
        }
        // A test that waits for a turn with processes has none, so that no test waits for it.
        *turn = None;
        let asked = Instant::now();
        let mut taken = TAKEN.0.lock().unwrap();
        while taken.all == TURNS || (has_processes && taken.with_processes == PROCESS_TURNS) {
            taken = TAKEN.1.wait(taken).unwrap();
        }
        taken.all += 1;
        taken.with_processes += usize::from(has_processes);
        *turn = Some(Turn { has_processes });
        TEST.with_borrow_mut(|test| match test {
            Some(test) => test.waited += asked.elapsed(),
            None => *test = Some(Stopwatch { started: Instant::now(), waited: Duration::ZERO }),
        });
    });
}

/// Adds to the report's total of a kind of work.
pub fn record(kind: &str, took: Duration) {
    write(&format!("{kind}\t{:.3}\t-", took.as_secs_f64()));
}

struct Turn {
    has_processes: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = TAKEN.0.lock().unwrap();
        taken.all -= 1;
        taken.with_processes -= usize::from(self.has_processes);
        TAKEN.1.notify_all();
    }
}

struct Stopwatch {
    started: Instant,
    waited: Duration,
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let took = self.started.elapsed().saturating_sub(self.waited).as_secs_f64();
        write(&format!("tests\t{took:.3}\t{}", std::thread::current().name().unwrap_or("?")));
    }
}

/// The report is written by a child, because the test runner has no hook for the end of a run: the child's input ends when
/// this process does.
fn write(line: &str) {
    static REPORT: OnceLock<Option<Mutex<Child>>> = OnceLock::new();
    let child = REPORT.get_or_init(|| {
        let mut awk = Command::new("awk");
        awk.arg(include_str!("report.awk")).stdin(Stdio::piped());
        awk.spawn().ok().map(Mutex::new)
    });
    if let Some(mut child) = child.as_ref().and_then(|it| it.lock().ok())
        && let Some(input) = child.stdin.as_mut()
    {
        // A machine without awk, or an awk that died, has no report.
        let _ = writeln!(input, "{line}");
    }
}

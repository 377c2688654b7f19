//! What the tests of one run share beside the Postgres: the turn that a test with real processes waits for, and the report at
//! the end that says where the time went.
//!
//! The test runner starts more tests at once than there are cores, since most of them wait. The time-outs of a real process pass
//! in real time, so [`take_process_turn`] lets only a few such tests run at once. Both marks live in the thread of the test, which the runner
//! makes for it and ends with it.

use std::cell::RefCell;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Tests that run processes of the service at the same time.
const PROCESS_TURNS: usize = 4;

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(PROCESS_TURNS), Condvar::new());

thread_local! {
    static TEST: RefCell<Option<Stopwatch>> = const { RefCell::new(None) };
    static TURN: RefCell<Option<ProcessTurn>> = const { RefCell::new(None) };
}

/// Measures the test of this thread from now to its end, for the report.
pub fn measure_test() {
    TEST.with_borrow_mut(|test| {
        test.get_or_insert_with(|| Stopwatch { started: Instant::now(), waited: Duration::ZERO });
    });
}

/// Waits until fewer than [`PROCESS_TURNS`] other tests have processes; the turn ends with the test. A test takes one turn
/// for all its processes, so that two tests never wait for each other.
pub fn take_process_turn() {
    measure_test();
    TURN.with_borrow_mut(|turn| {
        turn.get_or_insert_with(|| {
            let asked = Instant::now();
            let free = TURNS.1.wait_while(TURNS.0.lock().unwrap(), |free| *free == 0);
            *free.unwrap() -= 1;
            TEST.with_borrow_mut(|test| test.iter_mut().for_each(|it| it.waited += asked.elapsed()));
            ProcessTurn
        });
    });
}

/// Adds to the report's total of a kind of work.
pub fn record(kind: &str, took: Duration) {
    write(&format!("{kind}\t{:.3}\t-", took.as_secs_f64()));
}

struct ProcessTurn;

impl Drop for ProcessTurn {
    fn drop(&mut self) {
        *TURNS.0.lock().unwrap() += 1;
        TURNS.1.notify_one();
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

//! What a phase took of the machine: processor time, memory and writes, where the system has `/proc`.

use std::path::PathBuf;

/// `USER_HZ` of every Linux: the clock ticks of `/proc/*/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// So far, since the processes began.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// Seconds.
    pub service: f64,
    /// Seconds, of the postmaster and all its children, those that have ended too.
    pub postgres: f64,
    /// Bytes that Postgres caused to be sent to the disk. None: not ours to read.
    pub written: Option<f64>,
}

impl Usage {
    pub fn now(services: &[u32], postmaster: Option<u32>) -> Self {
        let service = services.iter().filter_map(|pid| Stat::read(*pid)).map(|it| it.own).sum();
        let Some(postmaster) = postmaster else { return Self { service, ..Self::default() } };
        let children = children(postmaster);
        let ended = Stat::read(postmaster).map_or(0.0, |it| it.ended_children);
        let all = || children.iter().chain([&postmaster]);
        let running: f64 = all().filter_map(|pid| Stat::read(*pid)).map(|it| it.own).sum();
        // The kernel adds what a child wrote to its parent's account when the child has ended.
        let written = written(postmaster).map(|_| all().filter_map(|pid| written(*pid)).sum());
        Self { service, postgres: running + ended, written }
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            service: self.service - before.service,
            postgres: self.postgres - before.postgres,
            written: self.written.zip(before.written).map(|(now, before)| now - before),
        }
    }
}

struct Stat {
    parent: u32,
    own: f64,
    ended_children: f64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses, which may hold spaces.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok());
        let [user, system, user_ended, system_ended] = [ticks(11)?, ticks(12)?, ticks(13)?, ticks(14)?];
        let parent = fields.get(1)?.parse().ok()?;
        Some(Self {
            parent,
            own: (user + system) / TICKS_PER_SECOND,
            ended_children: (user_ended + system_ended) / TICKS_PER_SECOND,
        })
    }
}

fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|it| it.file_name().to_str()?.parse().ok());
    pids.filter(|pid| Stat::read(*pid).is_some_and(|it| it.parent == parent)).collect()
}

fn written(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

/// Megabytes: `VmRSS` (now) or `VmHWM` (the most since [`forget_peak`]).
pub fn memory(pid: u32, which: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(which))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}

/// From now on `VmHWM` counts anew.
pub fn forget_peak(pid: u32) {
    // Where the system has no such file, the peak is that of the whole run.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// The folder of the program that a process runs.
pub fn program_folder(pid: u32) -> Option<PathBuf> {
    Some(std::fs::read_link(format!("/proc/{pid}/exe")).ok()?.parent()?.to_owned())
}

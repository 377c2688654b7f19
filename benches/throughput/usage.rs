//! The machine's resources that a phase used: processor time, memory and writes, where the system has `/proc`.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// `USER_HZ` of every Linux: the clock ticks of `/proc/*/stat`.
const TICKS_PER_SECOND: f64 = 100.0;
/// The unit of `/sys/dev/block/*/stat`, for disks with any sector size.
const BYTES_PER_SECTOR: f64 = 512.0;

/// The processes that are watched.
pub struct Probe {
    /// None: Postgres is down.
    pub postmaster: Option<u32>,
    /// The file in which the kernel counts what was written to the disk below the cluster. (`/proc/*/io` would tell processes
    /// apart, but counts a large folio whole for every page of it: many times what was written.)
    disk: Option<PathBuf>,
}

/// So far, since the machine or the processes began.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Seconds.
    pub service: f64,
    /// Seconds, of the postmaster and all its children, those that have ended too.
    pub postgres: f64,
    /// Seconds, of this process and its children that have ended: the load, pgbench, the simulated world.
    pub load: f64,
    /// Seconds of all cores, of all processes, also those that other guests of the same hardware took. None: not told.
    pub machine: Option<f64>,
    /// Bytes that reached the disk, of any process. None: not told.
    pub written: Option<f64>,
}

impl Probe {
    pub fn new(postmaster: Option<u32>) -> Self {
        let device = postmaster.and_then(|pid| std::fs::metadata(format!("/proc/{pid}/cwd")).ok()).map(|it| it.dev());
        // A device's numbers, as Linux packs the smaller ones.
        let file = |it: u64| format!("/sys/dev/block/{}:{}/stat", it >> 8 & 0xfff, it & 0xff | it >> 12 & 0xfff00);
        Self { postmaster, disk: device.map(file).map(PathBuf::from).filter(|it| it.exists()) }
    }

    pub fn usage(&self, services: impl IntoIterator<Item = u32>) -> Usage {
        let own = |pid| Stat::read(pid).map_or(0.0, |it| it.own);
        let children = self.postmaster.map(children).unwrap_or_default();
        let ended = self.postmaster.and_then(Stat::read).map_or(0.0, |it| it.ended_children);
        Usage {
            service: services.into_iter().map(own).sum(),
            postgres: children.into_iter().chain(self.postmaster).map(own).sum::<f64>() + ended,
            load: Stat::read(std::process::id()).map_or(0.0, |it| it.own + it.ended_children),
            machine: machine(),
            written: self.disk.as_ref().and_then(written),
        }
    }
}

impl Usage {
    pub fn since(self, before: Self) -> Self {
        Self {
            service: self.service - before.service,
            postgres: self.postgres - before.postgres,
            load: self.load - before.load,
            machine: self.machine.zip(before.machine).map(|(now, before)| now - before),
            written: self.written.zip(before.written).map(|(now, before)| now - before),
        }
    }

    /// Seconds of all processes and guests without a part in it.
    pub fn others(self) -> Option<f64> {
        self.machine.map(|it| (it - self.service - self.postgres - self.load).max(0.0))
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

/// User, nice, system, irq, softirq and stolen; not idle or waiting.
fn machine() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = text.lines().next()?.split_whitespace().skip(1).filter_map(|it| it.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>();
    Some(busy / TICKS_PER_SECOND)
}

fn written(disk: &PathBuf) -> Option<f64> {
    let text = std::fs::read_to_string(disk).ok()?;
    text.split_whitespace().nth(6)?.parse::<f64>().ok().map(|sectors| sectors * BYTES_PER_SECTOR)
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

//! `--soak`: a steady load over 256 connections for a while, and what becomes of the service's memory.

use std::time::{Duration, Instant};

use crate::cell::Cell;
use crate::options::Options;
use crate::setting::{Setting, Way};
use crate::stats::Figure;
use crate::usage;
use crate::world::World;

const CONNECTIONS: usize = 256;
/// How often the memory is read; the requests of so long are signed at once.
const SLICE: Duration = Duration::from_secs(30);

/// Runs it and prints it; whether all was as it must be.
pub async fn run(world: &World, options: &Options) -> bool {
    let slices = options.minutes * 60 / SLICE.as_secs();
    let count = options.rate * SLICE.as_secs();
    let mut cell = Cell::make(world, "soak").await;
    let mut first = cell.fill(count * slices).await;
    cell.settle().await;
    let mut setting = Setting::start(world, cell, 1).await;
    let pid = setting.services[0].pid();
    let way = Way { connections: CONNECTIONS, beat: Some(Duration::from_secs(1) / rate(options)), watched: 16 };
    let (began, mut right) = (Instant::now(), true);
    let mut memory: Vec<f64> = usage::memory(pid, "VmRSS:").into_iter().collect();
    let mut peak: Option<f64> = None;
    for _ in 0..slices {
        let (figures, wrong) = setting.send(&way, first, count).await;
        first += count;
        for wrong in &wrong {
            eprintln!("WRONG: {wrong}");
        }
        right &= wrong.is_empty();
        memory.extend(usage::memory(pid, "VmRSS:"));
        let at = |figure| figures.get(&figure).copied().unwrap_or_default();
        peak = peak.into_iter().chain(figures.get(&Figure::Memory).copied()).reduce(f64::max);
        println!(
            "{:.0} s: {:.1} MB; ack p99 {:.1} ms, ack to applied p99 {:.0} ms, not taken {:.0}",
            began.elapsed().as_secs_f64(),
            memory.last().copied().unwrap_or_default(),
            at(Figure::P99),
            at(Figure::ToApplied),
            at(Figure::NotTaken),
        );
    }
    let at = |it: Option<&f64>| it.copied().unwrap_or_default();
    println!(
        "{} webhooks at {}/s over {CONNECTIONS} connections: {:.1} MB before, {:.1} after {} s, {:.1} at the end, {:.1} at most",
        count * slices,
        options.rate,
        at(memory.first()),
        at(memory.get(1)),
        SLICE.as_secs(),
        at(memory.last()),
        peak.unwrap_or_default(),
    );
    setting.stop().await;
    right
}

fn rate(options: &Options) -> u32 {
    u32::try_from(options.rate).expect("a rate that can be sent")
}

//! Reads a file of JSON lines. An unreadable line is reported with its place.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;

/// Maximum reported places per file.
const TOLD: usize = 5;

/// Passes each line of `path` to `take`, in order; returns the problems of the file. `growing`: the file was copied
/// while it was written, so its last line may be incomplete.
///
/// # Errors
/// If the file cannot be opened or read.
pub fn each<T: DeserializeOwned>(
    path: &Path,
    name: &str,
    growing: bool,
    mut take: impl FnMut(T) -> Result<(), String>,
) -> anyhow::Result<Vec<String>> {
    let file = File::open(path).with_context(|| format!("the {name} {} cannot be opened", path.display()))?;
    let mut reader = BufReader::new(file);
    let (mut line, mut number, mut broken) = (Vec::new(), 0_u64, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        if read.with_context(|| format!("the {name} {} cannot be read", path.display()))? == 0 {
            break;
        }
        number += 1;
        let taken = serde_json::from_slice(&line).map_err(|error| error.to_string()).and_then(&mut take);
        let cut = line.last() != Some(&b'\n');
        if let Err(why) = taken
            && !(cut && growing)
        {
            broken.push(format!("the {name} cannot be read at line {number}: {why}"));
        }
    }
    if number == 0 && !growing {
        broken.push(format!("the {name} is empty"));
    }
    Ok(shortened(broken, name))
}

fn shortened(mut broken: Vec<String>, name: &str) -> Vec<String> {
    let more = broken.len().saturating_sub(TOLD);
    broken.truncate(TOLD);
    if more > 0 {
        broken.push(format!("the {name} cannot be read at {more} more lines"));
    }
    broken
}

//! Files of exported heads: `opening_id,version,head` per line, the head in hexadecimal.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Misconfigured;
use crate::domain::verify::Head;
use crate::settings::SettingError;

/// A validated file of heads, so that a wrong line is reported before the work begins.
pub(super) struct Heads(PathBuf);

impl Heads {
    /// Reads and validates the file.
    pub fn checked(path: &Path) -> anyhow::Result<Self> {
        let wrong = |problem: String| {
            let expected = "a file written by --export-heads: opening_id,version,head per line".to_owned();
            Misconfigured::from(vec![SettingError { name: "HEADS", problem, expected }])
        };
        let file = File::open(path).map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
        for (line, number) in BufReader::new(file).lines().zip(1..) {
            if line.ok().as_deref().and_then(parse).is_none() {
                return Err(wrong(format!("line {number} of {} is invalid", path.display())).into());
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The heads one by one, since the file may be large.
    pub fn lines(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Head>> + use<>> {
        let file = File::open(&self.0).with_context(|| format!("HEADS: {}", self.0.display()))?;
        let read = |line: std::io::Result<String>| parse(&line?).context("HEADS: the file changed during the run");
        Ok(BufReader::new(file).lines().map(read))
    }
}

fn parse(line: &str) -> Option<Head> {
    let mut fields = line.trim_end().splitn(3, ',');
    let (opening, version, hash) = (fields.next()?, fields.next()?, fields.next()?);
    let hash = hex::decode(hash).ok()?.try_into().ok()?;
    Some(Head { opening: opening.parse().ok()?, version: version.parse().ok()?, hash })
}

/// A file of heads being written under a temporary name.
pub(super) struct Export {
    path: PathBuf,
    beside: PathBuf,
    file: BufWriter<File>,
}

impl Export {
    pub fn begin(path: &Path) -> anyhow::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(beside);
        let file = File::create(&beside).with_context(|| format!("EXPORT_HEADS: cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), beside, file: BufWriter::new(file) })
    }

    pub fn add(&mut self, head: &Head) -> anyhow::Result<()> {
        let written = writeln!(self.file, "{},{},{}", head.opening, head.version, hex::encode(head.hash));
        written.with_context(|| format!("EXPORT_HEADS: cannot write {}", self.path.display()))
    }

    /// Renames the file to its final name.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let placed = written.and_then(|()| std::fs::rename(&self.beside, &self.path));
        placed.with_context(|| format!("EXPORT_HEADS: cannot write {}", self.path.display()))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Does nothing after `finish`, which renamed the file.
        let _ = std::fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_opening_a_version_and_a_head() {
        let hash = "ab".repeat(32);
        let line = format!("01994c3e-0000-7000-8000-000000000001,3,{hash}");
        assert_eq!(parse(&line).map(|it| (it.version, it.hash)), Some((3, [0xab; 32])));
        for wrong in ["", "x", &line[1..], &line[..line.len() - 1], &format!("{line},"), &line.replace(",3,", ",x,")] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}

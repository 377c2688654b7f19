//! Finds `initdb` and `postgres` on the machine.
//!
//! Invariant: both belong to one installation, run as the cluster's user, and match existing data. Only reads.

use std::path::{Path, PathBuf};

use super::ClusterError;
use super::account::Account;

/// The oldest supported major version.
const OLDEST: u32 = 14;

/// Installation folders per version: the parent, and the name's prefix before the version.
const PLACES: [(&str, &str); 8] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/usr/lib", "postgresql"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@"),
    ("/Library/PostgreSQL", ""),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
    pub(super) major: u32,
}

/// The folders to search, best first.
pub(super) struct Search {
    given: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Search {
    /// `given` (`PG_BIN_DIR`), then `PATH`, then the usual places, newest version first.
    pub(super) fn machine(given: Option<PathBuf>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual = PLACES.iter().flat_map(|(parent, prefix)| versions_below(Path::new(parent), prefix));
        Self::new(given, std::env::split_paths(&path).chain(usual).collect())
    }

    pub(super) fn new(given: Option<PathBuf>, folders: Vec<PathBuf>) -> Self {
        Self { given, folders }
    }

    /// Finds the first installation that `account` can run. `wanted` is the text of a cluster's `PG_VERSION`: the installation must
    /// have that major version. `cluster` is for the error message.
    pub(super) async fn find(
        &self,
        account: &Account,
        cluster: &Path,
        wanted: Option<&str>,
    ) -> Result<Programs, ClusterError> {
        let mut seen = Vec::new();
        let mut majors = Vec::new();
        for folder in self.given.iter().chain(&self.folders) {
            let found = installation(folder).filter(|(folder, _)| !seen.contains(folder));
            if let Some((folder, postgres)) = found
                && let Some(major) = major_of(account, &postgres).await
            {
                let fits = wanted.map_or(major >= OLDEST, |wanted| wanted == major.to_string());
                if fits {
                    return Ok(Programs { initdb: folder.join("initdb"), postgres, major });
                }
                seen.push(folder);
                majors.push(major);
            } else if self.given.as_ref() == Some(folder) {
                // Requested explicitly: silently using another installation would be a surprise.
                return Err(ClusterError::ProgramsNotIn { folder: folder.clone(), user: account.name.clone() });
            }
        }
        Err(match (wanted, majors.iter().max()) {
            (_, None) => ClusterError::ProgramsNotFound,
            (None, Some(&found)) => ClusterError::ProgramsTooOld { found, oldest: OLDEST },
            (Some(wanted), _) => ClusterError::OtherVersion {
                folder: cluster.to_owned(),
                wanted: wanted.to_owned(),
                found: majors.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
            },
        })
    }
}

/// The folder of the real `folder/postgres`, if `initdb` is there, too. Links are resolved because `initdb` looks for
/// `postgres` beside its real file.
fn installation(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let postgres = folder.join("postgres").canonicalize().ok().filter(|path| path.is_file())?;
    let folder = postgres.parent()?.to_owned();
    folder.join("initdb").is_file().then_some((folder, postgres))
}

/// The major version as printed by the program, run as its later user: a program that this user cannot run is not
/// usable.
async fn major_of(account: &Account, postgres: &Path) -> Option<u32> {
    let answer = account.command(postgres).arg("--version").output().await.ok()?;
    parse_major(&String::from_utf8_lossy(&answer.stdout))
}

/// Parses the output of `postgres --version`, such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0)`.
fn parse_major(printed: &str) -> Option<u32> {
    let (_, version) = printed.split_once("(PostgreSQL) ")?;
    leading_number(version)
}

fn leading_number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `parent/<prefix><version>/bin`, the newest version first.
fn versions_below(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = leading_number(name.to_str()?.strip_prefix(prefix)?)?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_releases_betas_and_packages() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn the_newest_version_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pgsql-9.6", "pgsql-16", "pgsql-17", "pgsql-x", "other-18"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        let expected: Vec<PathBuf> =
            ["pgsql-17", "pgsql-16", "pgsql-9.6"].iter().map(|name| parent.path().join(name).join("bin")).collect();
        assert_eq!(versions_below(parent.path(), "pgsql-"), expected);
    }

    #[tokio::test]
    async fn a_missing_program_is_told_in_one_line_with_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        let cluster = Path::new("/nowhere");
        let account = Account::choose(cluster).unwrap();

        let nothing = Search::new(None, vec![empty.path().to_owned()]).find(&account, cluster, None).await;
        let text = nothing.unwrap_err().to_string();
        assert!(text.contains("apt-get install postgresql") && text.contains("brew install postgresql@16"), "{text}");
        assert!(text.contains("PG_BIN_DIR") && !text.contains('\n'), "{text}");

        let given = Search::machine(Some(empty.path().to_owned())).find(&account, cluster, None).await;
        let text = given.unwrap_err().to_string();
        assert!(text.contains(&*empty.path().to_string_lossy()) && text.contains("PG_BIN_DIR"), "{text}");

        let other = Search::machine(None).find(&account, cluster, Some("9.6")).await.unwrap_err().to_string();
        assert!(other.contains("needs PostgreSQL 9.6, found 1"), "{other}");
    }
}

//! Where image files may be made on a node: a list that only its administrator writes, so that the
//! master of a cluster cannot have files made in any directory of a node (row S33).
//!
//! One absolute directory per line; empty lines and lines that begin with `#` mean nothing. As in
//! Ganeti, a list that is missing or empty allows nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::StorageError;

/// A list in a file, which is read at every use: a change counts at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedPaths {
    list: PathBuf,
}

impl AllowedPaths {
    /// The list in this file.
    pub fn new(list: impl Into<PathBuf>) -> Self {
        Self { list: list.into() }
    }

    /// What such a file says that allows these directories.
    #[must_use]
    pub fn text<'a>(directories: impl IntoIterator<Item = &'a str>) -> String {
        let head = "# Directories below which image files of disks may be made on this node.\n";
        let named = directories.into_iter().filter(|directory| !directory.is_empty());
        named.fold(head.to_owned(), |text, directory| format!("{text}{directory}\n"))
    }

    /// Whether a file may be made here.
    ///
    /// # Errors
    /// When no directory in the list is above it, or the list cannot be read.
    pub fn check(&self, path: &Path) -> Result<(), StorageError> {
        let text = match std::fs::read_to_string(&self.list) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(source) => {
                let path = self.list.clone();
                return Err(StorageError::Io { attempt: "read", path, source });
            }
        };
        let below = |directory: &Path| path != directory && path.starts_with(directory);
        if directories(&text).any(|directory| below(Path::new(directory))) {
            return Ok(());
        }
        let allowed: Vec<&str> = directories(&text).collect();
        let allowed = if allowed.is_empty() { "nothing".into() } else { allowed.join(", ") };
        Err(StorageError::PathNotAllowed {
            path: path.display().to_string(),
            accepted: format!(
                "a path below one of the directories in {}, which allows {allowed}",
                self.list.display()
            ),
        })
    }
}

/// The directories in a list. One that is not absolute, or is all there is, allows nothing.
fn directories(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| line.starts_with('/') && !line.trim_matches('/').is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: Option<&str>, path: &str) -> Result<(), String> {
        let dir = tempfile::tempdir().expect("tempdir");
        let list = dir.path().join("file-storage-paths");
        if let Some(text) = text {
            std::fs::write(&list, text).expect("writes");
        }
        AllowedPaths::new(list).check(Path::new(path)).map_err(|error| error.to_string())
    }

    // covers: S33
    #[test]
    fn a_list_that_is_missing_or_empty_allows_nothing() {
        for list in [None, Some(""), Some("# /srv\n\n"), Some("srv\n"), Some("/\n")] {
            let error = allows(list, "/srv/disks/a").expect_err("not allowed");
            assert!(error.contains("allows nothing"), "{error}");
        }
    }

    // covers: S33
    #[test]
    fn below_a_named_directory_it_is_allowed() {
        let list = AllowedPaths::text(["/srv/disks", "", "/srv/shared"]);
        assert_eq!(allows(Some(&list), "/srv/disks/a/b"), Ok(()));
        assert_eq!(allows(Some(&list), "/srv/shared/a"), Ok(()));
        for other in ["/srv/disks", "/srv/disks2/a", "/etc/x"] {
            let error = allows(Some(&list), other).expect_err(other);
            assert!(error.contains("allows /srv/disks, /srv/shared"), "{error}");
        }
    }
}

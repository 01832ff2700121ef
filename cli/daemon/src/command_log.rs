//! The file of the log of commands: `commands.log` of a state directory (C223).
//!
//! Every command on this machine appends to it, so each line is one write, and one of them moves a
//! full file aside. Deliberately absent: what the lines say, which is the commands' matter, and
//! flushing to the disk: after a crash the last lines may be missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::state_dir::StateDir;

/// Size from which on the file is moved aside, over the one before. Lower forgets what was run last
/// month, higher fills the disk that the state lies on.
pub(crate) const COMMAND_LOG_BYTES_MAX: u64 = 8 << 20;

/// Appends a line; `false` where there is no cluster.
///
/// # Errors
/// When the file cannot be written by this user.
pub(crate) fn append(state_dir: &StateDir, line: &str) -> io::Result<bool> {
    if !state_dir.has_node() {
        return Ok(false);
    }
    let path = state_dir.command_log();
    let mut file = open(&path)?;
    if file.metadata()?.len() >= COMMAND_LOG_BYTES_MAX {
        file = rotated(file, &path)?;
    }
    file.write_all(line.as_bytes()).map(|()| true)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The file to write to in place of a full one.
fn rotated(full: File, path: &Path) -> io::Result<File> {
    let inode = full.metadata()?.ino();
    match Flock::lock(full, FlockArg::LockExclusiveNonblock) {
        // Whoever had it before has moved it already.
        Ok(_locked) if std::fs::metadata(path)?.ino() == inode => {
            std::fs::rename(path, path.with_extension("log.1"))?;
            open(path)
        }
        Ok(_) => open(path),
        Err((full, Errno::EWOULDBLOCK)) => Ok(full),
        Err((_, errno)) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_node() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("node.json"), "{}").expect("written");
        let state_dir = StateDir::new(dir.path());
        (dir, state_dir)
    }

    #[test]
    fn where_there_is_no_cluster_nothing_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(!append(&StateDir::new(dir.path()), "a\n").expect("looked"));
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0);
    }

    // covers: C223
    #[test]
    fn lines_are_appended_for_their_owner_alone() {
        let (_dir, state_dir) = with_node();
        assert!(append(&state_dir, "a\n").expect("written"));
        assert!(append(&state_dir, "b\n").expect("written"));
        let path = state_dir.command_log();
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "a\nb\n");
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_is_moved_aside_once() {
        let (_dir, state_dir) = with_node();
        let path = state_dir.command_log();
        open(&path).and_then(|file| file.set_len(COMMAND_LOG_BYTES_MAX)).expect("made");
        // Two commands that both found it full.
        let (one, other) = (open(&path).expect("open"), open(&path).expect("open"));
        rotated(one, &path).and_then(|mut file| file.write_all(b"a\n")).expect("moved");
        rotated(other, &path).and_then(|mut file| file.write_all(b"b\n")).expect("left");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "a\nb\n");
        let before = std::fs::metadata(path.with_extension("log.1")).expect("there");
        assert_eq!(before.len(), COMMAND_LOG_BYTES_MAX);
    }
}

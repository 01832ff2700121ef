//! The place of a test: a short directory, loopback addresses, and the end of all that ran there.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use gantry_host::{ProcessIdentity, command_line};
use tempfile::TempDir;

use super::say;
use super::waiting::pause;

/// The port of every daemon; they differ by address.
const PORT: u16 = 1811;

/// Looks for processes that remain, before giving up: each ends within milliseconds of its signal.
const LOOKS_MAX: u32 = 200;

/// Addresses given out by this process.
static ADDRESSES: AtomicU32 = AtomicU32::new(0);

/// Files that clients and daemons write, in this process.
static FILES: AtomicU32 = AtomicU32::new(0);

/// A directory of a test. When it goes, everything goes that was started with it in its arguments.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        // Short: paths of sockets are limited.
        let directory = tempfile::Builder::new().prefix("gt-").tempdir_in("/tmp");
        Self { directory: directory.expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A file that nobody has used.
    pub(super) fn fresh_file(&self, stem: &str) -> PathBuf {
        self.join(&format!("{stem}.{}", FILES.fetch_add(1, Ordering::Relaxed)))
    }

    /// Everything of 127.0.0.0/8 is this machine. An address is nobody else's as long as this
    /// process lives, which a port that was free a moment ago is not.
    #[expect(clippy::unused_self, reason = "addresses are had by those who have a place")]
    pub(crate) fn address(&self) -> String {
        let us = std::process::id();
        let one = ADDRESSES.fetch_add(1, Ordering::Relaxed);
        assert!(one < 250, "no addresses left");
        format!("127.{}.{}.{}:{PORT}", 64 + us / 256 % 128, us % 256, one + 1)
    }

    /// Every process that has this directory in its arguments.
    pub(crate) fn processes(&self) -> Vec<ProcessIdentity> {
        let directory = self.path().display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // The identity first: if the number passes on after that, the signal goes nowhere.
            let Ok(Some(identity)) = ProcessIdentity::of(pid) else { continue };
            let args = command_line(pid).ok().flatten().unwrap_or_default();
            if pid != std::process::id() && args.iter().any(|arg| arg.contains(&directory)) {
                found.push(identity);
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for _ in 0..LOOKS_MAX {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for process in left {
                if let Err(error) = process.kill() {
                    say(&format!("process {} could not be ended: {error}", process.pid));
                }
            }
            pause();
        }
        say(&format!("processes of {} could not be ended", self.path().display()));
    }
}

//! Knowing a process for certain.
//!
//! A pid alone says nothing: it is used again. A [`ProcessIdentity`] adds when the process was
//! started and during which boot, so that a record on disk can be compared with the world after any
//! time. Between the comparison and a signal some microseconds pass in which the process could end
//! and its pid be used again; Linux hands pids out in a circle, so that needs the whole circle to
//! turn in that time.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access};
use serde::{Deserialize, Serialize};

/// How often we look whether a process has ended. Lower wakes us more, higher delays every stop.
const POLL: Duration = Duration::from_millis(10);

/// Why the table of processes could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A file of /proc cannot be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of /proc is not as documented.
    #[error("{path} does not have the form that proc(5) describes")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The process may not be signalled.
    #[error("could not send {signal} to process {pid}")]
    Signal {
        /// Which process.
        pid: u32,
        /// Which signal.
        signal: &'static str,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// One process, not to be confused with a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks after the boot.
    pub start_ticks: u64,
    /// Which boot.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The process that has this number now. `None` if there is none, or only its corpse.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn of(pid: u32) -> Result<Option<Self>, ProcessError> {
        let path = PathBuf::from(format!("/proc/{pid}/stat"));
        let Some(stat) = read_if_there(&path)? else { return Ok(None) };
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let Some((state, start_ticks)) = state_and_start(&stat) else {
            return Err(ProcessError::Malformed { path });
        };
        if matches!(state, 'Z' | 'X' | 'x') {
            return Ok(None);
        }
        Ok(Some(Self { pid, start_ticks, boot_id: boot_id()? }))
    }

    /// Whether it still lives.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn is_alive(&self) -> Result<bool, ProcessError> {
        Ok(Self::of(self.pid)?.as_ref() == Some(self))
    }

    /// Kills it. False if it was not there any more.
    ///
    /// # Errors
    /// When that is not permitted.
    pub fn kill(&self) -> Result<bool, ProcessError> {
        self.signal(Signal::SIGKILL)
    }

    /// Asks it to end. False if it was not there any more.
    ///
    /// # Errors
    /// When that is not permitted.
    pub fn terminate(&self) -> Result<bool, ProcessError> {
        self.signal(Signal::SIGTERM)
    }

    /// Waits until it is gone, at most `timeout`. False if it is still there.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub async fn wait_gone(&self, timeout: Duration) -> Result<bool, ProcessError> {
        let gone = async {
            while self.is_alive()? {
                tokio::time::sleep(POLL).await;
            }
            Ok(true)
        };
        tokio::time::timeout(timeout, gone).await.unwrap_or(Ok(false))
    }

    fn signal(&self, signal: Signal) -> Result<bool, ProcessError> {
        if !self.is_alive()? {
            return Ok(false);
        }
        let Ok(pid) = i32::try_from(self.pid) else { return Ok(false) };
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(source) => {
                Err(ProcessError::Signal { pid: self.pid, signal: signal.as_str(), source })
            }
        }
    }
}

/// State letter and start time (fields 3 and 22). The name before them may hold anything, also
/// parentheses and blanks, therefore the last parenthesis counts.
fn state_and_start(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some((state, start_ticks))
}

fn boot_id() -> Result<String, ProcessError> {
    let path = PathBuf::from("/proc/sys/kernel/random/boot_id");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(ProcessError::Read { path, source }),
    }
}

/// The arguments of a process, its name first. `None` if it is not there or is a kernel thread.
///
/// # Errors
/// When /proc cannot be read.
pub fn command_line(pid: u32) -> Result<Option<Vec<String>>, ProcessError> {
    let Some(bytes) = read_if_there(Path::new(&format!("/proc/{pid}/cmdline")))? else {
        return Ok(None);
    };
    let args: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect();
    // The last argument ends with a zero too, which split() takes for one more, empty.
    let n_args = args.len().saturating_sub(1);
    Ok((n_args > 0).then(|| args[..n_args].to_vec()))
}

/// What a process may have, at most. `u64::MAX` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Open files.
    pub open_files: u64,
    /// Bytes of memory that it may lock.
    pub locked_memory_bytes: u64,
}

/// The limits that hold for a process, the soft ones. `None` if it is not there.
///
/// # Errors
/// When /proc cannot be read.
pub fn limits_of(pid: u32) -> Result<Option<ProcessLimits>, ProcessError> {
    let path = PathBuf::from(format!("/proc/{pid}/limits"));
    let Some(text) = read_if_there(&path)? else { return Ok(None) };
    match limits_in(&String::from_utf8_lossy(&text)) {
        Some(limits) => Ok(Some(limits)),
        None => Err(ProcessError::Malformed { path }),
    }
}

fn limits_in(text: &str) -> Option<ProcessLimits> {
    let soft = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        match rest.split_ascii_whitespace().next()? {
            "unlimited" => Some(u64::MAX),
            limit => limit.parse().ok(),
        }
    };
    let open_files = soft("Max open files ")?;
    Some(ProcessLimits { open_files, locked_memory_bytes: soft("Max locked memory ")? })
}

/// All processes of this machine, in order.
fn pids() -> Result<Vec<u32>, ProcessError> {
    let root = PathBuf::from("/proc");
    let unreadable = |source| ProcessError::Read { path: PathBuf::from("/proc"), source };
    let mut pids = Vec::new();
    for entry in std::fs::read_dir(&root).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// The users that processes of this machine run as.
///
/// # Errors
/// When /proc cannot be read.
pub fn users_at_work() -> Result<BTreeSet<u32>, ProcessError> {
    let mut users = BTreeSet::new();
    for pid in pids()? {
        // The owner of the directory is root's for one that has changed its user.
        if let Some(status) = read_if_there(Path::new(&format!("/proc/{pid}/status")))? {
            users.extend(users_in(&String::from_utf8_lossy(&status)));
        }
    }
    Ok(users)
}

/// Real, effective, saved and file system user out of `/proc/<pid>/status`.
fn users_in(status: &str) -> impl Iterator<Item = u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|uid| uid.parse().ok())
}

/// All processes that have these arguments, one after the other, in their command line; by pid.
///
/// # Errors
/// When /proc cannot be read.
pub fn find_by_arguments(wanted: &[&str]) -> Result<Vec<ProcessIdentity>, ProcessError> {
    let mut found = Vec::new();
    for pid in pids()? {
        let Some(args) = command_line(pid)? else { continue };
        let matches = args.windows(wanted.len().max(1)).any(|some| some == wanted);
        if matches && let Some(identity) = ProcessIdentity::of(pid)? {
            found.push(identity);
        }
    }
    Ok(found)
}

/// Whether there is a file that we may execute.
#[must_use]
pub fn may_execute(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, ProcessError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(None),
        // The process ended while its file was open.
        Err(source) if source.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        // Where /proc hides the processes of others (hidepid), they are none of ours.
        Err(source) if source.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(source) => Err(ProcessError::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_of_a_process_counts() {
        let status = "Name:\tqemu\nUid:\t7\t8\t9\t10\nGid:\t1\t1\t1\t1\n";
        assert_eq!(users_in(status).collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert_eq!(users_in("Name:\tqemu\n").count(), 0);
        let at_work = users_at_work().expect("read");
        assert!(at_work.contains(&crate::accounts::own_uid()), "{at_work:?}");
    }

    #[test]
    fn the_limits_of_a_process_are_its_soft_ones() {
        let text = "Limit                     Soft Limit    Hard Limit    Units\n\
                    Max open files            1024          524288        files\n\
                    Max locked memory         unlimited     unlimited     bytes\n";
        let expected = ProcessLimits { open_files: 1024, locked_memory_bytes: u64::MAX };
        assert_eq!(limits_in(text), Some(expected));
        assert_eq!(limits_in("Max open files            1024\n"), None);
        let ours = limits_of(std::process::id()).expect("read").expect("we live");
        let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
            .expect("a limit");
        assert_eq!(ours.open_files, soft);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "12 (a) R (b) S 1 12 12 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(state_and_start(stat), Some(('S', 4711)));
    }

    #[test]
    fn a_cut_line_is_not_a_process() {
        assert_eq!(state_and_start("12 (a) S 1 12"), None);
    }

    #[test]
    fn we_live_and_a_namesake_of_another_time_does_not() {
        let me = ProcessIdentity::of(std::process::id()).expect("proc").expect("alive");
        assert!(me.is_alive().expect("proc"));
        for namesake in [
            ProcessIdentity { start_ticks: me.start_ticks + 1, ..me.clone() },
            ProcessIdentity { boot_id: "another".into(), ..me.clone() },
        ] {
            assert!(!namesake.is_alive().expect("proc"));
            assert!(!namesake.terminate().expect("not signalled, or we would not be here"));
        }
    }

    #[test]
    fn our_own_command_line_is_found() {
        let args = command_line(std::process::id()).expect("proc").expect("ours");
        let wanted: Vec<&str> = args.iter().map(String::as_str).collect();
        let found = find_by_arguments(&wanted).expect("proc");
        assert!(found.iter().any(|process| process.pid == std::process::id()));
    }
}

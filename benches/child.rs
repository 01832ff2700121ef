//! Other processes: the harness itself as the far side of a question, and programs under test.
//!
//! Owns their start, their end, and what the kernel counts of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::{idle_actor, quinn_peer, remote_ask, udp_peer};

/// Runs as the far side: `serve` and these words. Ends when standard input does.
///
/// # Errors
/// When the words are not known, or what they name fails.
pub fn serve(words: &[String]) -> anyhow::Result<()> {
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["udp"] => udp_peer::serve(),
        ["quinn", dir] => quinn_peer::serve(Path::new(dir)),
        ["actor", dir] => remote_ask::serve(Path::new(dir)),
        ["idle", whose, n] => idle_actor::serve(whose, n.parse()?),
        other => bail!("cannot serve {other:?}"),
    }
}

/// Tells the parent one line.
#[expect(clippy::print_stdout, reason = "standard output leads to the parent")]
pub(crate) fn tell_parent(line: &str) -> anyhow::Result<()> {
    println!("{line}");
    std::io::stdout().flush().context("tell the parent")
}

/// Blocks until the parent has gone or wants this process to end.
pub(crate) fn wait_for_parent() {
    let mut rest = Vec::new();
    // A broken pipe is an end as well.
    let _end = std::io::stdin().read_to_end(&mut rest);
}

#[expect(clippy::disallowed_methods, reason = "what the kernel counts of a child is the result")]
pub(crate) fn command(program: &Path) -> Command {
    Command::new(program)
}

/// A process that ends with this value.
pub(crate) struct Served {
    child: Child,
    /// What it told first.
    pub(crate) line: String,
}

impl Served {
    /// Starts the harness as the far side, and waits for its first line.
    pub(crate) fn start(words: &[&str]) -> anyhow::Result<Self> {
        let mut command = command(&std::env::current_exe().context("find the harness")?);
        command.arg("serve").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("start the far side")?;
        let stdout = child.stdout.take().context("standard output of the far side")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("hear the far side")?;
        let served = Self { child, line: line.trim().to_owned() };
        if served.line.is_empty() {
            bail!("the far side {words:?} ended without a word");
        }
        Ok(served)
    }

    /// What its threads have used of the processors.
    pub(crate) fn cpu_us(&self) -> anyhow::Result<f64> {
        cpu_us(self.child.id())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            debug_assert!(false, "the far side cannot be ended: {error}");
        }
    }
}

/// What all live threads of a process have used of the processors: exact, unlike the ticks of
/// `/proc/<pid>/stat`.
pub(crate) fn cpu_us(pid: u32) -> anyhow::Result<f64> {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    let mut ns = 0_u64;
    for task in std::fs::read_dir(&tasks).with_context(|| format!("{}", tasks.display()))? {
        // A thread may end between the listing and the look.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        ns += text.split_whitespace().next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(ns as f64 / 1e3)
}

/// Resident memory of a process.
pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let text = crate::harness::read(Path::new(&format!("/proc/{pid}/status")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What all ended and awaited children have used, user and system.
pub(crate) fn children_cpu_us() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64)
}

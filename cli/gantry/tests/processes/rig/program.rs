//! A program that a test runs.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::place::Place;
use super::say;
use super::waiting::eventually_within;

/// The binary under test.
pub(crate) const GANTRY: &str = env!("CARGO_BIN_EXE_gantry");

/// A program with its output in files. It ends with this value.
pub(crate) struct Program {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    line: String,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts it with nothing in its environment but what is given, and `stdin` as its input.
    pub(crate) fn start(
        place: &Place,
        words: &[OsString],
        env: &[(&str, String)],
        stdin: Option<&Path>,
    ) -> Self {
        let (program, args) = words.split_first().expect("a program");
        let (stdout, stderr) = (place.fresh_file("out"), place.fresh_file("err"));
        let input = match stdin {
            Some(path) => Stdio::from(File::open(path).expect("its input")),
            None => Stdio::null(),
        };
        #[expect(clippy::disallowed_methods, reason = "tests start, watch and kill programs")]
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(input)
            .stdout(File::create(&stdout).expect("a file for its output"))
            .stderr(File::create(&stderr).expect("a file for its errors"));
        let line = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let child = command.spawn().unwrap_or_else(|error| panic!("start {line}: {error}"));
        Self { child, line, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        read(&self.stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<Finished> {
        let status = self.child.try_wait().expect("our child")?;
        Some(Finished {
            line: self.line.clone(),
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        })
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self, within: Duration) -> Finished {
        let line = self.line.clone();
        eventually_within(within, &format!("the end of {line}"), || self.ended())
    }

    /// `kill -9`, and its corpse is taken away.
    pub(crate) fn kill(&mut self) {
        // Whoever has ended already needs no signal.
        drop(self.child.kill());
        self.child.wait().expect("our child");
    }

    /// Asks it to end and waits.
    pub(crate) fn terminate(self, within: Duration) -> Finished {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("our child");
        self.finish(within)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            say(&format!("--- {}\n{}{}", self.line, self.stdout(), self.stderr()));
        }
    }
}

impl Finished {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn is_success(&self) -> bool {
        self.code() == Some(0)
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Standard output, of a program that must have succeeded.
    pub(crate) fn success(&self) -> &str {
        assert_eq!(self.code(), Some(0), "{self}");
        &self.stdout
    }

    /// What it said, for a program that must have failed with this code.
    pub(crate) fn failure(&self, code: i32) -> &str {
        assert_eq!(self.code(), Some(code), "{self}");
        &self.stderr
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, status, stdout, stderr } = self;
        write!(f, "{line}: {status}\n{stdout}{stderr}")
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

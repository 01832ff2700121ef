//! A program to run, what it gave back, and how it failed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take if nothing else is said. Lower and tools fail on a busy machine;
/// higher and a hung tool holds its caller's lock that long.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Most bytes taken from either output of a program. The longest that we parse (a list of logical
/// volumes of a full node) has under 1 MiB. Lower would cut such lists; higher lets a broken tool
/// take that much memory.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most bytes of an output that an error repeats: enough for a tool's last twenty lines, little
/// enough for a job's log.
const TAIL_BYTES_MAX: usize = 2048;

/// A program to run: absolute path, arguments, and an environment that is empty but for `PATH` and
/// `LC_ALL=C`, so that its words do not depend on who started us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    cwd: PathBuf,
    timeout: Duration,
}

impl Command {
    /// A program without arguments, in `/`, with the default time.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let env = BTreeMap::from([
            ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("LC_ALL".into(), "C".into()),
        ]);
        Self {
            program: program.into(),
            args: Vec::new(),
            env,
            cwd: PathBuf::from("/"),
            timeout: TIMEOUT_DEFAULT,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One more variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The directory to run in.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// How long it may take; then it is killed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its arguments.
    #[must_use]
    pub fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// Its environment.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.env
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.cwd
    }

    /// How long it may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.timeout
    }

    /// As it would be typed in a shell.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = quoted(self.program.as_os_str());
        for arg in &self.args {
            line.push(' ');
            line.push_str(&quoted(arg));
        }
        line
    }
}

/// A word as a shell needs it.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What a program that succeeded has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// On its standard output.
    pub stdout: Vec<u8>,
    /// On its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Its standard output as text; bytes that are not become replacement characters.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Its path depends on where we stand.
    #[error("program path {program} is not absolute")]
    NotAbsolute {
        /// The path.
        program: PathBuf,
    },
    /// It is not there.
    #[error("program {program} does not exist")]
    NotFound {
        /// The path.
        program: PathBuf,
    },
    /// It is there, but could not be started.
    #[error("could not start `{command_line}`")]
    CannotStart {
        /// What was to run.
        command_line: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Its end could not be observed.
    #[error("lost track of `{command_line}`")]
    Lost {
        /// What ran.
        command_line: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was killed for taking too long.
    #[error("`{command_line}` was killed after {timeout:?}; stderr ends: {stderr_tail:?}")]
    TimedOut {
        /// What ran.
        command_line: String,
        /// The time it had.
        timeout: Duration,
        /// The end of its standard output.
        stdout_tail: String,
        /// The end of its standard error.
        stderr_tail: String,
    },
    /// It said more than we take.
    #[error("`{command_line}` wrote more than {OUTPUT_BYTES_MAX} bytes")]
    OutputTooLong {
        /// What ran.
        command_line: String,
    },
    /// It failed.
    #[error("`{command_line}` ended with {status}; stderr ends: {stderr_tail:?}")]
    Failed {
        /// What ran.
        command_line: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard output.
        stdout_tail: String,
        /// The end of its standard error.
        stderr_tail: String,
    },
    /// A scripted runner does not know it.
    #[error("`{command_line}` is not in the script; next would be: {expected}")]
    Unscripted {
        /// What was to run.
        command_line: String,
        /// The next line of the script.
        expected: String,
    },
}

/// The end of an output, for an error.
#[must_use]
pub fn tail(output: &[u8]) -> String {
    let start = output.len().saturating_sub(TAIL_BYTES_MAX);
    String::from_utf8_lossy(&output[start..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let command = Command::new("/bin/echo").args(["a b", "it's", "", "-x=1"]);
        assert_eq!(command.line(), r"/bin/echo 'a b' 'it'\''s' '' -x=1");
    }

    #[test]
    fn a_tail_keeps_the_end() {
        let long = [b"start".as_slice(), &[b'x'; 4000], b" the end\n"].concat();
        let tail = tail(&long);
        assert!(tail.ends_with(" the end") && !tail.contains("start"));
    }
}

//! Runs command lines and compares what they print with files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_client::{Client, ClientError};
use gantry_commands::{Connect, ExitCode, Io, Terminal, run};
use gantry_model::units::Timestamp;
use jiff::tz::TimeZone;
use tokio::io::AsyncRead;

use crate::fake_cluster::FakeCluster;
use crate::fake_machine::FakeMachine;

/// The time of all tests: 2026-11-22 07:00:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp(1_795_330_800_000_000);

/// What commands write to; shared with the test.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
    }
}

/// What a command left behind.
#[derive(Debug)]
#[must_use = "compare it with a file or look at the exit code"]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: ExitCode,
}

/// A place where commands run.
pub(crate) struct Session {
    pub(crate) cluster: FakeCluster,
    pub(crate) machine: Arc<FakeMachine>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) stdin_is_terminal: bool,
    pub(crate) stderr_is_terminal: bool,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) interrupted: bool,
    /// How many times the terminal was made raw, and put back.
    pub(crate) raw: Arc<Mutex<(u32, u32)>>,
}

/// A terminal that counts.
struct CountingTerminal(Arc<Mutex<(u32, u32)>>);
struct CountingGuard(Arc<Mutex<(u32, u32)>>);

impl Terminal for CountingTerminal {
    fn raw(&self) -> io::Result<Box<dyn Send>> {
        self.0.lock().expect("not poisoned").0 += 1;
        Ok(Box::new(CountingGuard(self.0.clone())))
    }
}

impl Drop for CountingGuard {
    fn drop(&mut self) {
        self.0.lock().expect("not poisoned").1 += 1;
    }
}

/// Gives every command a client of the fake cluster; the state directory `/nowhere` holds no
/// cluster, the daemon of `/silent` has never run, and that of `/closed` talks to others only.
struct ToFake(FakeCluster);

impl Connect for ToFake {
    fn connect(
        &self,
        state_dir: PathBuf,
        endpoint: Option<String>,
    ) -> BoxFuture<'_, Result<Client, ClientError>> {
        let answer = match endpoint {
            Some(address) => Err(ClientError::NoDaemon { address, reason: "no answer".to_owned() }),
            None if state_dir == Path::new("/silent") => {
                Err(ClientError::NoEndpoint { state_dir, missing: "endpoint".to_owned() })
            }
            None if state_dir == Path::new("/nowhere") => {
                Err(ClientError::NotACluster { state_dir, missing: "admin.pem".to_owned() })
            }
            None if state_dir == Path::new("/closed") => Err(ClientError::NotPermitted {
                path: "/closed/socket/gantry.sock".into(),
                reason: "user bob is neither root nor in group gantry-admin".to_owned(),
            }),
            None => Ok(self.0.client()),
        };
        std::future::ready(answer).boxed()
    }
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            cluster: FakeCluster::new(),
            machine: Arc::new(FakeMachine::default()),
            stdin: Vec::new(),
            stdin_is_terminal: false,
            stderr_is_terminal: false,
            env: BTreeMap::new(),
            interrupted: false,
            raw: Arc::default(),
        }
    }

    /// A session at whose terminal somebody types.
    pub(crate) fn typing(text: &str) -> Self {
        Self { stdin: text.as_bytes().to_vec(), stdin_is_terminal: true, ..Self::new() }
    }

    pub(crate) async fn run(&self, line: &str) -> Ran {
        self.run_with(line, Box::new(io::sink())).await
    }

    /// With a stdout of its own; what it takes is in the result as well.
    pub(crate) async fn run_with(&self, line: &str, stdout: Box<dyn io::Write + Send>) -> Ran {
        self.run_to(words(line).into_iter().map(Into::into).collect(), stdout).await
    }

    /// With arguments that a line of text cannot say.
    pub(crate) async fn run_args(&self, args: Vec<OsString>) -> Ran {
        self.run_to(args, Box::new(io::sink())).await
    }

    async fn run_to(&self, args: Vec<OsString>, stdout: Box<dyn io::Write + Send>) -> Ran {
        let shared = Written::default();
        let stderr = Written::default();
        let stdin: Box<dyn AsyncRead + Send + Unpin> = match self.stdin_is_terminal {
            // A terminal stays open when nobody types.
            true => Box::new(Typed { bytes: self.stdin.clone(), at: 0 }),
            false => Box::new(io::Cursor::new(self.stdin.clone())),
        };
        let interrupt = match self.interrupted {
            true => std::future::ready(()).boxed(),
            false => std::future::pending().boxed(),
        };
        let mut io = Io {
            stdout: Box::new(Tee { first: shared.clone(), second: stdout }),
            stderr: Box::new(stderr.clone()),
            stdin,
            stdin_is_terminal: self.stdin_is_terminal,
            stdout_is_terminal: false,
            stderr_is_terminal: self.stderr_is_terminal,
            env: self.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            program: Some("/usr/bin/gantry".into()),
            pid: 4711,
            now: Arc::new(|| NOW),
            // Not UTC, so that forgotten conversions show.
            time_zone: TimeZone::fixed(jiff::tz::offset(1)),
            terminal: Arc::new(CountingTerminal(self.raw.clone())),
            interrupt,
            start_logging: Arc::new(|_| {}),
        };
        let connect = Arc::new(ToFake(self.cluster.clone()));
        let code = run(args, &mut io, self.machine.clone(), connect).await;
        Ran { stdout: shared.text(), stderr: stderr.text(), code }
    }

    /// Runs command lines one after the other and compares all they print with one file.
    pub(crate) async fn check(&self, name: &str, lines: &[&str]) {
        let mut text = String::new();
        for line in lines {
            let ran = self.run(line).await;
            writeln!(text, "$ {line}").expect("a string");
            text.push_str(&ran.stdout);
            if !ran.stderr.is_empty() {
                writeln!(text, "--- stderr\n{}", ran.stderr.trim_end_matches('\n'))
                    .expect("a string");
            }
            writeln!(text, "--- exit {}\n", ran.code.0).expect("a string");
        }
        compare(name, &text);
    }
}

/// Writes twice; only the second can fail.
struct Tee {
    first: Written,
    second: Box<dyn io::Write + Send>,
}

impl io::Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_written = self.second.write(bytes)?;
        self.first.write(&bytes[..n_written])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.second.flush()
    }
}

/// What was typed, and then silence.
struct Typed {
    bytes: Vec<u8>,
    at: usize,
}

impl AsyncRead for Typed {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return std::task::Poll::Pending;
        }
        let n_read = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n_read]);
        self.at += n_read;
        std::task::Poll::Ready(Ok(()))
    }
}

/// Compares with `tests/out/NAME.out`, or writes it.
pub(crate) fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/out/{name}.out"));
    if std::env::var_os("GANTRY_BLESS").is_some() {
        std::fs::write(&path, text).expect("writable");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == text {
        return;
    }
    let at = expected.lines().zip(text.lines()).take_while(|(old, new)| old == new).count();
    panic!(
        "{name}: other output from line {}; GANTRY_BLESS=1 accepts it\nexpected: {:?}\nnow:      \
         {:?}\n\n{text}",
        at + 1,
        expected.lines().nth(at),
        text.lines().nth(at),
    );
}

/// Splits at blanks; single quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    words
}

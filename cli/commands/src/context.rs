//! What every command is given: streams, global options, the cluster, the machine.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_client::{Client, ClientError};
use gantry_model::opcodes::{OpCommon, OpRequest, Reason};
use gantry_model::query::Resource;
use serde_json::Value;

use crate::app::GlobalArgs;
use crate::error::CommandError;
use crate::io::Io;
use crate::machine::Machine;
use crate::options::OpOptions;

/// Where the state is when nobody says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/gantry";

/// Most characters of a status. More would wrap on a terminal of 80 columns, and what has wrapped
/// cannot be taken back.
const STATUS_CHARS_MAX: usize = 78;

/// Back to the first column, and clears the line from there (ECMA-48, EL).
const CLEAR_LINE: &str = "\r\x1b[K";

/// The variable that names the state directory.
pub const STATE_DIR_VARIABLE: &str = "GANTRY_STATE_DIR";

/// How to reach a cluster. Real commands find the daemon of a state directory; tests bring a
/// cluster of their own.
pub trait Connect: Send + Sync {
    /// Connects to the daemon of a state directory, or with its credentials to another node.
    fn connect(
        &self,
        state_dir: PathBuf,
        endpoint: Option<String>,
    ) -> BoxFuture<'_, Result<Client, ClientError>>;
}

/// Finds the daemon by its socket and the files in its state directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByStateDir;

impl Connect for ByStateDir {
    fn connect(
        &self,
        state_dir: PathBuf,
        endpoint: Option<String>,
    ) -> BoxFuture<'_, Result<Client, ClientError>> {
        Box::pin(async move { Client::discover(&state_dir, endpoint.as_deref()).await })
    }
}

/// What every command is given.
pub(crate) struct Context<'a> {
    /// Its surroundings.
    pub io: &'a mut Io,
    /// Options that every command has.
    pub(crate) globals: GlobalArgs,
    /// What acts on this machine.
    pub machine: Arc<dyn Machine>,
    connect: Arc<dyn Connect>,
    client: Option<Client>,
    /// Such as `instance` and `startup`; for the reason trail.
    noun: &'static str,
    verb: String,
    document: Option<Value>,
    /// Whether a status stands on the terminal, to be taken away before something else is written.
    status_is_shown: bool,
    /// Names that the user typed, to be compared with those that exist when one does not.
    typed: Option<(Resource, Vec<String>)>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        io: &'a mut Io,
        globals: GlobalArgs,
        machine: Arc<dyn Machine>,
        connect: Arc<dyn Connect>,
        (noun, verb): (&'static str, String),
    ) -> Self {
        Self {
            io,
            globals,
            machine,
            connect,
            client: None,
            noun,
            verb,
            document: None,
            status_is_shown: false,
            typed: None,
        }
    }

    /// The state directory: option, environment, default.
    #[must_use]
    pub(crate) fn state_dir(&self) -> PathBuf {
        let from_env = || self.io.var(STATE_DIR_VARIABLE).map(PathBuf::from);
        let given = self.globals.state_dir.clone().or_else(from_env);
        given.unwrap_or_else(|| DEFAULT_STATE_DIR.into())
    }

    /// The cluster; connected at the first call.
    ///
    /// # Errors
    /// When no daemon can be reached.
    pub(crate) async fn client(&mut self) -> Result<Client, CommandError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let endpoint = self.globals.endpoint.clone();
        let client = self.connect.connect(self.state_dir(), endpoint).await?;
        let (daemon, trace) = (client.describe(), client.trace());
        tracing::debug!(%trace, %daemon, noun = self.noun, verb = self.verb, "connected");
        Ok(self.client.insert(client).clone())
    }

    /// Noun and verb as Ganeti writes them in front of what a command says: `gnt-instance add`.
    #[must_use]
    pub(crate) fn command_name(&self) -> String {
        let Self { noun, verb, .. } = self;
        if verb == noun { format!("gantry {verb}") } else { format!("gnt-{noun} {verb}") }
    }

    /// The connection, if one was made.
    pub(crate) fn open_client(&self) -> Option<Client> {
        self.client.clone()
    }

    /// Remembers names that the user typed.
    pub(crate) fn typed(&mut self, resource: Resource, names: &[String]) {
        self.typed = Some((resource, names.to_vec()));
    }

    pub(crate) fn typed_names(&self) -> Option<(Resource, Vec<String>)> {
        self.typed.clone()
    }

    /// Who asks and why (O96, Q42).
    #[must_use]
    pub(crate) fn reason(&self) -> Vec<Reason> {
        let at_ns = (self.io.now)().0.saturating_mul(1000);
        let mut reason = Vec::new();
        if let Some(text) = &self.globals.reason {
            reason.push(Reason { source: "gnt:user".into(), text: text.clone(), at_ns });
        }
        let source = format!("gnt:client:gnt-{}", self.noun);
        reason.push(Reason { source, text: self.verb.clone(), at_ns });
        reason
    }

    /// An opcode with what its options say, and who asked for it.
    #[must_use]
    pub(crate) fn request(&self, op: impl Into<OpRequest>, options: &OpOptions) -> OpRequest {
        let common = OpCommon {
            dry_run: options.dry_run,
            priority: options.priority,
            reason: self.reason(),
            debug_level: self.globals.debug.into(),
            ..OpCommon::default()
        };
        OpRequest { common, ..op.into() }
    }

    /// Whether a document is wanted in place of text.
    #[must_use]
    pub(crate) fn json(&self) -> bool {
        self.globals.json
    }

    /// The result as a document. It is printed at the end, once.
    pub(crate) fn set_document(&mut self, document: Value) {
        self.document = Some(document);
    }

    pub(crate) fn take_document(&mut self) -> Option<Value> {
        self.document.take()
    }

    /// A line of the result; with `--json` it goes to stderr, because stdout is one document.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), CommandError> {
        if self.json() {
            return self.warn(line);
        }
        self.clear_status()?;
        writeln!(self.io.stdout, "{line}")?;
        self.io.stdout.flush()?;
        Ok(())
    }

    /// Lines of the result, written as they are.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), CommandError> {
        self.clear_status()?;
        self.io.stdout.write_all(text.as_bytes())?;
        self.io.stdout.flush()?;
        Ok(())
    }

    /// A line beside the result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn warn(&mut self, line: &str) -> Result<(), CommandError> {
        self.clear_status()?;
        writeln!(self.io.stderr, "{line}")?;
        Ok(())
    }

    /// Shows what goes on, on a terminal's last line, in place of what was shown there before. It
    /// is gone before anything else is written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn show_status(&mut self, text: &str) -> Result<(), CommandError> {
        let text: String = text.chars().take(STATUS_CHARS_MAX).collect();
        write!(self.io.stderr, "{CLEAR_LINE}{text}")?;
        self.io.stderr.flush()?;
        self.status_is_shown = true;
        Ok(())
    }

    /// Takes the status away.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn clear_status(&mut self) -> Result<(), CommandError> {
        if std::mem::take(&mut self.status_is_shown) {
            write!(self.io.stderr, "{CLEAR_LINE}")?;
            self.io.stderr.flush()?;
        }
        Ok(())
    }

    /// A question, without a line feed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn prompt(&mut self, text: &str) -> Result<(), CommandError> {
        self.clear_status()?;
        write!(self.io.stderr, "{text}")?;
        self.io.stderr.flush()?;
        Ok(())
    }
}

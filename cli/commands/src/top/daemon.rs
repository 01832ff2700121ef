//! `gantry daemon`

use std::net::SocketAddr;

use crate::context::Context;
use crate::error::CommandError;
use crate::machine::DaemonArgs;
use crate::parse::ParseError;

/// Run the daemon of this node in the foreground
///
/// It needs a state directory made by `gantry cluster init` or `gantry join`, writes there where it
/// listens, and ends at SIGTERM or Ctrl-C. Guests go on running.
///
/// Commands of root and of the daemon's own user on this machine need no certificate; nor do those
/// of the members of two groups, if these exist. The socket is socket/gantry.sock in the state
/// directory; FORCE_LUXI_SOCKET is not looked at.
///
/// Example: gantry daemon --state-dir /var/lib/gantry
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen here in place of the address that the cluster knows
    #[arg(long, value_name = "IP:PORT", value_parser = listen_argument)]
    listen: Option<SocketAddr>,
    /// Answer Prometheus at this address, which has to be of this machine alone, under /metrics
    #[arg(long, value_name = "IP:PORT", value_parser = listen_argument)]
    metrics: Option<SocketAddr>,
    /// Let members of this group do everything from this machine
    #[arg(long, value_name = "GROUP", default_value = "gantry-admin")]
    admin_group: String,
    /// Let members of this group look from this machine
    #[arg(long, value_name = "GROUP", default_value = "gantry-rdonly")]
    reader_group: String,
    /// Write the log in this form
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Write log lines of this level and above, in place of info
    ///
    /// GANTRY_LOG in the environment wins, where levels can be given for each part.
    #[arg(long, value_enum, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
}

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object in each line.
    Json,
}

/// The lowest level of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogLevel {
    /// A person must look.
    Error,
    /// It went on regardless.
    Warn,
    /// Something has changed.
    Info,
    /// What is done.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

fn listen_argument(text: &str) -> Result<SocketAddr, ParseError> {
    let expected = "IP:PORT, such as 192.0.2.1:1811 or [::]:1811";
    text.parse().map_err(|_| ParseError::new("address", text, expected))
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let args = DaemonArgs {
        state_dir: ctx.state_dir(),
        listen: args.listen,
        metrics: args.metrics,
        admin_group: args.admin_group,
        reader_group: args.reader_group,
        debug: ctx.globals.debug,
        log_json: args.log_format == LogFormat::Json,
        log_level: args.log_level.map(LogLevel::as_str),
    };
    let machine = ctx.machine.clone();
    Ok(machine.run_daemon(args).await?)
}

//! The commands as a library: [`run`] takes arguments and surroundings and gives an exit code.
//!
//! `gantry <noun> <verb>`, or by the name of a link `gnt-<noun> <verb>`, with Ganeti's options,
//! output and exit codes for what is there. One file per command: `<noun>/<verb>.rs` holds the
//! options (their comments are the help) and an async function. The binary is the caller; tests run
//! commands in process against a cluster of their own.
//!
//! Commands are clients. Deliberately absent: the runtime, the engine, and everything that acts on
//! this machine; that is asked of the [`machine::Machine`] that the binary passes in.

mod app;
mod arity;
mod cluster;
mod command_log;
mod confirm;
mod context;
mod debug;
mod error;
mod error_text;
mod exit_code;
mod full_names;
mod instance;
mod io;
mod job;
mod jobs;
mod listing;
pub mod machine;
mod node;
mod options;
pub mod output;
pub mod parse;
mod plain_params;
mod program;
mod records;
mod run;
mod suggest;
mod tags;
mod terminal;
mod top;
mod usage_list;

pub use app::{LINKS, command_of};
pub use context::{ByStateDir, Connect, DEFAULT_STATE_DIR, STATE_DIR_VARIABLE};
pub use exit_code::ExitCode;
pub use io::Io;
pub use program::{GANTRY, Program};
pub use run::run;
pub use terminal::{RealTerminal, Terminal};

//! The binary: surroundings in, exit code out. Everything else is in the libraries.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use gantry_commands::{ByStateDir, Io, run};
use gantry_daemon::LocalMachine;

fn main() -> ExitCode {
    // Commands do one thing at a time and a daemon has threads of its own: one thread here starts
    // fastest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return no_runtime(&error),
    };
    let code = runtime.block_on(async {
        let mut io = Io::real(Arc::new(log_at));
        run(std::env::args_os().collect(), &mut io, Arc::new(LocalMachine), Arc::new(ByStateDir))
            .await
    });
    // A thread that reads standard input cannot be waited for.
    runtime.shutdown_background();
    ExitCode::from(code.0)
}

/// Logs of a command: to standard error, at the level of its `--debug`.
fn log_at(debug: u8) {
    let level = if debug > 1 { "trace" } else { "debug" };
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(coloured);
    // Already set by whoever embeds the commands: theirs stays.
    drop(builder.with_env_filter(level).try_init());
}

#[expect(clippy::print_stderr, reason = "there are no surroundings yet to print with")]
fn no_runtime(error: &std::io::Error) -> ExitCode {
    eprintln!("gantry: cannot start its event loop: {error}");
    ExitCode::from(1)
}

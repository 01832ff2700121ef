//! The log of the daemon: the one place where `tracing-subscriber` is set up for it.

use tracing_subscriber::EnvFilter;

/// Writes the log to standard error, where the service manager keeps it: INFO and above unless
/// `debug` or `GANTRY_LOG` says otherwise (syntax of tracing's `EnvFilter`). Called again, it does
/// nothing.
pub(crate) fn init(json: bool, debug: u8) {
    let usual = match debug {
        0 => "info,openraft=error",
        1 => "debug,openraft=warn",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("GANTRY_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Said with eprintln!, which panics when standard error takes nothing: a full disk under
        // the log file would take the threads of a daemon that could go on.
        .log_internal_errors(false)
        .with_target(false);
    // An embedder may have set up its own; that one stays.
    let _already_set =
        if json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
}

//! The log of the daemon: the one place where `tracing-subscriber` is set up for it.

use tracing_subscriber::EnvFilter;

/// Writes the log to standard error, where the service manager keeps it: INFO and above unless
/// `level`, `debug` or `GANTRY_LOG` says otherwise (syntax of tracing's `EnvFilter`). Called again,
/// it does nothing.
pub(crate) fn init(json: bool, level: Option<&str>, debug: u8) {
    // What consensus says of itself at these levels is nothing for operators.
    let usual = match (level, debug) {
        (Some("debug"), _) | (None, 1) => "debug,openraft=warn".to_owned(),
        (Some("info"), _) | (None, 0) => "info,openraft=error".to_owned(),
        (Some(level), _) => level.to_owned(),
        (None, _) => "trace".to_owned(),
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

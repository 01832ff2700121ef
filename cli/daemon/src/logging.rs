//! The log of the daemon: the one place where `tracing-subscriber` is set up for it.
//!
//! Where standard error is the journal of systemd, each line begins with its priority, in the form
//! of sd-daemon(3), which the journal takes off, and has no time of its own: so
//! `journalctl -p warning` finds what it should, and no line has two times.

use std::fmt;
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter, SubscriberBuilder};
use tracing_subscriber::registry::LookupSpan;

/// Set by systemd for what writes to the journal: device and inode of the stream.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

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
    let journal = std::env::var(JOURNAL_VARIABLE).ok();
    let is_journal = journal.is_some_and(|named| is_stream(&named, std::io::stderr()));
    // An embedder may have set up its own; that one stays.
    let _already_set = match (json, is_journal) {
        (true, true) => builder.json().map_event_format(Prioritised).try_init(),
        (true, false) => builder.json().try_init(),
        (false, true) => for_journal(builder).try_init(),
        (false, false) => builder.with_ansi(false).try_init(),
    };
}

/// As lines of the journal.
fn for_journal<F, W>(
    builder: SubscriberBuilder<format::DefaultFields, format::Format, F, W>,
) -> SubscriberBuilder<format::DefaultFields, Prioritised<format::Format<format::Full, ()>>, F, W>
where
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    builder.with_ansi(false).without_time().map_event_format(Prioritised)
}

/// Whether a file is the one that `DEVICE:INODE` names: a program whose standard error was put
/// elsewhere inherits the variable all the same.
fn is_stream(named: &str, file: impl AsFd) -> bool {
    let Ok(stat) = nix::sys::stat::fstat(file) else { return false };
    named == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// A format whose lines begin with their priority.
struct Prioritised<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prioritised<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(ctx, writer, event)
    }
}

/// The number of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Journal(Arc<Mutex<Vec<u8>>>);

    impl Write for Journal {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_line_of_the_journal_begins_with_its_priority_and_has_no_time() {
        let journal = Journal::default();
        let writer = journal.clone();
        let builder = tracing_subscriber::fmt()
            .with_target(false)
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(for_journal(builder).finish(), || {
            tracing::error!("the disk is gone");
            tracing::warn!(n = 1, "went on");
            tracing::info!("node is up");
            tracing::debug!("a turn");
        });
        let text = journal.0.lock().expect("not poisoned").clone();
        let text = String::from_utf8(text).expect("text");
        let expected = "<3>ERROR the disk is gone\n<4> WARN went on n=1\n\
                        <6> INFO node is up\n<7>DEBUG a turn\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_stream_is_the_journal_only_if_it_is_the_very_one() {
        let file = tempfile::tempfile().expect("a file");
        let about = file.metadata().expect("known");
        let named = format!("{}:{}", about.dev(), about.ino());
        assert!(is_stream(&named, &file));
        let other = tempfile::tempfile().expect("a file");
        assert!(!is_stream(&named, &other));
        assert!(!is_stream("", &file));
    }
}

//! The connections of all bulk transfers of one link, so that the link's own life reaches them: its
//! end, and the credentials that it gets while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::close_code::CloseCode;
use super::tls::Tls;

/// The connection of one transfer, as the link and the two halves of the transfer know it.
pub(super) struct Line {
    pub(super) connection: quinn::Connection,
    /// What the handshake was done with.
    pub(super) tls: Arc<Tls>,
    /// Why this end has closed it, where the transfer itself did not.
    ended: OnceLock<String>,
}

impl Line {
    pub(super) fn new(connection: quinn::Connection, tls: Arc<Tls>) -> Arc<Self> {
        Arc::new(Self { connection, tls, ended: OnceLock::new() })
    }

    /// Closes it under the transfer's feet. `words` are what the other end reads, `reason` what
    /// whoever reads or writes here is told.
    pub(super) fn end(&self, code: CloseCode, words: &str, reason: &str) {
        self.ended.get_or_init(|| reason.to_owned());
        self.connection.close(code.number(), words.as_bytes());
    }

    /// Why this end has closed it, if it did.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }
}

/// Those that have begun and are not over.
#[derive(Default)]
pub(super) struct Transfers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    lines: BTreeMap<u64, Arc<Line>>,
}

impl Transfers {
    /// Keeps one until it is forgotten under the number that this gives.
    pub(super) fn keep(&self, line: Arc<Line>) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let id = kept.last;
        kept.lines.insert(id, line);
        id
    }

    pub(super) fn forget(&self, id: u64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(kept.lines.remove(&id));
    }

    pub(super) fn all(&self) -> Vec<Arc<Line>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.values().cloned().collect()
    }

    /// Whoever reads or writes one hears that it was cut.
    pub(super) fn close(&self, reason: &str) {
        self.all().iter().for_each(|line| line.end(CloseCode::BulkGivenUp, reason, reason));
    }
}

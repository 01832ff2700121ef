//! Bulk data: byte streams beside the messages, so that a disk image delays no lock.
//!
//! Each transfer has a connection of its own, and so its own flow control. Whoever opens it names a
//! kind and gives a header; the receiver has an [`BulkAcceptor`] per kind, which says what role may
//! open it. What a link sends as bulk data is held to a [`BulkRate`]. Deliberately absent: resuming
//! (who opens again says in the header from where), and any meaning of the bytes.

mod rate;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use gantry_wire::{Access, WireName};

pub(crate) use rate::RateLimiter;
pub use rate::{BULK_RATE_DEFAULT, BulkRate, BulkRateError};
pub use stream::{BulkReader, BulkStream, BulkWriter};
pub(crate) use stream::{BulkSink, BulkSource};

use crate::contract::Peer;
use crate::limits::BULK_HEADER_BYTES_MAX;

/// The name under which ends that can do this say so in their hellos.
pub const BULK_FEATURE: &str = "bulk-1";

/// What a transfer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkOpen {
    /// Which acceptor is meant.
    pub kind: WireName,
    /// What the acceptor is told, encoded.
    pub header: Bytes,
}

/// Why a receiver does not take a transfer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum BulkRefusal {
    /// Nobody there takes that kind.
    #[error("it takes no bulk data of kind {kind}")]
    UnknownKind {
        /// The kind.
        kind: String,
    },
    /// The opener's role may not.
    #[error("role {role} may not open bulk data of kind {kind}")]
    Forbidden {
        /// The role in the opener's certificate.
        role: String,
        /// The kind.
        kind: String,
    },
    /// As many as may be are open there.
    #[error("it has {open} transfers open, which is its limit")]
    Busy {
        /// How many.
        open: usize,
    },
    /// The acceptor does not want this one.
    #[error("{reason}")]
    Declined {
        /// Its words.
        reason: String,
    },
}

/// Why a transfer was not opened, or ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// The receiver was not reached; nothing was opened.
    #[error("cannot reach node {node} for bulk data: {reason}")]
    Unreachable {
        /// The node meant.
        node: String,
        /// What the link said.
        reason: String,
    },
    /// The receiver was reached and refused.
    #[error("node {node} refused bulk data")]
    Refused {
        /// The node meant.
        node: String,
        /// Why.
        #[source]
        why: BulkRefusal,
    },
    /// The header is larger than headers may be.
    #[error("header of {bytes} bytes exceeds the limit of {BULK_HEADER_BYTES_MAX}")]
    HeaderTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The connection was lost, or the other end gave the transfer up. Of what was written last it
    /// is not known whether it arrived.
    #[error("the transfer was cut: {reason}")]
    Cut {
        /// What ended it.
        reason: String,
    },
    /// Nothing moved for too long.
    #[error("nothing moved for {ms} ms")]
    Idle {
        /// The limit.
        ms: u64,
    },
    /// The stream was finished before.
    #[error("the stream is finished")]
    Finished,
}

/// Takes transfers of one kind.
pub trait BulkAcceptor: Send + Sync + 'static {
    /// Who may open them: checked before [`BulkAcceptor::accept`] is called.
    fn access(&self) -> Access;

    /// Whether a transfer with that header is taken. Called on the network thread, before there is
    /// a stream: it decides from memory.
    ///
    /// # Errors
    /// With the words that the opener will read.
    fn check(&self, from: &Peer, header: &Bytes) -> Result<(), String>;

    /// Takes a transfer that was found good. Called on the network thread: it hands the stream on
    /// and returns.
    fn accept(&self, from: &Peer, header: Bytes, stream: BulkStream);
}

/// The acceptors of one link, by kind.
#[derive(Clone, Default)]
pub(crate) struct Acceptors(Arc<RwLock<BTreeMap<String, Arc<dyn BulkAcceptor>>>>);

impl Acceptors {
    pub(crate) fn set(&self, kind: &str, acceptor: Arc<dyn BulkAcceptor>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(kind.to_owned(), acceptor);
    }

    /// The one place where the right to open a transfer is checked.
    pub(crate) fn admit(
        &self,
        from: &Peer,
        open: &BulkOpen,
    ) -> Result<Arc<dyn BulkAcceptor>, BulkRefusal> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let kind = || open.kind.to_string();
        let acceptor =
            all.get(open.kind.as_str()).ok_or_else(|| BulkRefusal::UnknownKind { kind: kind() })?;
        if !from.role.may(acceptor.access()) {
            return Err(BulkRefusal::Forbidden { role: from.role.to_string(), kind: kind() });
        }
        acceptor.check(from, &open.header).map_err(|reason| BulkRefusal::Declined { reason })?;
        Ok(acceptor.clone())
    }
}

/// Whether a header may travel.
pub(crate) fn check_header(open: &BulkOpen) -> Result<(), BulkError> {
    match open.header.len() {
        bytes if bytes > BULK_HEADER_BYTES_MAX => Err(BulkError::HeaderTooLarge { bytes }),
        _ => Ok(()),
    }
}

//! Other credentials for a running link, and what they mean for connections made before.
//!
//! One policy for messages and bulk data: a connection goes on as long as each end would still be
//! let in with what it has shown. A connection whose handshake began before a renewal and ends
//! after it is judged when it ends, so that none slips through between the two.

use std::sync::Arc;
use std::time::Duration;

use quinn::Connection;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::close_code::CloseCode;
use super::hub::Hub;
use super::link::{LinkIdentity, QuicLink};
use super::tls::{Tls, TlsError, accepts};

/// Why a connection made before a renewal has to end.
#[derive(Clone, Copy)]
enum Ended {
    /// What this end has shown is not believed any more.
    Ours,
    /// What the other end has shown is not.
    Theirs,
}

impl Ended {
    /// As the other end reads it.
    fn words(self) -> &'static str {
        match self {
            Self::Ours => "made with a certificate that is not accepted any more",
            Self::Theirs => "your certificate is not accepted any more",
        }
    }

    /// As this end says it.
    fn reason(self) -> &'static str {
        match self {
            Self::Ours => "it was made with a certificate of ours that is not accepted any more",
            Self::Theirs => "the other end's certificate is not accepted any more",
        }
    }
}

impl QuicLink {
    /// Uses another certificate and other authorities from now on. Connections whose peer is not
    /// accepted by them in full are closed, those of bulk transfers too, and all that were made
    /// with a certificate of this end that they do not accept; the others go on. Role and id must
    /// stay the same.
    ///
    /// # Errors
    /// When the identity cannot be used; everything stays as it was then.
    pub fn renew(&self, identity: &LinkIdentity, now_unix_s: u64) -> Result<(), TlsError> {
        let hub = self.hub();
        if identity.node_id(hub.boot) != hub.node && hub.cluster.is_some() {
            let reason = "a running link cannot become somebody else".to_owned();
            return Err(TlsError::Authorities { reason });
        }
        let tls = Arc::new(Tls::new(identity)?);
        hub.replace_tls(tls.clone());
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_unix_s));
        for session in hub.all_cells().iter().filter_map(|cell| cell.session()) {
            if let Some(ended) = judge(&session.connection, &session.tls, &tls, now) {
                let reason = ended.reason();
                tracing::info!(peer = %session.peer.node, reason, "connection ended by renewal");
                let words = ended.words().as_bytes();
                session.connection.close(CloseCode::Untrusted.number(), words);
            }
        }
        for line in hub.transfers.all() {
            if let Some(ended) = judge(&line.connection, &line.tls, &tls, now) {
                let (addr, reason) = (line.connection.remote_address(), ended.reason());
                tracing::info!(%addr, reason, "bulk transfer ended by renewal");
                line.end(CloseCode::Untrusted, ended.words(), reason);
            }
        }
        Ok(())
    }
}

impl Hub {
    /// Judges a connection whose handshake was done with `made_with`, and which the next renewal
    /// will see: whether one has gone by meanwhile that would have ended it. Gives the words for
    /// the other end.
    pub(super) fn outdated(
        &self,
        connection: &Connection,
        made_with: &Arc<Tls>,
    ) -> Option<&'static str> {
        let tls = self.tls();
        if Arc::ptr_eq(&tls, made_with) {
            return None;
        }
        // The clock of the handshake itself.
        judge(connection, made_with, &tls, UnixTime::now()).map(Ended::words)
    }
}

/// Whether a connection made with `made_with` has to end under `tls`.
fn judge(connection: &Connection, made_with: &Tls, tls: &Tls, now: UnixTime) -> Option<Ended> {
    let trust = tls.trust()?;
    if accepts(trust, made_with.own_chain(), now).is_err() {
        return Some(Ended::Ours);
    }
    // A joiner shows none and is not trusted anyway.
    let chain = chain_of(connection)?;
    accepts(trust, &chain, now).is_err().then_some(Ended::Theirs)
}

/// What the other end has shown.
pub(super) fn chain_of(connection: &Connection) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Box<Vec<_>> = connection.peer_identity()?.downcast().ok()?;
    Some(*chain)
}

//! Bulk data for actors: typed headers over the link's byte streams.
//!
//! An actor opens a transfer with [`Bulk::open`] and moves bytes in a future tied to it; whoever
//! takes a kind registers once with [`Bulk::accept`] and hands each stream to an actor. What the
//! streams are and what limits them is said in `gantry_link`. Deliberately absent: mailboxes; no
//! byte of a transfer passes one.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use gantry_link::{
    BulkAcceptor, BulkError, BulkOpen, BulkRate, BulkRefusal, BulkStream, Link, Peer,
};
use gantry_wire::{Access, ErrorChain, NodeId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::System;

/// A kind of bulk data.
pub trait BulkKind: Send + Sync + 'static {
    /// Its name on the wire. Never changes once released.
    const KIND: &'static str;
    /// Who may open such a transfer.
    const ACCESS: Access;
    /// What the receiver is told first.
    type Header: Serialize + DeserializeOwned + Send + 'static;
}

/// The bulk data of one system. Made by [`System::bulk`].
#[derive(Clone, Debug)]
pub struct Bulk {
    system: System,
}

impl System {
    /// Bulk data to and from other nodes.
    #[must_use]
    pub fn bulk(&self) -> Bulk {
        Bulk { system: self.clone() }
    }
}

impl Bulk {
    fn link(&self, node: &str) -> Result<Arc<dyn Link>, BulkError> {
        self.system.link().ok_or_else(|| BulkError::Unreachable {
            node: node.to_owned(),
            reason: "this system has no link".to_owned(),
        })
    }

    /// Opens a transfer to a node. It ends when both halves are dropped.
    ///
    /// # Errors
    /// When the node is not reached, refuses, or the header cannot be sent.
    pub async fn open<K: BulkKind>(
        &self,
        node: NodeId,
        header: &K::Header,
    ) -> Result<BulkStream, BulkError> {
        let link = self.link(&node.to_string())?;
        let header = gantry_wire::encode(header).map_err(|error| BulkError::Unreachable {
            node: node.to_string(),
            reason: format!("the header cannot be encoded: {error}"),
        })?;
        link.open_bulk(node, BulkOpen { kind: K::KIND.into(), header: header.into() }).await
    }

    /// Takes transfers of a kind from now on. `check` decides from the header alone, with the words
    /// that the opener will read; `take` hands a good one on. Both run on the network thread and
    /// return at once.
    ///
    /// # Errors
    /// When the system has no link yet.
    pub fn accept<K: BulkKind>(
        &self,
        check: impl Fn(&Peer, &K::Header) -> Result<(), String> + Send + Sync + 'static,
        take: impl Fn(&Peer, K::Header, BulkStream) + Send + Sync + 'static,
    ) -> Result<(), BulkError> {
        let link = self.link("this one")?;
        let acceptor = Typed::<K, _, _> { check, take, kind: PhantomData };
        link.accept_bulk(K::KIND, Arc::new(acceptor));
        Ok(())
    }

    /// How fast all transfers together may send from here.
    ///
    /// # Errors
    /// When the system has no link yet.
    pub fn set_rate(&self, rate: BulkRate) -> Result<(), BulkError> {
        self.link("this one")?.set_bulk_rate(rate);
        Ok(())
    }
}

struct Typed<K, C, T> {
    check: C,
    take: T,
    kind: PhantomData<fn(K)>,
}

fn decoded<K: BulkKind>(header: &[u8]) -> Result<K::Header, String> {
    gantry_wire::decode(header)
        .map_err(|error| format!("its header was not understood: {}", ErrorChain(&error)))
}

impl<K, C, T> BulkAcceptor for Typed<K, C, T>
where
    K: BulkKind,
    C: Fn(&Peer, &K::Header) -> Result<(), String> + Send + Sync + 'static,
    T: Fn(&Peer, K::Header, BulkStream) + Send + Sync + 'static,
{
    fn access(&self) -> Access {
        K::ACCESS
    }

    fn check(&self, from: &Peer, header: &Bytes) -> Result<(), String> {
        (self.check)(from, &decoded::<K>(header)?)
    }

    fn accept(&self, from: &Peer, header: Bytes, stream: BulkStream) {
        match decoded::<K>(&header) {
            Ok(header) => (self.take)(from, header, stream),
            Err(why) => {
                let why = BulkRefusal::Declined { reason: why };
                tracing::warn!(peer = %from.node, kind = K::KIND, %why, "bulk data given up");
            }
        }
    }
}

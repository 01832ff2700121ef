//! QUIC links of one cluster on loopback.

pub(crate) mod raw;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_link::conformance::Rig;
use gantry_link::identity::{CertificateAuthority, ClusterUuid, Credentials, EndpointKeys};
use gantry_link::quic::{LinkIdentity, PEER_SILENCE, QuicConfig, QuicLink};
use gantry_link::{Inbound, Link};
use gantry_wire::{BootId, NodeId, Role};
use uuid::Uuid;

/// Kinds whose messages take the control lane in these tests.
pub(crate) const CONTROL_KINDS: [&str; 1] = ["locks"];

pub(crate) fn now_unix_s() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "certificates are checked against this clock")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) fn new_boot() -> BootId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    BootId(Uuid::from_u128(0xb007_0000 + u128::from(LAST.fetch_add(1, Ordering::Relaxed))))
}

/// A cluster whose nodes keep id, address, certificate and keys over restarts.
pub(crate) struct QuicRig {
    pub(crate) authority: CertificateAuthority,
    places: Mutex<BTreeMap<usize, Place>>,
}

struct Place {
    credentials: Credentials,
    keys: EndpointKeys,
    port: u16,
    link: Option<Arc<QuicLink>>,
}

impl QuicRig {
    pub(crate) fn new() -> Self {
        let cluster = ClusterUuid(Uuid::from_u128(0xc1));
        let authority = CertificateAuthority::create(cluster, now_unix_s()).expect("authority");
        Self { authority, places: Mutex::new(BTreeMap::new()) }
    }

    pub(crate) fn issue(&self, role: Role, id: NodeId) -> Credentials {
        self.authority.issue_new(role, id.0, now_unix_s()).expect("issues")
    }

    pub(crate) fn node_id(n: usize) -> NodeId {
        NodeId(Uuid::from_u128(0x1000 + n as u128))
    }

    pub(crate) fn config(&self, credentials: Credentials, inbound: Arc<dyn Inbound>) -> QuicConfig {
        QuicConfig {
            bind: loopback(0),
            identity: LinkIdentity::certified(credentials),
            boot: new_boot(),
            keys: EndpointKeys::generate().expect("keys"),
            control_kinds: CONTROL_KINDS.map(str::to_owned).to_vec(),
            inbound,
            runtime: None,
        }
    }

    pub(crate) fn start_node(&self, n: usize, inbound: Arc<dyn Inbound>) -> Arc<QuicLink> {
        let mut places = self.places.lock().expect("lock");
        let place = places.entry(n).or_insert_with(|| Place {
            credentials: self.issue(Role::Node, Self::node_id(n)),
            keys: EndpointKeys::generate().expect("keys"),
            port: 0,
            link: None,
        });
        let mut config = self.config(place.credentials.clone(), inbound);
        config.bind = loopback(place.port);
        config.keys = place.keys.clone();
        let link = Arc::new(QuicLink::start(config).expect("starts"));
        place.port = link.local_addr().port();
        place.link = Some(link.clone());
        link
    }
}

impl Rig for QuicRig {
    fn start(&self, node: usize, inbound: Arc<dyn Inbound>) -> BoxFuture<'_, Arc<dyn Link>> {
        let link: Arc<dyn Link> = self.start_node(node, inbound);
        std::future::ready(link).boxed()
    }

    fn crash(&self, node: usize) -> BoxFuture<'_, ()> {
        let link = self.places.lock().expect("lock").get_mut(&node).and_then(|p| p.link.take());
        async move { link.expect("it runs").abort().await }.boxed()
    }

    fn id(&self, node: usize) -> NodeId {
        Self::node_id(node)
    }

    fn addr(&self, node: usize) -> SocketAddr {
        loopback(self.places.lock().expect("lock")[&node].port)
    }

    fn dead_addr(&self) -> SocketAddr {
        loopback(9)
    }

    fn silence(&self) -> Duration {
        PEER_SILENCE
    }
}

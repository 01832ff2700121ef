//! What the nodes of the fake cluster say of their inside.

use bytes::Bytes;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::{FlightRow, LinkCounts, LinkRow, LinkTable, QueryFlight};
use gantry_model::units::Timestamp;
use gantry_wire::AskError;

use crate::fake_cluster::reply;
use crate::harness::NOW;

/// Two turns of an actor, which is the only one.
pub(crate) fn flight(asked: &QueryFlight) -> Result<Bytes, AskError> {
    if let Some(path) = asked.path.as_ref().filter(|path| *path != "/cluster") {
        let text = format!("no actor lives at {path} on this node");
        return reply::<QueryFlight>(&Err(Fault::new(FaultCode::UnknownEntity, text)));
    }
    let row = |message: &str, before_us, took_ns| FlightRow {
        at: Timestamp(NOW.0 - before_us),
        path: "/cluster".to_owned(),
        message: message.to_owned(),
        took_ns,
    };
    let rows = vec![row("cluster.query-table", 1_500, 41_200), row("timer", 700_000, 0)];
    reply::<QueryFlight>(&Ok(rows.into_iter().take(asked.limit as usize).collect()))
}

/// A node and a command, and one of which nothing is counted.
pub(crate) fn links() -> LinkTable {
    let row = |peer: &str, role: &str, counts| LinkRow {
        peer: peer.to_owned(),
        role: role.to_owned(),
        address: "192.0.2.2:1811".to_owned(),
        version: 2,
        counts,
    };
    let counts = LinkCounts {
        since: Timestamp(NOW.0 - 3_600_000_000),
        rtt_us: 212,
        sent_bytes: 1_048_576,
        received_bytes: 65_536,
        lost_packets: 1,
        streams: 2,
    };
    LinkTable {
        now: NOW,
        rows: vec![
            row("00000000-0000-0000-0000-0000000000a2", "candidate", Some(counts)),
            row("00000000-0000-0000-0000-0000000000e9", "reader", None),
        ],
    }
}

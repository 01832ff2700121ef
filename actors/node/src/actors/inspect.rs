//! What people ask a node about its inside. Nothing of it decides anything.

use std::time::Duration;

use gantry_link::PeerTraffic;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::{
    FLIGHT_ROWS_MAX, FlightRow, LinkCounts, LinkRow, LinkTable, QueryFlight, QueryLinks,
};
use gantry_model::units::Timestamp;
use gantry_runtime::{Context, Handler, Reply, System};
use gantry_wire::ActorPath;
use tokio::time::Instant;

use super::NodeActor;

fn in_us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The wall's clock at a moment; people know no other.
struct WallClock {
    now: Instant,
    wall: Duration,
}

impl WallClock {
    fn of(system: &System) -> Self {
        let clock = system.platform().clock();
        Self { now: clock.now(), wall: clock.wall() }
    }

    fn at(&self, moment: Instant) -> Timestamp {
        Timestamp(in_us(self.wall.saturating_sub(self.now.saturating_duration_since(moment))))
    }
}

impl Handler<QueryFlight> for NodeActor {
    fn handle(
        &mut self,
        message: QueryFlight,
        reply: Reply<Result<Vec<FlightRow>, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        reply.send(flight(ctx.system(), &message));
    }
}

fn flight(system: &System, asked: &QueryFlight) -> Result<Vec<FlightRow>, Fault> {
    let refuse = |code, text: String| Err(Fault::new(code, text));
    let paths = match &asked.path {
        None => system.actors().into_iter().map(|info| info.path).collect(),
        Some(text) => match ActorPath::new(text) {
            Ok(path) => vec![path],
            Err(error) => return refuse(FaultCode::WrongInput, format!("path {text:?}: {error}")),
        },
    };
    let (clock, epoch) = (WallClock::of(system), system.started_at());
    let mut rows = Vec::new();
    for path in paths {
        let Some(records) = system.flight(&path) else {
            if asked.path.is_some() {
                let text = format!("no actor lives at {path} on this node");
                return refuse(FaultCode::UnknownEntity, text);
            }
            // It has ended since.
            continue;
        };
        rows.extend(records.iter().map(|record| FlightRow {
            at: clock.at(epoch + record.at),
            path: path.to_string(),
            message: record.name.to_owned(),
            took_ns: u64::try_from(record.took.as_nanos()).unwrap_or(u64::MAX),
        }));
    }
    // Stable, so that turns of one microsecond stay in the order of their actor.
    rows.reverse();
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    rows.truncate(asked.limit.min(FLIGHT_ROWS_MAX) as usize);
    Ok(rows)
}

impl Handler<QueryLinks> for NodeActor {
    fn handle(
        &mut self,
        _: QueryLinks,
        reply: Reply<Result<LinkTable, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let clock = WallClock::of(ctx.system());
        let links = ctx.system().link().map(|link| link.traffic()).unwrap_or_default();
        let mut rows: Vec<LinkRow> = links.iter().map(|link| row(link, &clock)).collect();
        rows.sort_by(|one, other| one.peer.cmp(&other.peer));
        reply.send(Ok(LinkTable { now: clock.at(clock.now), rows }));
    }
}

fn row(traffic: &PeerTraffic, clock: &WallClock) -> LinkRow {
    let PeerTraffic { peer, counts } = traffic;
    LinkRow {
        peer: peer.node.to_string(),
        role: peer.role.to_string(),
        address: peer.addr.to_string(),
        version: peer.version,
        counts: counts.map(|counts| LinkCounts {
            since: clock.at(counts.since),
            rtt_us: in_us(counts.rtt),
            sent_bytes: counts.sent_bytes,
            received_bytes: counts.received_bytes,
            lost_packets: counts.lost_packets,
            streams: counts.streams,
        }),
    }
}

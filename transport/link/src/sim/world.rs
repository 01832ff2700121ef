//! The simulated network as a state machine in virtual time.
//!
//! Everything that will happen stands in one agenda, ordered by time and then by when it was
//! entered; the driver only waits for its head. A connection has two sides that come up and go down
//! by themselves, as in QUIC: each learns of the other's end by a packet or by silence, never at
//! once. Calls into processes are returned as [`Call`]s, to be made outside the lock.

mod lifecycle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gantry_wire::{AskError, BootId, Envelope, FRAME_BYTES_MAX, NodeId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SimConfig;
use super::dice::Dice;
use super::end::End;
use super::trace::{Trace, TraceEvent, TraceKind};
use crate::asking::{AskResult, remaining_ms};
use crate::contract::{Certainty, Inbound, Peer};
use crate::frame::Lane;
use crate::limits::FRAME_OVERHEAD_BYTES_MAX;

/// Most times that one packet is lost in a row; QUIC would give the connection up by silence first.
const LOSSES_IN_A_ROW_MAX: u32 = 8;

/// Two nodes, the smaller id first; sides of a connection are numbered alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Between([NodeId; 2]);

impl Between {
    pub(super) fn new(a: NodeId, b: NodeId) -> Self {
        Self(if a <= b { [a, b] } else { [b, a] })
    }

    fn side(self, node: NodeId) -> usize {
        usize::from(self.0[0] != node)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Its hello is under way.
    Coming,
    Up,
    Down,
}

struct Connection {
    id: u64,
    boots: [BootId; 2],
    sides: [Side; 2],
    /// When the newest thing sent from a side, per lane, arrives: nothing overtakes it.
    arrivals: [[Instant; 2]; 2],
    /// What waits for the end of a partition, in order.
    stalled: Vec<Flight>,
}

/// Something on its way along a connection.
struct Flight {
    between: Between,
    connection: u64,
    from: usize,
    lane: Lane,
    load: Load,
}

enum Load {
    Tell(Envelope),
    Ask(u64, Envelope),
    Reply(u64, AskResult),
    Close(Farewell),
}

/// Why a side closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    Goodbye,
    Forgotten,
}

enum Entry {
    Dial { from: NodeId, boot: BootId, to: NodeId },
    Accept { from: NodeId, from_boot: BootId, to: NodeId, to_boot: BootId },
    Connected { between: Between, connection: u64, side: usize },
    Arrive(Flight),
    Lost { between: Between, connection: u64, side: usize, why: Why },
}

/// Why a side gives a connection up by itself.
#[derive(Clone, Copy)]
enum Why {
    /// Nothing came through this partition for too long.
    Cut { number: u64 },
    /// Nothing came from a dead process for too long.
    Dead,
    /// The other end answered that it knows no such connection.
    Reset,
}

/// A call into a process.
pub(super) enum Call {
    Tell { inbound: Arc<dyn Inbound>, from: Peer, envelope: Envelope },
    Ask { inbound: Arc<dyn Inbound>, from: Peer, envelope: Envelope, back: Back },
}

/// The way back of a reply.
pub(super) struct Back {
    between: Between,
    connection: u64,
    side: usize,
    lane: Lane,
    id: u64,
    /// The life of the process that answers.
    pub(super) life: CancellationToken,
}

pub(super) struct World {
    config: SimConfig,
    dice: Dice,
    start: Instant,
    agenda: BTreeMap<(Instant, u64), Entry>,
    last_entry: u64,
    pub(super) ends: BTreeMap<NodeId, End>,
    addrs: BTreeMap<NodeId, SocketAddr>,
    /// The last picture of each node: what it sent may arrive after its death.
    pictures: BTreeMap<NodeId, Peer>,
    connections: BTreeMap<Between, Connection>,
    last_connection: u64,
    /// Each partition has its own number.
    cuts: BTreeMap<Between, u64>,
    isolated: BTreeSet<NodeId>,
    last_cut: u64,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, config: SimConfig, now: Instant) -> Self {
        Self {
            config,
            dice: Dice::new(seed),
            start: now,
            agenda: BTreeMap::new(),
            last_entry: 0,
            ends: BTreeMap::new(),
            addrs: BTreeMap::new(),
            pictures: BTreeMap::new(),
            connections: BTreeMap::new(),
            last_connection: 0,
            cuts: BTreeMap::new(),
            isolated: BTreeSet::new(),
            last_cut: 0,
            trace: Trace::default(),
        }
    }

    pub(super) fn config(&self) -> &SimConfig {
        &self.config
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<Instant> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does the next thing if its time has come. `None`: nothing is due.
    pub(super) fn step(&mut self, now: Instant) -> Option<Option<Call>> {
        if self.next()? > now {
            return None;
        }
        let (_, entry) = self.agenda.pop_first()?;
        match entry {
            Entry::Dial { from, boot, to } => self.dial(from, boot, to, now),
            Entry::Accept { from, from_boot, to, to_boot } => {
                self.accept(from, from_boot, to, to_boot, now);
            }
            Entry::Connected { between, connection, side } => {
                self.connected(between, connection, side, now);
            }
            Entry::Arrive(flight) => return Some(self.arrive(flight, now)),
            Entry::Lost { between, connection, side, why } => {
                self.lost(between, connection, side, why, now);
            }
        }
        Some(None)
    }

    fn enter(&mut self, at: Instant, entry: Entry) {
        self.last_entry += 1;
        self.agenda.insert((at, self.last_entry), entry);
    }

    fn note(&mut self, now: Instant, from: NodeId, to: NodeId, kind: TraceKind) {
        self.note_message(now, from, to, kind, "", 0);
    }

    fn note_message(
        &mut self,
        now: Instant,
        from: NodeId,
        to: NodeId,
        kind: TraceKind,
        message: &str,
        bytes: usize,
    ) {
        let at = now.saturating_duration_since(self.start);
        self.trace.add(TraceEvent { at, from, to, kind, message: message.to_owned(), bytes });
    }

    pub(super) fn latency(&mut self) -> Duration {
        self.dice.between(self.config.latency_min, self.config.latency_max)
    }

    /// When a keep-alive would have shown that the other end does not answer.
    fn keep_alive(&mut self) -> Duration {
        self.dice.between(Duration::ZERO, self.config.silence / 5)
    }

    fn cut_number(&self, between: Between) -> Option<u64> {
        let isolated = between.0.iter().any(|node| self.isolated.contains(node));
        self.cuts.get(&between).copied().or_else(|| isolated.then_some(0))
    }

    pub(super) fn is_cut(&self, between: Between) -> bool {
        self.cut_number(between).is_some()
    }

    // ---- processes ------------------------------------------------------------------------

    /// The address of a node: the same for ever.
    pub(super) fn addr(&mut self, node: NodeId) -> SocketAddr {
        let n = u16::try_from(self.addrs.len()).expect("fewer than 65536 simulated nodes");
        let [high, low] = n.to_be_bytes();
        *self.addrs.entry(node).or_insert(SocketAddr::from(([10, 0, high, low], 1811)))
    }

    pub(super) fn start(&mut self, end: End, now: Instant) {
        let node = end.node;
        self.crash(node, now);
        self.note(now, node, node, TraceKind::Started);
        self.pictures.insert(node, end.as_peer());
        self.ends.insert(node, end);
        // Peers that still believe in the boot before learn at their next keep-alive.
        for (between, connection) in self.connections_of(node) {
            if self.cut_number(between).is_none() {
                let at = now + self.keep_alive() + self.latency();
                let side = 1 - between.side(node);
                self.enter(at, Entry::Lost { between, connection, side, why: Why::Reset });
            }
        }
    }

    pub(super) fn crash(&mut self, node: NodeId, now: Instant) {
        let Some(mut end) = self.ends.remove(&node) else { return };
        end.life.cancel();
        end.stop_asks(None, "the process was killed");
        self.note(now, node, node, TraceKind::Crashed);
        for (between, connection) in self.connections_of(node) {
            let at = now + self.config.silence + self.keep_alive();
            let side = 1 - between.side(node);
            self.side_down(between, connection, 1 - side);
            self.enter(at, Entry::Lost { between, connection, side, why: Why::Dead });
        }
    }

    fn connections_of(&self, node: NodeId) -> Vec<(Between, u64)> {
        let concerned = |between: &Between| between.0.contains(&node);
        self.connections.iter().filter(|(b, _)| concerned(b)).map(|(b, c)| (*b, c.id)).collect()
    }

    pub(super) fn is_up(&self, from: NodeId, to: NodeId) -> bool {
        let between = Between::new(from, to);
        self.connections
            .get(&between)
            .is_some_and(|connection| connection.sides[between.side(from)] == Side::Up)
    }

    /// The peers that count as connected at `node`.
    pub(super) fn peers(&self, node: NodeId) -> Vec<Peer> {
        let peer = |(between, connection): (&Between, &Connection)| {
            let other = 1 - between.side(node);
            self.peer_of(between.0[other], connection.boots[other])
        };
        let up = |between: &Between| {
            between.0.contains(&node) && self.is_up(node, between.0[1 - between.side(node)])
        };
        self.connections.iter().filter(|(between, _)| up(between)).filter_map(peer).collect()
    }

    // ---- partitions -----------------------------------------------------------------------

    pub(super) fn cut(&mut self, a: NodeId, b: NodeId, now: Instant) {
        let between = Between::new(a, b);
        let before = self.cut_number(between);
        self.last_cut += 1;
        self.cuts.insert(between, self.last_cut);
        self.note(now, a, b, TraceKind::Cut);
        if before.is_none() {
            self.expect_silence(between, now);
        }
    }

    pub(super) fn heal(&mut self, a: NodeId, b: NodeId, now: Instant) {
        let between = Between::new(a, b);
        if self.cuts.remove(&between).is_some() {
            self.note(now, a, b, TraceKind::Healed);
            self.resume(between, now);
        }
    }

    pub(super) fn isolate(&mut self, node: NodeId, now: Instant) {
        let free: Vec<Between> = self
            .connections_of(node)
            .into_iter()
            .map(|(between, _)| between)
            .filter(|between| self.cut_number(*between).is_none())
            .collect();
        if self.isolated.insert(node) {
            self.note(now, node, node, TraceKind::Cut);
            free.into_iter().for_each(|between| self.expect_silence(between, now));
        }
    }

    pub(super) fn rejoin(&mut self, node: NodeId, now: Instant) {
        if self.isolated.remove(&node) {
            self.note(now, node, node, TraceKind::Healed);
            for (between, _) in self.connections_of(node) {
                self.resume(between, now);
            }
        }
    }

    fn expect_silence(&mut self, between: Between, now: Instant) {
        let Some(connection) = self.connections.get(&between).map(|c| c.id) else { return };
        let number = self.cut_number(between).unwrap_or(0);
        for side in 0..2 {
            let at = now + self.config.silence + self.keep_alive();
            let why = Why::Cut { number };
            self.enter(at, Entry::Lost { between, connection, side, why });
        }
    }

    /// Packets get through again: what was held back is sent again, in order.
    fn resume(&mut self, between: Between, now: Instant) {
        if self.cut_number(between).is_some() {
            return;
        }
        let Some(connection) = self.connections.get_mut(&between) else { return };
        let (id, boots, sides) = (connection.id, connection.boots, connection.sides);
        connection.arrivals = [[now; 2]; 2];
        for flight in std::mem::take(&mut connection.stalled) {
            // The dead repeat nothing.
            let from = between.0[flight.from];
            if self.ends.get(&from).is_some_and(|end| end.boot == boots[flight.from]) {
                self.send(flight, now);
            }
        }
        if let Some(side) = (0..2).find(|side| sides[*side] == Side::Up)
            && sides[1 - side] == Side::Down
        {
            let at = now + self.keep_alive() + self.latency();
            self.enter(at, Entry::Lost { between, connection: id, side, why: Why::Reset });
        }
    }

    // ---- moving ---------------------------------------------------------------------------

    /// Sends everything that waits, if there is a connection.
    pub(super) fn flush(&mut self, from: NodeId, to: NodeId, now: Instant) {
        let between = Between::new(from, to);
        let side = between.side(from);
        if !self.is_up(from, to) {
            return;
        }
        let Some(connection) = self.connections.get(&between).map(|c| c.id) else { return };
        while let Some(queued) = self.ends.get_mut(&from).and_then(|end| end.pop(to, connection)) {
            let mut envelope = queued.envelope;
            envelope.deadline_ms = remaining_ms(queued.deadline, now);
            let load = match queued.ask {
                None => Load::Tell(envelope),
                Some(id) => Load::Ask(id, envelope),
            };
            self.send(Flight { between, connection, from: side, lane: queued.lane, load }, now);
        }
    }

    fn send(&mut self, flight: Flight, now: Instant) {
        let mut takes = self.latency();
        let (from, to) = (flight.between.0[flight.from], flight.between.0[1 - flight.from]);
        let mut losses = 0;
        while losses < LOSSES_IN_A_ROW_MAX && self.dice.hits(self.config.loss_per_mille) {
            losses += 1;
            takes += self.config.latency_max * 2;
            self.note(now, from, to, TraceKind::Retransmitted);
        }
        if self.dice.hits(self.config.duplicate_per_mille) {
            self.note(now, from, to, TraceKind::Duplicated);
        }
        let Some(connection) = self.connections.get_mut(&flight.between) else { return };
        let last = &mut connection.arrivals[flight.from][flight.lane.index()];
        *last = (now + takes).max(*last);
        let at = *last;
        self.enter(at, Entry::Arrive(flight));
    }

    fn arrive(&mut self, flight: Flight, now: Instant) -> Option<Call> {
        let (from, to) = (flight.between.0[flight.from], flight.between.0[1 - flight.from]);
        let is_cut = self.cut_number(flight.between).is_some();
        let current =
            self.connections.get_mut(&flight.between).filter(|c| c.id == flight.connection);
        let side = 1 - flight.from;
        let Some(connection) = current.filter(|c| c.sides[side] == Side::Up) else {
            self.note(now, from, to, TraceKind::Dropped);
            return None;
        };
        if is_cut {
            connection.stalled.push(flight);
            self.note(now, from, to, TraceKind::Stalled);
            return None;
        }
        let boot = connection.boots[flight.from];
        self.deliver(flight, boot, now)
    }

    fn deliver(&mut self, flight: Flight, from_boot: BootId, now: Instant) -> Option<Call> {
        let Flight { between, connection, from: from_side, lane, load } = flight;
        let (from, to) = (between.0[from_side], between.0[1 - from_side]);
        let side = 1 - from_side;
        let (kind, message, bytes) = match &load {
            Load::Tell(envelope) => {
                (TraceKind::Tell, envelope.message.to_string(), envelope.body.len())
            }
            Load::Ask(_, envelope) => {
                (TraceKind::Ask, envelope.message.to_string(), envelope.body.len())
            }
            Load::Reply(_, result) => {
                (TraceKind::Reply, String::new(), result.as_ref().map_or(0, bytes::Bytes::len))
            }
            Load::Close(word) => {
                let (certainty, reason) = match word {
                    Farewell::Goodbye => (Certainty::Gone, "it said goodbye"),
                    Farewell::Forgotten => (Certainty::Silent, "it forgot this node"),
                };
                self.take_down(between, connection, side, certainty, reason, now);
                return None;
            }
        };
        self.note_message(now, from, to, kind, &message, bytes);
        let peer = self.peer_of(from, from_boot);
        let end = self.ends.get_mut(&to)?;
        let inbound = end.inbound.clone();
        match load {
            Load::Tell(envelope) => Some(Call::Tell { inbound, from: peer?, envelope }),
            Load::Ask(id, envelope) => {
                let life = end.life.clone();
                let back = Back { between, connection, side, lane, id, life };
                Some(Call::Ask { inbound, from: peer?, envelope, back })
            }
            Load::Reply(id, result) => {
                end.complete(connection, id, result);
                None
            }
            Load::Close(_) => None,
        }
    }

    /// That boot of a node, dead or alive.
    fn peer_of(&self, node: NodeId, boot: BootId) -> Option<Peer> {
        self.pictures.get(&node).map(|picture| Peer { boot, ..picture.clone() })
    }

    /// A handler has answered.
    pub(super) fn reply(&mut self, back: Back, result: AskResult, now: Instant) {
        let current = self.connections.get(&back.between);
        let is_up =
            current.is_some_and(|c| c.id == back.connection && c.sides[back.side] == Side::Up);
        if !is_up {
            return;
        }
        let result = match result {
            Ok(bytes) if bytes.len() + FRAME_OVERHEAD_BYTES_MAX > FRAME_BYTES_MAX => {
                let text = format!("its reply of {} bytes cannot be sent", bytes.len());
                Err(AskError::Unknown(text))
            }
            other => other,
        };
        let Back { between, connection, side, lane, id, .. } = back;
        let load = Load::Reply(id, result);
        self.send(Flight { between, connection, from: side, lane, load }, now);
    }
}

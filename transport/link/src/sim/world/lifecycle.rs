//! How simulated connections come up and go down.

use gantry_wire::{BootId, NodeId};
use tokio::time::Instant;

use super::{Between, Connection, Entry, Farewell, Flight, Load, Side, Why, World};
use crate::contract::{Certainty, PeerEvent};
use crate::frame::Lane;
use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};
use crate::sim::end::End;
use crate::sim::trace::TraceKind;

impl World {
    // ---- connecting -----------------------------------------------------------------------

    /// Starts to dial unless that is going on.
    pub(in crate::sim) fn ensure_dialing(&mut self, from: NodeId, to: NodeId, now: Instant) {
        let Some(end) = self.ends.get_mut(&from) else { return };
        let boot = end.boot;
        let toward = end.toward.entry(to).or_default();
        if !toward.dialing && !toward.addrs.is_empty() {
            toward.dialing = true;
            toward.dials = 0;
            self.enter(now, Entry::Dial { from, boot, to });
        }
    }

    pub(super) fn dial(&mut self, from: NodeId, boot: BootId, to: NodeId, now: Instant) {
        let is_up = self.is_up(from, to);
        let Some(end) = self.ends.get_mut(&from).filter(|end| end.boot == boot) else { return };
        end.drop_expired(to, now);
        let wanted = end.wants(to, now);
        let toward = end.toward.entry(to).or_default();
        if is_up || !wanted {
            toward.dialing = false;
            return;
        }
        toward.dials += 1;
        let addrs = toward.addrs.clone();
        let pause = BACKOFF_FIRST.saturating_mul(1 << toward.dials.min(10)).min(BACKOFF_MAX);
        let reachable = self.cut_number(Between::new(from, to)).is_none();
        let answers = |end: &&End| reachable && end.is_node() && addrs.contains(&end.addr);
        let to_boot = self.ends.get(&to).filter(answers).map(|end| end.boot);
        let mut again = now + pause;
        if let Some(to_boot) = to_boot {
            // Handshake there and back, then the hello.
            let at = now + self.latency() + self.latency() + self.latency();
            self.enter(at, Entry::Accept { from, from_boot: boot, to, to_boot });
            // Longer than a hello can take, so that it is not dialed twice.
            again = again.max(at + self.config.latency_max * 2);
        }
        self.enter(again, Entry::Dial { from, boot, to });
    }

    pub(super) fn accept(
        &mut self,
        from: NodeId,
        from_boot: BootId,
        to: NodeId,
        to_boot: BootId,
        now: Instant,
    ) {
        let between = Between::new(from, to);
        let alive = |node, boot| {
            self.ends.get(&node).is_some_and(|end: &End| end.boot == boot && !end.closed)
        };
        let both = alive(from, from_boot) && alive(to, to_boot);
        if !both || self.cut_number(between).is_some() {
            return;
        }
        let (dialer, acceptor) = (between.side(from), between.side(to));
        if let Some(before) = self.connections.get(&between) {
            let same = before.boots[dialer] == from_boot && before.boots[acceptor] == to_boot;
            if same && before.sides[dialer] != Side::Down {
                return;
            }
            let certainty = match before.boots[dialer] == from_boot {
                true => Certainty::Silent,
                false => Certainty::Gone,
            };
            let id = before.id;
            let reason = "a newer connection replaced it";
            self.take_down(between, id, acceptor, certainty, reason, now);
        }
        self.last_connection += 1;
        let id = self.last_connection;
        let mut boots = [from_boot; 2];
        boots[acceptor] = to_boot;
        let mut sides = [Side::Coming; 2];
        sides[acceptor] = Side::Up;
        let reply_at = now + self.latency();
        // What the acceptor sends at once does not overtake its hello.
        let arrivals = [[reply_at; 2]; 2];
        let stalled = Vec::new();
        let connection = Connection { id, boots, sides, arrivals, stalled };
        self.connections.insert(between, connection);
        self.enter(reply_at, Entry::Connected { between, connection: id, side: dialer });
        self.come_up(between, acceptor, now);
    }

    pub(super) fn connected(
        &mut self,
        between: Between,
        connection: u64,
        side: usize,
        now: Instant,
    ) {
        let cut = self.cut_number(between).is_some();
        let Some(current) = self.connections.get_mut(&between) else { return };
        let node = between.0[side];
        let alive = self.ends.get(&node).is_some_and(|end| end.boot == current.boots[side]);
        if current.id != connection || current.sides[side] != Side::Coming || !alive {
            return;
        }
        if cut {
            // The hello is lost with everything else; the other side finds out by silence.
            current.sides[side] = Side::Down;
            return;
        }
        current.sides[side] = Side::Up;
        self.come_up(between, side, now);
    }

    /// A side counts the other as connected.
    pub(super) fn come_up(&mut self, between: Between, side: usize, now: Instant) {
        let (node, other) = (between.0[side], between.0[1 - side]);
        let Some(peer) = self.ends.get(&other).map(End::as_peer) else { return };
        let Some(end) = self.ends.get_mut(&node) else { return };
        let toward = end.toward.entry(other).or_default();
        toward.probe_until = None;
        let last = toward.last_down.take();
        let proven = last.filter(|(boot, told)| *boot != peer.boot && *told < Certainty::Gone);
        if let Some((boot, _)) = proven {
            let reason = "a new boot of it appeared".to_owned();
            let certainty = Certainty::Gone;
            end.announce(PeerEvent::Down { node: other, boot, certainty, reason });
        }
        end.announce(PeerEvent::Up(peer));
        if proven.is_some() {
            self.note(now, other, node, TraceKind::DownGone);
        }
        self.note(now, other, node, TraceKind::Up);
        self.flush(node, other, now);
    }

    // ---- losing ---------------------------------------------------------------------------

    pub(super) fn side_down(&mut self, between: Between, connection: u64, side: usize) -> bool {
        let Some(current) = self.connections.get_mut(&between) else { return false };
        if current.id != connection {
            return false;
        }
        let was_up = std::mem::replace(&mut current.sides[side], Side::Down) == Side::Up;
        if current.sides == [Side::Down; 2] {
            self.connections.remove(&between);
        }
        was_up
    }

    pub(super) fn lost(
        &mut self,
        between: Between,
        connection: u64,
        side: usize,
        why: Why,
        now: Instant,
    ) {
        let reason = match why {
            Why::Cut { number } if self.cut_number(between) != Some(number) => return,
            Why::Cut { .. } | Why::Dead => "nothing came from it for too long",
            Why::Reset => "it does not know the connection any more",
        };
        self.take_down(between, connection, side, Certainty::Silent, reason, now);
    }

    /// A side does not count the other as connected any more.
    pub(super) fn take_down(
        &mut self,
        between: Between,
        connection: u64,
        side: usize,
        certainty: Certainty,
        reason: &str,
        now: Instant,
    ) {
        let boot = self.connections.get(&between).map(|current| current.boots[1 - side]);
        let (node, other) = (between.0[side], between.0[1 - side]);
        let (true, Some(boot)) = (self.side_down(between, connection, side), boot) else { return };
        let Some(end) = self.ends.get_mut(&node) else { return };
        end.fail_sent(connection, reason);
        let down = PeerEvent::Down { node: other, boot, certainty, reason: reason.to_owned() };
        end.announce(down);
        let toward = end.toward.entry(other).or_default();
        toward.last_down = Some((boot, certainty));
        let probe = certainty < Certainty::Gone && !toward.addrs.is_empty();
        toward.probe_until = probe.then(|| now + self.config.silence);
        let gone = certainty >= Certainty::Gone;
        self.note(now, other, node, if gone { TraceKind::DownGone } else { TraceKind::DownSilent });
        if probe || self.ends.get(&node).is_some_and(|end| end.wants(other, now)) {
            self.ensure_dialing(node, other, now);
        }
    }

    /// A side closes its connection in order. Returns when the word has arrived, were it not cut.
    pub(in crate::sim) fn close(
        &mut self,
        from: NodeId,
        to: NodeId,
        word: Farewell,
        now: Instant,
    ) -> Option<Instant> {
        let between = Between::new(from, to);
        let side = between.side(from);
        let current = self.connections.get(&between)?;
        if current.sides[side] != Side::Up {
            return None;
        }
        let connection = current.id;
        // After everything that was sent, whatever the lane.
        let last = current.arrivals[side].into_iter().max()?;
        self.connections.get_mut(&between)?.arrivals[side] = [last; 2];
        let load = Load::Close(word);
        let lane = Lane::Control;
        self.send(Flight { between, connection, from: side, lane, load }, now);
        self.connections.get(&between).map(|current| current.arrivals[side][lane.index()])
    }

    pub(in crate::sim) fn forget(&mut self, from: NodeId, to: NodeId, now: Instant) {
        let between = Between::new(from, to);
        let connection = self.connections.get(&between).map(|current| current.id);
        self.close(from, to, Farewell::Forgotten, now);
        let Some(end) = self.ends.get_mut(&from) else { return };
        end.stop_asks(Some(to), "the peer was forgotten");
        end.toward.remove(&to);
        if let Some(id) = connection {
            let (side, reason) = (between.side(from), "it was forgotten");
            self.take_down(between, id, side, Certainty::Silent, reason, now);
        }
        if let Some(end) = self.ends.get_mut(&from) {
            end.toward.remove(&to);
        }
    }
}

//! Which connection between two peers is kept. Pure: no sockets, no clock.
//!
//! Two peers need one connection, used in both directions; more than one would let messages
//! overtake each other. A side sends a hello only while it has none. Still two can meet: both dial
//! at the same moment, or one side has lost a connection that the other still believes in. Each
//! dial is numbered, and a hello says which dial of the receiver the sender has last accepted,
//! which tells the cases apart:
//!
//! - it knows our newest dial: it had that connection and lost it, so the new one replaces it;
//! - it does not: both dialed at once, and the dial of the smaller node id is kept.
//!
//! *Invariant*: both sides keep the same one, and a connection that both sides hold is never given
//! up for one that was dialed before it was known.

use gantry_wire::{BootId, NodeId};

use crate::hello::AcceptedDial;

/// Boots of one peer that are remembered as ended. A cloned node that fights with its original over
/// one identity makes new ones; more than a few need not be told apart.
const ENDED_BOOTS_MAX: usize = 8;

/// What becomes of a connection whose hello came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the connection now; an earlier one is given up.
    Accept,
    /// Our own dial, which is under way or done, is kept.
    Duplicate,
    /// That process was replaced by a newer one, or this connection by a newer one.
    Stale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Live {
    boot: BootId,
    dial: u64,
    dialed_by_us: bool,
}

/// What one side knows of the connections between it and one peer.
#[derive(Clone, Debug)]
pub(super) struct Rivalry {
    us: NodeId,
    our_boot: BootId,
    them: NodeId,
    /// Our dial whose hello was sent and not yet answered.
    pending: Option<u64>,
    accepted: Option<AcceptedDial>,
    live: Option<Live>,
    ended: Vec<BootId>,
}

impl Rivalry {
    pub(super) fn new(us: NodeId, our_boot: BootId, them: NodeId) -> Self {
        Self { us, our_boot, them, pending: None, accepted: None, live: None, ended: Vec::new() }
    }

    /// About to send a hello with this number, greater than any before in this boot. Returns what
    /// to tell about theirs; the error says that a connection of theirs came first.
    pub(super) fn begin_dial(&mut self, dial: u64) -> Result<Option<AcceptedDial>, Verdict> {
        if self.live.is_some() {
            return Err(Verdict::Duplicate);
        }
        self.pending = Some(dial);
        Ok(self.accepted)
    }

    /// That dial came to nothing.
    pub(super) fn dial_failed(&mut self, dial: u64) {
        if self.pending == Some(dial) {
            self.pending = None;
        }
    }

    /// Their reply to our hello came. `Accept` means the connection is the one.
    pub(super) fn on_reply(&mut self, dial: u64, boot: BootId) -> Verdict {
        if self.pending != Some(dial) {
            return Verdict::Duplicate;
        }
        self.pending = None;
        if self.ended.contains(&boot) {
            return Verdict::Stale;
        }
        self.become_live(Live { boot, dial, dialed_by_us: true });
        Verdict::Accept
    }

    /// Their hello came.
    pub(super) fn on_hello(
        &mut self,
        boot: BootId,
        dial: u64,
        accepted: Option<AcceptedDial>,
    ) -> Verdict {
        let verdict = self.judge(boot, dial, accepted);
        if verdict == Verdict::Accept {
            self.pending = None;
            self.accepted = Some(AcceptedDial { boot, dial });
            self.become_live(Live { boot, dial, dialed_by_us: false });
        }
        verdict
    }

    /// The connection ended.
    pub(super) fn ended(&mut self) {
        self.live = None;
    }

    /// That boot is certainly over; nothing of it is accepted any more.
    pub(super) fn boot_ended(&mut self, boot: BootId) {
        if !self.ended.contains(&boot) {
            if self.ended.len() == ENDED_BOOTS_MAX {
                self.ended.remove(0);
            }
            self.ended.push(boot);
        }
    }

    fn judge(&self, boot: BootId, dial: u64, accepted: Option<AcceptedDial>) -> Verdict {
        if self.ended.contains(&boot) {
            return Verdict::Stale;
        }
        let knows_ours = |ours| accepted.is_some_and(|a| a.boot == self.our_boot && a.dial >= ours);
        match self.live {
            Some(live) if live.boot != boot => {}
            Some(live) if live.dialed_by_us && !knows_ours(live.dial) => return Verdict::Duplicate,
            Some(live) if !live.dialed_by_us && dial <= live.dial => return Verdict::Stale,
            _ => {}
        }
        match self.pending {
            Some(ours) if !knows_ours(ours) && self.us < self.them => Verdict::Duplicate,
            _ => Verdict::Accept,
        }
    }

    fn become_live(&mut self, live: Live) {
        if let Some(before) = self.live
            && before.boot != live.boot
        {
            self.boot_ended(before.boot);
        }
        self.live = Some(live);
    }
}

#[cfg(test)]
mod tests;

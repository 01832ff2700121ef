//! The machine of the feed.
//!
//! ```text
//!            ack, nothing left                    event
//!  Sending ─────────────────────▶ Idle ◀────┐ ───────────▶ Sending
//!   │   ▲                                   │
//!   │   └── ack, more to say                │ (never left without a reason)
//!   │ failed, or an ack that moves nothing  │
//!   ▼                                       │
//!  Waiting ──────── time passed ────────────┘─▶ Sending
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gantry_model::ids::InstanceUuid;
use gantry_model::messages::ReportAck;
use gantry_model::report::{GuestReport, GuestState, NodeInfo, ReportEvent, UnreadableGuest};
use gantry_model::units::MiB;

/// Most events that wait for the leader. Beyond it they are dropped and a full report follows. A
/// node with 1,000 guests that all start makes some 3,000. Lower sends full reports in ordinary
/// storms; higher costs memory (about 300 bytes each) while there is no leader.
pub const QUEUE_EVENTS_MAX: usize = 4096;

/// Most events in one report: some 150 KiB. Lower means more round trips after a storm; higher
/// makes the leader's actor work longer in one turn.
pub const BATCH_EVENTS_MAX: usize = 512;

/// First wait after a report failed. A change of leader takes about a second; lower would knock ten
/// times in it, higher leaves the new leader without a picture that long.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Longest wait between attempts. Lower makes every node of a cluster without a quorum busy; higher
/// keeps the picture old after the quorum is back.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long to be silent when the leader says that this node is not in the cluster. It may be added
/// again at any time; lower only asks more often, higher delays its first report then.
pub const MEMBER_RETRY: Duration = Duration::from_secs(30);

/// What the feed is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// The node's resources were measured.
    Info(NodeInfo),
    /// A guest was looked at.
    Guest(GuestReport),
    /// A guest is gone.
    Gone(InstanceUuid),
    /// A guest could not be found out: it stays as it was last seen.
    Unreadable(UnreadableGuest),
    /// All guests were listed. One that could not be found out stays as it was last seen.
    Listed {
        /// Those that could.
        guests: Vec<GuestReport>,
        /// Those that could not.
        unreadable: Vec<UnreadableGuest>,
    },
    /// A connection was made over which the leader may be.
    Reconnected,
    /// The leader answered this attempt.
    Answered {
        /// Number from [`FeedEffect::Send`].
        attempt: u64,
        /// What it wants next.
        ack: ReportAck,
    },
    /// This attempt was refused, or nobody knows whether it arrived.
    Failed {
        /// Number from [`FeedEffect::Send`].
        attempt: u64,
    },
    /// The time of [`FeedEffect::Wake`] has passed.
    Woke {
        /// Number from there.
        timer: u64,
    },
}

/// What the feed wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEffect {
    /// Send this to the leader and tell what came of it.
    Send {
        /// Names this attempt.
        attempt: u64,
        /// Number of the first event.
        first: u64,
        /// The events.
        events: Vec<ReportEvent>,
    },
    /// Say so when this time has passed.
    Wake {
        /// Names this wait; one that is over by then is ignored.
        timer: u64,
        /// How long.
        after: Duration,
    },
}

/// What the feed is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Everything is said.
    Idle,
    /// One report is out.
    Sending { attempt: u64, first: u64, begins_full: bool },
    /// Nothing is sent until a timer.
    Waiting { timer: u64 },
}

/// The feed of one run of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    info: NodeInfo,
    guests: BTreeMap<InstanceUuid, GuestReport>,
    /// What those of them have that are not shut down. Every question about the node needs it, and
    /// may not go through all guests for it.
    memory: MiB,
    unreadable: BTreeMap<InstanceUuid, UnreadableGuest>,
    /// Events that the leader has not confirmed, the last with number `next - 1`.
    queue: VecDeque<ReportEvent>,
    next: u64,
    /// Events below were sent at least once and must stay what they are.
    sent_below: u64,
    full_wanted: bool,
    failures: u32,
    phase: Phase,
    attempts: u64,
    timers: u64,
}

impl FeedState {
    /// A feed that knows the node and has told nobody. Its first event has the number `first`: 0 in
    /// a new run of the daemon, [`FeedState::next`] of the former feed in the same run. An event
    /// that is still on its way must never share its number with another.
    #[must_use]
    pub fn new(
        info: NodeInfo,
        guests: Vec<GuestReport>,
        unreadable: Vec<UnreadableGuest>,
        first: u64,
    ) -> Self {
        let guests = by_instance(guests);
        Self {
            info,
            memory: MiB(guests.values().map(memory_of).sum()),
            guests,
            unreadable: unreadable.into_iter().map(|guest| (guest.instance, guest)).collect(),
            queue: VecDeque::new(),
            next: first,
            sent_below: first,
            full_wanted: true,
            failures: 0,
            phase: Phase::Idle,
            attempts: 0,
            timers: 0,
        }
    }

    /// Takes what happened; says what to do. The first call may be with anything.
    pub fn step(&mut self, event: FeedEvent) -> Vec<FeedEffect> {
        match event {
            FeedEvent::Info(info) => self.measured(info),
            FeedEvent::Guest(report) => {
                self.readable_again(report.instance);
                self.seen(report);
            }
            FeedEvent::Gone(instance) => {
                self.readable_again(instance);
                self.gone(instance);
            }
            FeedEvent::Unreadable(guest) => self.not_found_out(guest),
            FeedEvent::Listed { guests, unreadable } => self.listed(guests, unreadable),
            FeedEvent::Reconnected => self.reconnected(),
            FeedEvent::Answered { attempt, ack } => return self.answered(attempt, &ack),
            FeedEvent::Failed { attempt } => return self.failed(attempt),
            FeedEvent::Woke { timer } => {
                if self.phase == (Phase::Waiting { timer }) {
                    self.phase = Phase::Idle;
                }
            }
        }
        self.pump()
    }

    /// All guests, as last seen.
    pub fn guests(&self) -> impl Iterator<Item = &GuestReport> {
        self.guests.values()
    }

    /// The memory that guests have, as last seen; one that is shut down and still held has none.
    #[must_use]
    pub fn memory_of_guests(&self) -> MiB {
        self.memory
    }

    /// A guest, as last seen.
    #[must_use]
    pub fn guest(&self, instance: InstanceUuid) -> Option<&GuestReport> {
        self.guests.get(&instance)
    }

    /// The guests that could not be found out when that was last tried.
    #[must_use]
    pub fn unreadable(&self) -> &BTreeMap<InstanceUuid, UnreadableGuest> {
        &self.unreadable
    }

    /// Number of the next event.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Resources, as last measured.
    #[must_use]
    pub fn info(&self) -> &NodeInfo {
        &self.info
    }

    fn measured(&mut self, info: NodeInfo) {
        self.info = info.clone();
        // One that nobody has seen yet is replaced: without a leader they would fill the queue.
        let first = self.next - self.queue.len() as u64;
        let n_sent = self.sent_below.saturating_sub(first) as usize;
        let unseen = self.queue.iter_mut().skip(n_sent);
        let former = unseen.rev().find(|event| matches!(event, ReportEvent::Info(_)));
        match former {
            Some(event) => *event = ReportEvent::Info(info),
            None => self.enqueue(ReportEvent::Info(info)),
        }
    }

    fn seen(&mut self, report: GuestReport) {
        let former = self.guests.insert(report.instance, report.clone());
        self.memory.0 += memory_of(&report);
        self.memory.0 -= former.as_ref().map_or(0, memory_of);
        if former.as_ref() != Some(&report) {
            self.enqueue(ReportEvent::Guest(report));
        }
    }

    fn gone(&mut self, instance: InstanceUuid) {
        if let Some(former) = self.guests.remove(&instance) {
            self.memory.0 -= memory_of(&former);
            self.enqueue(ReportEvent::Gone(instance));
        }
    }

    /// Rare: a full report says it.
    fn not_found_out(&mut self, guest: UnreadableGuest) {
        let instance = guest.instance;
        if self.unreadable.insert(instance, guest.clone()).as_ref() != Some(&guest) {
            self.full_wanted = true;
        }
    }

    fn readable_again(&mut self, instance: InstanceUuid) {
        if self.unreadable.remove(&instance).is_some() {
            self.full_wanted = true;
        }
    }

    fn listed(&mut self, guests: Vec<GuestReport>, unreadable: Vec<UnreadableGuest>) {
        let unreadable: BTreeMap<_, _> =
            unreadable.into_iter().map(|guest| (guest.instance, guest)).collect();
        self.full_wanted |= self.unreadable != unreadable;
        self.unreadable = unreadable;
        let now = by_instance(guests);
        let is_gone =
            |key: &&InstanceUuid| !now.contains_key(key) && !self.unreadable.contains_key(key);
        let gone: Vec<_> = self.guests.keys().filter(is_gone).copied().collect();
        for instance in gone {
            self.gone(instance);
        }
        for report in now.into_values() {
            self.seen(report);
        }
    }

    /// A leader beyond a new connection may know nothing of us, or a wait may have been in vain.
    fn reconnected(&mut self) {
        self.full_wanted = true;
        self.failures = 0;
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Idle;
        }
    }

    fn enqueue(&mut self, event: ReportEvent) {
        // A full report that is to come says it all.
        if self.full_wanted {
            return;
        }
        if self.queue.len() >= QUEUE_EVENTS_MAX {
            self.queue.clear();
            self.full_wanted = true;
            return;
        }
        self.queue.push_back(event);
        self.next += 1;
    }

    fn answered(&mut self, attempt: u64, ack: &ReportAck) -> Vec<FeedEffect> {
        let Phase::Sending { attempt: expected, first, begins_full } = self.phase else {
            return Vec::new();
        };
        if attempt != expected {
            return Vec::new();
        }
        let oldest = self.next - self.queue.len() as u64;
        match *ack {
            ReportAck::Next(wanted) if (oldest..=self.next).contains(&wanted) => {
                self.queue.drain(..(wanted - oldest) as usize);
                if wanted == first {
                    return self.wait_after_failure();
                }
                self.failures = 0;
                self.phase = Phase::Idle;
                self.pump()
            }
            // It has what we never said, or wants what we no longer have.
            ReportAck::Next(_) | ReportAck::Full => {
                self.full_wanted = true;
                if begins_full {
                    return self.wait_after_failure();
                }
                self.phase = Phase::Idle;
                self.pump()
            }
            ReportAck::NotAMember => {
                self.full_wanted = true;
                self.wait(MEMBER_RETRY)
            }
        }
    }

    fn failed(&mut self, attempt: u64) -> Vec<FeedEffect> {
        match self.phase {
            Phase::Sending { attempt: expected, .. } if attempt == expected => {
                self.wait_after_failure()
            }
            _ => Vec::new(),
        }
    }

    fn wait_after_failure(&mut self) -> Vec<FeedEffect> {
        let doubled = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.wait(BACKOFF_FIRST.saturating_mul(doubled).min(BACKOFF_MAX))
    }

    fn wait(&mut self, after: Duration) -> Vec<FeedEffect> {
        self.timers += 1;
        self.phase = Phase::Waiting { timer: self.timers };
        vec![FeedEffect::Wake { timer: self.timers, after }]
    }

    /// Sends if there is something to say and nothing is on its way.
    fn pump(&mut self) -> Vec<FeedEffect> {
        if self.phase != Phase::Idle {
            return Vec::new();
        }
        if self.full_wanted {
            self.full_wanted = false;
            self.queue.clear();
            self.enqueue(ReportEvent::Full {
                info: self.info.clone(),
                guests: self.guests.values().cloned().collect(),
                unreadable: self.unreadable.values().cloned().collect(),
            });
        }
        if self.queue.is_empty() {
            return Vec::new();
        }
        let first = self.next - self.queue.len() as u64;
        let events: Vec<_> = self.queue.iter().take(BATCH_EVENTS_MAX).cloned().collect();
        self.sent_below = self.sent_below.max(first + events.len() as u64);
        self.attempts += 1;
        let attempt = self.attempts;
        let begins_full = matches!(events.first(), Some(ReportEvent::Full { .. }));
        self.phase = Phase::Sending { attempt, first, begins_full };
        vec![FeedEffect::Send { attempt, first, events }]
    }
}

fn memory_of(guest: &GuestReport) -> u64 {
    match guest.state {
        GuestState::Shutdown => 0,
        GuestState::Running | GuestState::Paused => guest.memory.0,
    }
}

fn by_instance(guests: Vec<GuestReport>) -> BTreeMap<InstanceUuid, GuestReport> {
    guests.into_iter().map(|report| (report.instance, report)).collect()
}

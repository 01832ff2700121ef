//! Every event in every phase, and the picture of a leader behind a bad network.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::messages::ReportAck;
use gantry_model::names::InstanceName;
use gantry_model::params::HypervisorKind;
use gantry_model::report::{GuestReport, GuestState, NodeInfo, ReportEvent, UnreadableGuest};
use gantry_model::units::MiB;
use proptest::prelude::*;

use super::*;

fn info(memory_free: u64) -> NodeInfo {
    NodeInfo { memory_free: MiB(memory_free), ..NodeInfo::default() }
}

fn guest(number: u8, epoch: u64) -> GuestReport {
    GuestReport {
        instance: instance(number),
        name: InstanceName::new(&format!("web{number}")).expect("valid"),
        hypervisor: HypervisorKind::Fake,
        state: GuestState::Running,
        epoch: RunEpoch(epoch),
        memory: MiB(128 + epoch),
        vcpus: 1,
        pid: None,
        accelerator: String::new(),
    }
}

fn instance(number: u8) -> InstanceUuid {
    InstanceUuid(uuid::Uuid::from_u128(u128::from(number)))
}

fn unreadable(number: u8) -> UnreadableGuest {
    UnreadableGuest {
        instance: instance(number),
        hypervisor: HypervisorKind::Fake,
        reason: "its record cannot be read".into(),
    }
}

fn listed(guests: Vec<GuestReport>, unreadable: Vec<UnreadableGuest>) -> FeedEvent {
    FeedEvent::Listed { guests, unreadable }
}

/// The only report among the effects.
fn sent(effects: &[FeedEffect]) -> (u64, u64, &[ReportEvent]) {
    match effects {
        [FeedEffect::Send { attempt, first, events }] => (*attempt, *first, events),
        other => panic!("expected one report: {other:?}"),
    }
}

fn waits(effects: &[FeedEffect]) -> (u64, Duration) {
    match effects {
        [FeedEffect::Wake { timer, after }] => (*timer, *after),
        other => panic!("expected a wait: {other:?}"),
    }
}

fn next(attempt: u64, next: u64) -> FeedEvent {
    FeedEvent::Answered { attempt, ack: ReportAck::Next(next) }
}

/// A feed whose first full report was confirmed.
fn confirmed() -> FeedState {
    let mut feed = FeedState::new(info(1), vec![guest(1, 1)], vec![], 0);
    let effects = feed.step(FeedEvent::Reconnected);
    let (attempt, ..) = sent(&effects);
    assert!(feed.step(next(attempt, 1)).is_empty());
    feed
}

#[test]
fn the_first_report_is_full_and_has_number_zero() {
    let mut feed = FeedState::new(info(1), vec![guest(1, 1)], vec![], 0);
    let effects = feed.step(FeedEvent::Info(info(2)));
    let full = ReportEvent::Full { info: info(2), guests: vec![guest(1, 1)], unreadable: vec![] };
    assert_eq!(sent(&effects), (1, 0, &[full][..]));
}

#[test]
fn one_report_is_out_at_a_time_and_the_rest_follows_in_one() {
    let mut feed = confirmed();
    let first = feed.step(FeedEvent::Guest(guest(2, 1)));
    assert_eq!(sent(&first), (2, 1, &[ReportEvent::Guest(guest(2, 1))][..]));
    assert!(feed.step(FeedEvent::Gone(instance(1))).is_empty());
    assert!(feed.step(FeedEvent::Guest(guest(3, 1))).is_empty());
    let rest = feed.step(next(2, 2));
    let events = [ReportEvent::Gone(instance(1)), ReportEvent::Guest(guest(3, 1))];
    assert_eq!(sent(&rest), (3, 2, &events[..]));
}

#[test]
fn what_is_known_is_not_said_again() {
    let mut feed = confirmed();
    assert!(feed.step(FeedEvent::Guest(guest(1, 1))).is_empty());
    assert!(feed.step(FeedEvent::Gone(instance(9))).is_empty());
    assert!(feed.step(listed(vec![guest(1, 1)], vec![])).is_empty());
}

#[test]
fn a_list_becomes_the_difference() {
    let mut feed = confirmed();
    let effects = feed.step(listed(vec![guest(2, 1)], vec![]));
    let events = [ReportEvent::Gone(instance(1)), ReportEvent::Guest(guest(2, 1))];
    assert_eq!(sent(&effects).2, events);
}

#[test]
fn a_guest_that_cannot_be_found_out_stays_and_is_named_in_a_full_report_once() {
    let full = |unreadable: Vec<UnreadableGuest>| ReportEvent::Full {
        info: info(1),
        guests: vec![guest(1, 1)],
        unreadable,
    };
    let mut feed = confirmed();
    let effects = feed.step(listed(vec![], vec![unreadable(1)]));
    assert_eq!(sent(&effects), (2, 1, &[full(vec![unreadable(1)])][..]));
    assert!(feed.step(next(2, 2)).is_empty());
    assert!(feed.step(FeedEvent::Unreadable(unreadable(1))).is_empty(), "that is known");
    assert!(feed.step(listed(vec![], vec![unreadable(1)])).is_empty(), "that is known");
    let effects = feed.step(FeedEvent::Guest(guest(1, 1)));
    assert_eq!(sent(&effects).2, [full(vec![])], "it can be read again");
}

#[test]
fn a_failed_report_is_sent_again_unchanged_after_a_growing_wait() {
    let mut feed = confirmed();
    let mut effects = feed.step(FeedEvent::Guest(guest(2, 1)));
    let mut last = Duration::ZERO;
    for _ in 0..10 {
        let (attempt, first, events) = sent(&effects);
        assert_eq!((first, events), (1, &[ReportEvent::Guest(guest(2, 1))][..]));
        let failed = feed.step(FeedEvent::Failed { attempt });
        let (timer, after) = waits(&failed);
        assert!(after >= last && after <= BACKOFF_MAX, "{after:?} after {last:?}");
        last = after;
        effects = feed.step(FeedEvent::Woke { timer });
    }
    assert_eq!(last, BACKOFF_MAX);
}

#[test]
fn answers_to_older_attempts_and_old_timers_are_ignored() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    assert!(feed.step(next(1, 2)).is_empty());
    assert!(feed.step(FeedEvent::Failed { attempt: 1 }).is_empty());
    assert!(feed.step(FeedEvent::Woke { timer: 77 }).is_empty());
    let effects = feed.step(FeedEvent::Failed { attempt: 2 });
    let (timer, _) = waits(&effects);
    assert!(feed.step(next(2, 2)).is_empty());
    assert!(feed.step(FeedEvent::Woke { timer: timer - 1 }).is_empty());
    assert_eq!(sent(&feed.step(FeedEvent::Woke { timer })).1, 1);
}

#[test]
fn a_leader_without_a_picture_gets_a_full_one() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    let effects = feed.step(FeedEvent::Answered { attempt: 2, ack: ReportAck::Full });
    let guests = vec![guest(1, 1), guest(2, 1)];
    let full = ReportEvent::Full { info: info(1), guests, unreadable: vec![] };
    assert_eq!(sent(&effects), (3, 2, &[full][..]));
}

#[test]
fn a_leader_that_wants_what_is_forgotten_or_never_was_gets_a_full_one() {
    for wanted in [0, 3] {
        let mut feed = confirmed();
        feed.step(FeedEvent::Guest(guest(2, 1)));
        let effects = feed.step(next(2, wanted));
        assert!(matches!(sent(&effects).2, [ReportEvent::Full { .. }]), "{wanted}");
    }
}

#[test]
fn a_leader_that_takes_nothing_is_not_flooded() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    assert_eq!(waits(&feed.step(next(2, 1))).1, BACKOFF_FIRST);
    let mut feed = FeedState::new(info(1), vec![], vec![], 0);
    feed.step(FeedEvent::Reconnected);
    let effects = feed.step(FeedEvent::Answered { attempt: 1, ack: ReportAck::Full });
    assert_eq!(waits(&effects).1, BACKOFF_FIRST);
}

#[test]
fn a_node_that_is_no_member_is_silent_for_a_while() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    let effects = feed.step(FeedEvent::Answered { attempt: 2, ack: ReportAck::NotAMember });
    let (timer, after) = waits(&effects);
    assert_eq!(after, MEMBER_RETRY);
    assert!(feed.step(FeedEvent::Info(info(3))).is_empty());
    let effects = feed.step(FeedEvent::Woke { timer });
    assert!(matches!(sent(&effects).2, [ReportEvent::Full { .. }]));
}

#[test]
fn a_reconnect_ends_a_wait_with_a_full_report() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    let effects = feed.step(FeedEvent::Failed { attempt: 2 });
    let (timer, _) = waits(&effects);
    let effects = feed.step(FeedEvent::Reconnected);
    assert!(matches!(sent(&effects).2, [ReportEvent::Full { .. }]));
    assert!(feed.step(FeedEvent::Woke { timer }).is_empty());
}

#[test]
fn measurements_without_a_leader_do_not_pile_up() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    let effects = feed.step(FeedEvent::Failed { attempt: 2 });
    let (timer, _) = waits(&effects);
    for memory_free in 0..1_000 {
        assert!(feed.step(FeedEvent::Info(info(memory_free))).is_empty());
    }
    let effects = feed.step(FeedEvent::Woke { timer });
    let events = [ReportEvent::Guest(guest(2, 1)), ReportEvent::Info(info(999))];
    assert_eq!(sent(&effects).2, events);
}

#[test]
fn what_was_sent_once_never_changes_under_its_number() {
    let mut feed = confirmed();
    let effects = feed.step(FeedEvent::Info(info(5)));
    assert_eq!(sent(&effects), (2, 1, &[ReportEvent::Info(info(5))][..]));
    assert!(feed.step(FeedEvent::Info(info(6))).is_empty());
    let effects = feed.step(FeedEvent::Failed { attempt: 2 });
    let (timer, _) = waits(&effects);
    let effects = feed.step(FeedEvent::Woke { timer });
    let events = [ReportEvent::Info(info(5)), ReportEvent::Info(info(6))];
    assert_eq!(sent(&effects), (3, 1, &events[..]));
}

#[test]
fn an_overflow_becomes_a_full_report() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    for epoch in 0..QUEUE_EVENTS_MAX as u64 + 5 {
        assert!(feed.step(FeedEvent::Guest(guest(3, epoch))).is_empty());
    }
    let effects = feed.step(next(2, 2));
    assert!(matches!(sent(&effects).2, [ReportEvent::Full { guests, .. }] if guests.len() == 3));
}

#[test]
fn a_storm_goes_out_in_batches() {
    let mut feed = confirmed();
    feed.step(FeedEvent::Guest(guest(2, 1)));
    for epoch in 0..BATCH_EVENTS_MAX as u64 + 5 {
        feed.step(FeedEvent::Guest(guest(3, epoch)));
    }
    let effects = feed.step(next(2, 2));
    assert_eq!(sent(&effects).2.len(), BATCH_EVENTS_MAX);
    let effects = feed.step(next(3, 2 + BATCH_EVENTS_MAX as u64));
    assert_eq!(sent(&effects).2.len(), 5);
}

/// A leader as the cluster actor is one: applies in order, never twice, and asks for what it lacks.
#[derive(Debug, Default)]
struct Leader {
    picture: Option<(NodeInfo, BTreeMap<InstanceUuid, GuestReport>)>,
    unreadable: Vec<UnreadableGuest>,
    next: u64,
}

impl Leader {
    fn take(&mut self, first: u64, events: &[ReportEvent]) -> ReportAck {
        for (number, event) in (first..).zip(events) {
            if self.picture.is_some() && number < self.next {
                continue;
            }
            match (event, &mut self.picture) {
                (ReportEvent::Full { info, guests, unreadable }, _) => {
                    self.unreadable = unreadable.clone();
                    let guests = guests.iter().map(|g| (g.instance, g.clone())).collect();
                    self.picture = Some((info.clone(), guests));
                }
                (_, None) => return ReportAck::Full,
                (_, Some(_)) if number > self.next => break,
                (ReportEvent::Info(now), Some((info, _))) => *info = now.clone(),
                (ReportEvent::Guest(report), Some((_, guests))) => {
                    guests.insert(report.instance, report.clone());
                }
                (ReportEvent::Gone(instance), Some((_, guests))) => {
                    guests.remove(instance);
                }
            }
            self.next = number + 1;
        }
        ReportAck::Next(self.next)
    }
}

/// Something that happens to the node, the network or the leader.
#[derive(Clone, Debug)]
enum Happening {
    Feed(FeedEvent),
    /// The n-th report on the way arrives.
    Deliver(usize),
    /// The n-th report on the way never arrives.
    LoseReport(usize),
    /// The n-th answer on the way arrives.
    Answer(usize),
    /// The sender of the n-th report gives up; what is on the way may still arrive.
    GiveUp,
    /// A timer.
    Wake,
    /// Another leader, without a picture.
    NewLeader,
    /// The node's actor fails and is made again: what it sent may still arrive, its answers do not.
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0_u64..5).prop_map(|free| Happening::Feed(FeedEvent::Info(info(free)))),
        (0_u8..4, 0_u64..3)
            .prop_map(|(n, epoch)| Happening::Feed(FeedEvent::Guest(guest(n, epoch)))),
        (0_u8..4).prop_map(|n| {
            let ended = GuestReport { state: GuestState::Shutdown, ..guest(n, 1) };
            Happening::Feed(FeedEvent::Guest(ended))
        }),
        (0_u8..4).prop_map(|n| Happening::Feed(FeedEvent::Gone(instance(n)))),
        proptest::collection::btree_set(0_u8..4, 0..4).prop_map(|set| {
            // Some can be read, some cannot, and of one of these it is known what it was.
            let guests = set.iter().filter(|n| **n != 2).map(|n| guest(*n, 0)).collect();
            let hidden = set.iter().filter(|n| **n > 1).map(|n| unreadable(*n)).collect();
            Happening::Feed(listed(guests, hidden))
        }),
        (0_u8..4).prop_map(|n| Happening::Feed(FeedEvent::Unreadable(unreadable(n)))),
        Just(Happening::Feed(FeedEvent::Reconnected)),
        any::<usize>().prop_map(Happening::Deliver),
        any::<usize>().prop_map(Happening::Deliver),
        any::<usize>().prop_map(Happening::LoseReport),
        any::<usize>().prop_map(Happening::Answer),
        any::<usize>().prop_map(Happening::Answer),
        Just(Happening::GiveUp),
        Just(Happening::Wake),
        Just(Happening::NewLeader),
        Just(Happening::Restart),
    ]
}

/// The feed, a network that loses, delays and reorders both ways, and a leader.
struct World {
    feed: FeedState,
    leader: Leader,
    /// Which run of the actor.
    run: u64,
    /// Of which run, which attempt, first number, events.
    reports: Vec<(u64, u64, u64, Vec<ReportEvent>)>,
    answers: Vec<(u64, ReportAck)>,
    attempt: u64,
    timer: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            feed: FeedState::new(info(0), vec![], vec![], 0),
            leader: Leader::default(),
            run: 0,
            reports: Vec::new(),
            answers: Vec::new(),
            attempt: 0,
            timer: 0,
        };
        world.feed(FeedEvent::Reconnected);
        world
    }

    fn feed(&mut self, event: FeedEvent) {
        for effect in self.feed.step(event) {
            match effect {
                FeedEffect::Send { attempt, first, events } => {
                    assert!(!events.is_empty() && events.len() <= BATCH_EVENTS_MAX);
                    self.attempt = attempt;
                    self.reports.push((self.run, attempt, first, events));
                }
                FeedEffect::Wake { timer, .. } => self.timer = timer,
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Feed(event) => self.feed(event),
            Happening::Deliver(n) if !self.reports.is_empty() => {
                let n = n % self.reports.len();
                let (run, attempt, first, events) = self.reports.remove(n);
                let ack = self.leader.take(first, &events);
                if run == self.run {
                    self.answers.push((attempt, ack));
                }
            }
            Happening::LoseReport(n) if !self.reports.is_empty() => {
                let n = n % self.reports.len();
                self.reports.remove(n);
            }
            Happening::Answer(n) if !self.answers.is_empty() => {
                let n = n % self.answers.len();
                let (attempt, ack) = self.answers.remove(n);
                self.feed(FeedEvent::Answered { attempt, ack });
            }
            Happening::GiveUp => self.feed(FeedEvent::Failed { attempt: self.attempt }),
            Happening::Wake => self.feed(FeedEvent::Woke { timer: self.timer }),
            Happening::NewLeader => self.leader = Leader::default(),
            Happening::Restart => {
                let guests = self.feed.guests().cloned().collect();
                let unreadable = self.feed.unreadable().values().cloned().collect();
                let (info, first) = (self.feed.info().clone(), self.feed.next());
                self.feed = FeedState::new(info, guests, unreadable, first);
                self.run += 1;
                self.answers.clear();
                self.feed(FeedEvent::Reconnected);
            }
            Happening::Deliver(_) | Happening::LoseReport(_) | Happening::Answer(_) => {}
        }
    }

    /// The network heals: what is on the way arrives or is given up, in bounded time.
    fn settle(&mut self) {
        self.feed(FeedEvent::Info(info(42)));
        for _ in 0..100 {
            while !self.reports.is_empty() {
                self.happen(Happening::Deliver(0));
            }
            while !self.answers.is_empty() {
                self.happen(Happening::Answer(0));
            }
            if self.reports.is_empty() {
                self.happen(Happening::GiveUp);
                self.happen(Happening::Wake);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_leader_ends_with_the_true_picture(
        happenings in proptest::collection::vec(happening(), 0..200),
    ) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening);
            let there = world.feed.guests().filter(|g| g.state != GuestState::Shutdown);
            let memory: u64 = there.map(|g| g.memory.0).sum();
            prop_assert_eq!(world.feed.memory_of_guests(), MiB(memory));
        }
        world.settle();
        let guests: BTreeMap<_, _> =
            world.feed.guests().map(|g| (g.instance, g.clone())).collect();
        prop_assert_eq!(world.leader.picture, Some((info(42), guests)));
        let unreadable: Vec<_> = world.feed.unreadable().values().cloned().collect();
        prop_assert_eq!(world.leader.unreadable, unreadable);
    }
}

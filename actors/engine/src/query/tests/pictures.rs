//! The picture of the nodes: gaps, repetitions, restarts.

use std::collections::BTreeMap;

use gantry_model::ids::InstanceUuid;
use gantry_model::messages::{Report, ReportAck};
use gantry_model::report::{GuestReport, GuestState, NodeInfo, ReportEvent};
use gantry_wire::BootId;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{NodePicture, Picture};
use super::view::{boot, guest, info};
use crate::state::tests::sample::{instance_id, node_id};

const CASES: u32 = 2_000;
const ACTIONS: usize = 60;

fn full(guests: Vec<GuestReport>) -> ReportEvent {
    ReportEvent::Full { info: info(1), guests, unreadable: Vec::new() }
}

fn running(number: u8) -> ReportEvent {
    ReportEvent::Guest(guest(number, GuestState::Running))
}

fn report(picture: &mut Picture, first: u64, events: Vec<ReportEvent>) -> ReportAck {
    picture.report(Report { node: node_id(1), boot: boot(1), first, events })
}

fn guests(picture: &Picture) -> Vec<InstanceUuid> {
    picture.node(node_id(1)).expect("known").guests.keys().copied().collect()
}

#[test]
fn a_node_that_is_not_known_is_asked_for_everything() {
    let mut picture = Picture::default();
    assert_eq!(report(&mut picture, 0, vec![running(1)]), ReportAck::Full);
    assert_eq!(report(&mut picture, 0, Vec::new()), ReportAck::Full);
    assert_eq!(picture, Picture::default());
    let ack = report(&mut picture, 0, vec![full(vec![]), running(1)]);
    assert_eq!(ack, ReportAck::Next(2));
    assert_eq!(guests(&picture), [instance_id(1)]);
}

#[test]
fn a_gap_is_asked_for_and_nothing_behind_it_is_taken() {
    let mut picture = Picture::default();
    report(&mut picture, 0, vec![full(vec![])]);
    assert_eq!(report(&mut picture, 2, vec![running(2)]), ReportAck::Next(1));
    assert!(guests(&picture).is_empty());
    assert_eq!(report(&mut picture, 1, vec![running(1), running(2)]), ReportAck::Next(3));
    assert_eq!(guests(&picture).len(), 2);
}

#[test]
fn a_repetition_changes_nothing() {
    let mut picture = Picture::default();
    let gone = || ReportEvent::Gone(instance_id(1));
    report(&mut picture, 0, vec![full(vec![]), running(1), gone()]);
    let before = picture.clone();
    assert_eq!(report(&mut picture, 0, vec![full(vec![]), running(1)]), ReportAck::Next(3));
    assert_eq!(report(&mut picture, 1, vec![running(1)]), ReportAck::Next(3));
    assert_eq!(picture, before);
}

#[test]
fn everything_said_again_replaces_what_was_known() {
    let mut picture = Picture::default();
    report(&mut picture, 0, vec![full(vec![guest(1, GuestState::Running)])]);
    let everything = full(vec![guest(2, GuestState::Running)]);
    assert_eq!(report(&mut picture, 5, vec![everything]), ReportAck::Next(6));
    assert_eq!(guests(&picture), [instance_id(2)]);
    assert!(picture.places(instance_id(1)).is_empty());
}

#[test]
fn a_daemon_that_was_restarted_is_asked_for_everything() {
    let mut picture = Picture::default();
    report(&mut picture, 0, vec![full(vec![guest(1, GuestState::Running)])]);
    let of_new = |first, events| Report { node: node_id(1), boot: boot(2), first, events };
    assert_eq!(picture.report(of_new(0, vec![running(2)])), ReportAck::Full);
    assert_eq!(guests(&picture), [instance_id(1)], "taken without the beginning");
    assert_eq!(picture.report(of_new(1, vec![full(vec![])])), ReportAck::Next(2));
    assert!(guests(&picture).is_empty());
    assert_eq!(report(&mut picture, 1, vec![running(3)]), ReportAck::Full, "from the old run");
}

#[test]
fn a_node_that_went_away_is_old_until_it_says_something() {
    let mut picture = Picture::default();
    report(&mut picture, 0, vec![full(vec![guest(1, GuestState::Running)])]);
    picture.disconnected(node_id(1));
    assert!(!picture.node(node_id(1)).expect("known").connected);
    assert_eq!(guests(&picture), [instance_id(1)]);
    assert_eq!(report(&mut picture, 1, Vec::new()), ReportAck::Next(1));
    assert!(picture.node(node_id(1)).expect("known").connected);
    picture.disconnected(node_id(2));
}

#[test]
fn a_guest_is_found_wherever_it_was_seen() {
    let mut picture = Picture::default();
    for node in [1, 2] {
        let events = vec![full(vec![]), running(1), running(1)];
        picture.report(Report { node: node_id(node), boot: boot(node), first: 0, events });
    }
    assert_eq!(picture.places(instance_id(1)), [node_id(1), node_id(2)]);
    report(&mut picture, 3, vec![ReportEvent::Gone(instance_id(1))]);
    assert_eq!(picture.places(instance_id(1)), [node_id(2)]);
    picture.forget(node_id(2));
    assert!(picture.places(instance_id(1)).is_empty());
    assert!(picture.node(node_id(2)).is_none());
}

/// What a node's daemon does: it numbers events, sends from where the leader wants them, and
/// answers a wish for everything with everything.
#[derive(Clone, Debug)]
struct Daemon {
    boot: u8,
    info: NodeInfo,
    guests: BTreeMap<InstanceUuid, GuestReport>,
    events: Vec<ReportEvent>,
    next_wanted: usize,
}

impl Daemon {
    fn new() -> Self {
        let mut daemon = Self {
            boot: 1,
            info: info(1),
            guests: BTreeMap::new(),
            events: Vec::new(),
            next_wanted: 0,
        };
        daemon.say_everything();
        daemon
    }

    fn boot(&self) -> BootId {
        boot(self.boot)
    }

    fn say_everything(&mut self) {
        let guests = self.guests.values().cloned().collect();
        self.events.push(ReportEvent::Full {
            info: self.info.clone(),
            guests,
            unreadable: Vec::new(),
        });
    }

    fn restart(&mut self) {
        self.boot += 1;
        self.events.clear();
        self.next_wanted = 0;
        self.say_everything();
    }

    fn change(&mut self, number: u8, change: u8) {
        let event = match change {
            0 => {
                self.guests.remove(&instance_id(number));
                ReportEvent::Gone(instance_id(number))
            }
            1 => {
                self.info = info(u64::from(number) + 10);
                ReportEvent::Info(self.info.clone())
            }
            n => {
                let state = if n == 2 { GuestState::Running } else { GuestState::Shutdown };
                self.guests.insert(instance_id(number), guest(number, state));
                ReportEvent::Guest(guest(number, state))
            }
        };
        self.events.push(event);
    }

    /// At most `n_max` events from where they are wanted.
    fn report(&self, n_max: usize) -> Report {
        let first = self.next_wanted.min(self.events.len());
        let events = self.events[first..].iter().take(n_max).cloned().collect();
        Report { node: node_id(1), boot: self.boot(), first: first as u64, events }
    }

    fn obey(&mut self, ack: &ReportAck) {
        match ack {
            ReportAck::Next(next) => self.next_wanted = usize::try_from(*next).expect("small"),
            ReportAck::Full => {
                self.next_wanted = self.events.len();
                self.say_everything();
            }
            ReportAck::NotAMember => panic!("the picture knows no members"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Change(u8, u8),
    Restart,
    Disconnect,
    /// The daemon sends up to so many events.
    Send(usize),
    /// A report that was sent arrives, again perhaps; its answer arrives or is lost.
    Arrive(prop::sample::Index, bool),
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1..4_u8, 0..4_u8).prop_map(|(number, change)| Action::Change(number, change)),
        1 => Just(Action::Restart),
        1 => Just(Action::Disconnect),
        5 => (0..4_usize).prop_map(Action::Send),
        8 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, answered)| Action::Arrive(which, answered)),
    ]
}

/// Failing cases become tests of their own, not files beside the code.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_picture_becomes_true_whatever_was_lost_repeated_or_late(
        actions in vec(any_action(), 0..ACTIONS),
    ) {
        let (mut daemon, mut picture) = (Daemon::new(), Picture::default());
        let mut sent: Vec<Report> = Vec::new();
        for action in actions {
            match action {
                Action::Change(number, change) => daemon.change(number, change),
                Action::Restart => daemon.restart(),
                Action::Disconnect => picture.disconnected(node_id(1)),
                Action::Send(n_max) => sent.push(daemon.report(n_max)),
                Action::Arrive(which, answered) if !sent.is_empty() => {
                    let report = which.get(&sent).clone();
                    let of_this_run = report.boot == daemon.boot();
                    let ack = picture.report(report);
                    // An answer to the dead daemon reaches nobody.
                    if answered && of_this_run {
                        daemon.obey(&ack);
                    }
                }
                Action::Arrive(..) => {}
            }
        }
        // From here on nothing is lost: it takes a few reports at most.
        for _ in 0..4 {
            let ack = picture.report(daemon.report(usize::MAX));
            daemon.obey(&ack);
        }
        prop_assert_eq!(daemon.next_wanted, daemon.events.len(), "never up to date");
        let expected = NodePicture {
            boot: daemon.boot(),
            next: daemon.events.len() as u64,
            connected: true,
            info: daemon.info.clone(),
            guests: daemon.guests.clone(),
            unreadable: BTreeMap::new(),
        };
        prop_assert_eq!(picture.node(node_id(1)), Some(&expected));
        for number in 1..4 {
            let instance = instance_id(number);
            let seen = daemon.guests.contains_key(&instance);
            prop_assert_eq!(picture.places(instance).len(), usize::from(seen));
        }
    }
}

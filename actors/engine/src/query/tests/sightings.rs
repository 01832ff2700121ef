//! From reports to what is written.

use gantry_model::ids::RunEpoch;
use gantry_model::messages::Report;
use gantry_model::report::{GuestReport, GuestState, ReportEvent, UnreadableGuest};
use gantry_model::units::Timestamp;

use super::view::{boot, guest, info, unreadable};
use crate::query::{Picture, Sightings};
use crate::state::tests::sample::{Log, instance, instance_id, node_id};
use crate::state::{Applied, Command};

struct Bench {
    log: Log,
    picture: Picture,
    sightings: Sightings,
    next: u64,
}

impl Bench {
    fn new() -> Self {
        let mut log = Log::new();
        log.config(vec![gantry_model::deltas::ConfigDelta::InstanceAdd(Box::new(instance(1)))]);
        let mut bench =
            Self { log, picture: Picture::default(), sightings: Sightings::default(), next: 0 };
        bench.say(full(Vec::new(), Vec::new()));
        assert_eq!(bench.take(), []);
        bench
    }

    fn say(&mut self, event: ReportEvent) {
        let report =
            Report { node: node_id(1), boot: boot(1), first: self.next, events: vec![event] };
        self.next += 1;
        self.sightings.note(&report);
        self.picture.report(report);
    }

    /// What was seen gets into the log.
    fn write(&mut self) {
        let seen = self.sightings.take(&self.log.state, &self.picture, Timestamp(5));
        let command = Command::Transitions { reign: self.log.reign(), seen };
        assert_eq!(self.log.apply(command), Applied::Done);
    }

    fn take(&mut self) -> Vec<Option<(GuestState, RunEpoch)>> {
        let seen = self.sightings.take(&self.log.state, &self.picture, Timestamp(5));
        assert!(self.sightings.is_empty());
        seen.into_iter().map(|seen| seen.guest).collect()
    }
}

fn full(guests: Vec<GuestReport>, unreadable: Vec<UnreadableGuest>) -> ReportEvent {
    ReportEvent::Full { info: info(64), guests, unreadable }
}

#[test]
fn a_guest_that_cannot_be_found_out_has_not_ended() {
    let mut bench = Bench::new();
    bench.say(ReportEvent::Guest(running()));
    bench.write();
    bench.say(full(Vec::new(), vec![unreadable(1)]));
    assert_eq!(bench.take(), [], "nothing is known of it");
    bench.say(full(Vec::new(), Vec::new()));
    assert_eq!(bench.take(), [None], "now it is known that it is gone");
}

fn running() -> GuestReport {
    guest(1, GuestState::Running)
}

#[test]
fn a_guest_that_flaps_in_a_window_is_what_it_is_at_its_end() {
    let mut bench = Bench::new();
    for _ in 0..50 {
        bench.say(ReportEvent::Guest(running()));
        bench.say(ReportEvent::Gone(instance_id(1)));
    }
    bench.say(ReportEvent::Guest(running()));
    assert_eq!(bench.take(), [Some((GuestState::Running, running().epoch))]);
}

#[test]
fn samples_and_what_is_as_before_are_not_written() {
    let mut bench = Bench::new();
    bench.say(ReportEvent::Info(info(7)));
    assert!(bench.sightings.is_empty());
    bench.say(ReportEvent::Guest(running()));
    bench.say(ReportEvent::Gone(instance_id(1)));
    assert_eq!(bench.take(), []);
}

#[test]
fn a_full_report_tells_of_everybody_at_home_there() {
    let mut bench = Bench::new();
    bench.say(full(vec![running()], Vec::new()));
    assert_eq!(bench.take().len(), 1);
    bench.say(ReportEvent::Guest(running()));
    bench.picture.disconnected(node_id(1));
    assert_eq!(bench.take(), [], "what a node said before it went away is old");
}

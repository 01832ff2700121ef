//! The tests that every hypervisor passes.
//!
//! A backend implements [`Bench`] and calls [`conformance_tests!`](crate::conformance_tests), which
//! makes one test per case. The guests are [tiny guests](crate::guest) or behave like them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_model::errors::FaultCode;
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::node_calls::{
    CallOutcome, InstanceReboot, InstanceStart, InstanceStop, Recovery,
};
use gantry_model::objects::GuestSpec;
use gantry_model::report::{GuestReport, GuestState};
use gantry_model::units::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::contract::{
    ConsoleStream, DiskSource, GuestChange, GuestIntent, HvEvent, Hypervisor, StoppedBy,
};
use crate::error::HvError;
use crate::guest::TINY_GUEST_UP;

/// How long anything may take that must happen. Emulated guests on a busy machine need seconds;
/// a suite that fails waits this long once.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an obedient guest gets to shut down.
const STOP_TIME: Duration = Duration::from_secs(20);

/// How long a deaf guest gets: enough for it to notice, little enough for the suite.
const DEAF_STOP_TIME: Duration = Duration::from_millis(400);

/// A place to test a hypervisor in.
pub trait Bench: Send {
    /// The hypervisor under test.
    fn hypervisor(&self) -> Arc<dyn Hypervisor>;

    /// A guest that was never started, with its disks, ready to boot.
    fn guest(&mut self) -> (GuestSpec, Vec<DiskSource>);

    /// The daemon dies: the hypervisor is dropped and nobody watches.
    fn crash(&mut self);

    /// A new daemon: another hypervisor over the same world.
    fn restart(&mut self);

    /// The guest dies as by a power failure. `report` is its last.
    fn kill_behind(&mut self, report: &GuestReport) -> BoxFuture<'_, ()>;
}

/// Makes one test per case: `conformance_tests!(bench)` where `bench()` gives `Some` [`Bench`], or
/// `None` after having said why it cannot here.
#[macro_export]
macro_rules! conformance_tests {
    ($bench:expr) => {
        $crate::conformance_cases! { $bench;
            a_started_guest_runs_and_is_reported
            the_same_start_again_changes_nothing
            another_epoch_is_refused_while_one_runs
            an_older_epoch_is_refused_after_a_newer
            a_paused_guest_executes_nothing
            half_a_start_is_taken_back
            an_obedient_guest_shuts_down_when_asked
            a_deaf_guest_is_killed_in_time
            a_killed_guest_is_gone_and_stays_stopped
            a_shutdown_by_its_user_is_told_apart
            a_reboot_resets_and_keeps_the_process
            what_does_not_run_cannot_be_used
            guests_outlive_the_daemon
            a_death_that_nobody_saw_is_told
            a_start_without_its_disks_leaves_nothing
            a_lost_start_is_resolved
            a_lost_stop_and_a_lost_reboot_are_resolved
            all_readers_of_a_console_see_all
        }
    };
}

/// Used by [`conformance_tests!`](crate::conformance_tests).
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($bench:expr; $($case:ident)*) => { $(
        #[tokio::test]
        async fn $case() {
            if let Some(mut bench) = ($bench)() {
                $crate::conformance::$case(&mut bench).await;
            }
        }
    )* };
}

/// A guest that has been started.
struct Running {
    spec: GuestSpec,
    disks: Vec<DiskSource>,
    report: GuestReport,
    console: Box<dyn ConsoleStream>,
    events: broadcast::Receiver<HvEvent>,
}

impl Running {
    fn instance(&self) -> InstanceUuid {
        self.spec.instance
    }

    async fn says(&mut self, text: &str) {
        read_until(&mut *self.console, text).await;
    }

    async fn press(&mut self, key: u8) {
        self.console.write_all(&[key]).await.expect("the console takes a key");
    }
}

async fn running(bench: &mut dyn Bench) -> Running {
    let (spec, disks) = bench.guest();
    let hv = bench.hypervisor();
    let events = hv.events();
    let started = hv.start(&spec, &disks, false).await.expect("starts");
    let console = hv.console(spec.instance).await.expect("has a console");
    let mut running = Running { spec, disks, report: started.report, console, events };
    running.says(&format!("{TINY_GUEST_UP}1")).await;
    running
}

async fn read_until(console: &mut dyn ConsoleStream, text: &str) {
    let mut said = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&said).contains(text) {
            let byte = console.read_u8().await.expect("the console goes on");
            said.push(byte);
        }
    };
    if tokio::time::timeout(PATIENCE, reading).await.is_err() {
        panic!("no {text:?} but {:?}", String::from_utf8_lossy(&said));
    }
}

/// Waits for a change of a guest that satisfies a condition; gives all until then.
async fn until_change(
    events: &mut broadcast::Receiver<HvEvent>,
    instance: InstanceUuid,
    wanted: impl Fn(&GuestChange) -> bool,
) -> Vec<GuestChange> {
    let mut seen = Vec::new();
    let waiting = async {
        while !seen.last().is_some_and(&wanted) {
            let event = events.recv().await.expect("events go on");
            if event.instance == instance {
                seen.push(event.change);
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
    assert!(in_time, "only these changes came: {seen:?}");
    seen
}

async fn until_exited(
    events: &mut broadcast::Receiver<HvEvent>,
    instance: InstanceUuid,
) -> Vec<GuestChange> {
    until_change(events, instance, |change| matches!(change, GuestChange::Exited { .. })).await
}

/// All guests; none of them is unreadable.
async fn list(hv: &dyn Hypervisor) -> Vec<GuestReport> {
    let listing = hv.list().await.expect("lists");
    assert!(listing.unreadable.is_empty(), "{:?}", listing.unreadable);
    listing.guests
}

async fn is_gone(hv: &dyn Hypervisor, instance: InstanceUuid) -> bool {
    let listed = list(hv).await;
    hv.query(instance).await.expect("asks").is_none()
        && listed.iter().all(|report| report.instance != instance)
}

fn start_of(spec: &GuestSpec, paused: bool) -> InstanceStart {
    InstanceStart { spec: spec.clone(), paused }
}

/// Starts, reports what was asked for, pushes `Started`.
pub async fn a_started_guest_runs_and_is_reported(bench: &mut dyn Bench) {
    let mut guest = running(bench).await;
    let hv = bench.hypervisor();
    let report = &guest.report;
    assert_eq!(report.state, GuestState::Running);
    assert_eq!((report.instance, &report.name), (guest.spec.instance, &guest.spec.name));
    assert_eq!((report.memory, report.vcpus), (guest.spec.memory, guest.spec.vcpus));
    assert_eq!((report.epoch, report.hypervisor), (guest.spec.epoch, hv.kind()));
    assert!(!report.accelerator.is_empty());
    assert_eq!(hv.query(guest.instance()).await.expect("asks").as_ref(), Some(report));
    assert_eq!(list(&*hv).await, std::slice::from_ref(report));
    let instance = guest.instance();
    until_change(&mut guest.events, instance, |change| *change == GuestChange::Started).await;
    hv.kill(instance).await.expect("killed");
}

/// The same epoch again is a success and no second guest.
pub async fn the_same_start_again_changes_nothing(bench: &mut dyn Bench) {
    let guest = running(bench).await;
    let hv = bench.hypervisor();
    let again = hv.start(&guest.spec, &guest.disks, false).await.expect("the same start");
    assert_eq!(again.report, guest.report);
    assert_eq!(list(&*hv).await.len(), 1);
    hv.kill(guest.instance()).await.expect("killed");
}

/// A guest never runs twice: while one epoch runs, older and newer ones are refused.
pub async fn another_epoch_is_refused_while_one_runs(bench: &mut dyn Bench) {
    let guest = running(bench).await;
    let hv = bench.hypervisor();
    for epoch in [RunEpoch(guest.spec.epoch.0 - 1), guest.spec.epoch.next()] {
        let other = GuestSpec { epoch, ..guest.spec.clone() };
        let error = hv.start(&other, &guest.disks, false).await.expect_err("another runs");
        assert!(matches!(error, HvError::OtherEpochRuns { .. }), "{error}");
        assert_eq!(error.code(), FaultCode::WrongState);
    }
    let report = hv.query(guest.instance()).await.expect("asks").expect("still there");
    assert_eq!(report, guest.report);
    hv.kill(guest.instance()).await.expect("killed");
}

/// After a newer epoch was here an older one is too late, even if nothing runs.
pub async fn an_older_epoch_is_refused_after_a_newer(bench: &mut dyn Bench) {
    let guest = running(bench).await;
    bench.hypervisor().kill(guest.instance()).await.expect("killed");
    bench.crash();
    bench.restart();
    let hv = bench.hypervisor();
    let old = GuestSpec { epoch: RunEpoch(guest.spec.epoch.0 - 1), ..guest.spec.clone() };
    let error = hv.start(&old, &guest.disks, false).await.expect_err("too late");
    assert_eq!(error.code(), FaultCode::StaleToken, "{error}");
    let new = GuestSpec { epoch: guest.spec.epoch.next(), ..guest.spec };
    hv.start(&new, &guest.disks, false).await.expect("newer");
    hv.kill(new.instance).await.expect("killed");
}

/// Paused is before the first instruction; a stop does not wait for a guest that cannot hear.
pub async fn a_paused_guest_executes_nothing(bench: &mut dyn Bench) {
    let (spec, disks) = bench.guest();
    let hv = bench.hypervisor();
    let started = hv.start(&spec, &disks, true).await.expect("starts");
    assert_eq!(started.report.state, GuestState::Paused);
    let recovered = hv.recover(GuestIntent::Start(&start_of(&spec, true))).await;
    assert!(matches!(recovered, Recovery::Done(_)), "{recovered:?}");
    let mut console = hv.console(spec.instance).await.expect("has a console");
    let stopped = hv.stop(spec.instance, PATIENCE).await.expect("stops");
    assert_eq!(stopped, StoppedBy::KilledUnasked);
    let mut said = String::new();
    console.read_to_string(&mut said).await.expect("reads");
    assert_eq!(said, "");
    assert!(is_gone(&*hv, spec.instance).await);
}

/// A crash after the hypervisor made the guest and before its first instruction: not started.
pub async fn half_a_start_is_taken_back(bench: &mut dyn Bench) {
    let (spec, disks) = bench.guest();
    bench.hypervisor().start(&spec, &disks, true).await.expect("starts");
    bench.crash();
    bench.restart();
    let hv = bench.hypervisor();
    let recovered = hv.recover(GuestIntent::Start(&start_of(&spec, false))).await;
    assert_eq!(recovered, Recovery::NotStarted);
    assert!(is_gone(&*hv, spec.instance).await);
    let started = hv.start(&spec, &disks, false).await.expect("the same start, whole");
    assert_eq!(started.report.state, GuestState::Running);
    hv.kill(spec.instance).await.expect("killed");
}

/// Asked, it shuts down; events tell that it did and that it was asked.
pub async fn an_obedient_guest_shuts_down_when_asked(bench: &mut dyn Bench) {
    let mut guest = running(bench).await;
    let instance = guest.instance();
    let hv = bench.hypervisor();
    let stopped = hv.stop(instance, STOP_TIME).await.expect("stops");
    assert_eq!(stopped, StoppedBy::Guest);
    guest.says("POWERDOWN").await;
    let changes = until_exited(&mut guest.events, instance).await;
    assert!(
        changes.contains(&GuestChange::Shutdown { guest: true, requested: true }),
        "{changes:?}"
    );
    assert!(is_gone(&*hv, instance).await);
}

/// One that ignores the request is killed when its time is over.
pub async fn a_deaf_guest_is_killed_in_time(bench: &mut dyn Bench) {
    let mut guest = running(bench).await;
    guest.press(b'i').await;
    guest.says("IGNORE 1").await;
    let hv = bench.hypervisor();
    let stopped = hv.stop(guest.instance(), DEAF_STOP_TIME).await.expect("stops");
    assert_eq!(stopped, StoppedBy::KilledAfterTimeout);
    assert!(is_gone(&*hv, guest.instance()).await);
}

/// Without time it is not asked; once stopped, stopping is done.
pub async fn a_killed_guest_is_gone_and_stays_stopped(bench: &mut dyn Bench) {
    let mut guest = running(bench).await;
    let instance = guest.instance();
    let hv = bench.hypervisor();
    assert_eq!(hv.kill(instance).await.expect("killed"), StoppedBy::KilledUnasked);
    assert!(is_gone(&*hv, instance).await);
    let changes = until_exited(&mut guest.events, instance).await;
    let by_guest =
        |change: &GuestChange| matches!(change, GuestChange::Shutdown { guest: true, .. });
    assert!(!changes.iter().any(by_guest), "{changes:?}");
    let again = hv.stop(instance, PATIENCE).await.expect("stops");
    assert_eq!(again, StoppedBy::AlreadyDown);
}

/// A guest that shuts itself down unasked was shut down by its user.
pub async fn a_shutdown_by_its_user_is_told_apart(bench: &mut dyn Bench) {
    let mut guest = running(bench).await;
    let instance = guest.instance();
    guest.press(b'q').await;
    let changes = until_exited(&mut guest.events, instance).await;
    assert!(
        changes.contains(&GuestChange::Shutdown { guest: true, requested: false }),
        "{changes:?}"
    );
    assert!(is_gone(&*bench.hypervisor(), instance).await);
}

/// After a reboot it boots from the same disk again, in the same process.
pub async fn a_reboot_resets_and_keeps_the_process(bench: &mut dyn Bench) {
    let mut guest = running(bench).await;
    let instance = guest.instance();
    let hv = bench.hypervisor();
    hv.reboot(instance, None).await.expect("reset");
    guest.says(&format!("{TINY_GUEST_UP}2")).await;
    until_change(&mut guest.events, instance, |change| *change == GuestChange::Reset).await;
    let report = hv.query(instance).await.expect("asks").expect("runs");
    assert_eq!(report, guest.report);
    hv.kill(instance).await.expect("killed");
}

/// Rebooting or watching what does not run is refused, stopping it is done.
pub async fn what_does_not_run_cannot_be_used(bench: &mut dyn Bench) {
    let (spec, _) = bench.guest();
    let hv = bench.hypervisor();
    let reboot = hv.reboot(spec.instance, None).await.expect_err("not there");
    assert_eq!(reboot.code(), FaultCode::WrongState, "{reboot}");
    let console = hv.console(spec.instance).await.err().expect("not there");
    assert!(matches!(console, HvError::NotRunning { .. }), "{console}");
    let stopped = hv.stop(spec.instance, PATIENCE).await.expect("is stopped");
    assert_eq!(stopped, StoppedBy::AlreadyDown);
    assert!(is_gone(&*hv, spec.instance).await);
}

/// A new daemon finds the guest, has its console, hears of its end.
pub async fn guests_outlive_the_daemon(bench: &mut dyn Bench) {
    let guest = running(bench).await;
    let instance = guest.instance();
    bench.crash();
    bench.restart();
    let hv = bench.hypervisor();
    let mut events = hv.events();
    assert_eq!(list(&*hv).await, std::slice::from_ref(&guest.report));
    let again = hv.start(&guest.spec, &guest.disks, false).await.expect("runs already");
    assert_eq!(again.report, guest.report);
    let mut console = hv.console(instance).await.expect("has a console");
    console.write_all(b"r").await.expect("takes a key");
    read_until(&mut *console, &format!("{TINY_GUEST_UP}2")).await;
    assert_eq!(hv.stop(instance, STOP_TIME).await.expect("stops"), StoppedBy::Guest);
    let changes = until_exited(&mut events, instance).await;
    assert_eq!(changes.first(), Some(&GuestChange::Started), "{changes:?}");
}

/// What ended while no daemon lived is cleaned up and told, once.
pub async fn a_death_that_nobody_saw_is_told(bench: &mut dyn Bench) {
    let guest = running(bench).await;
    let instance = guest.instance();
    bench.crash();
    bench.kill_behind(&guest.report).await;
    bench.restart();
    let hv = bench.hypervisor();
    let mut events = hv.events();
    assert_eq!(list(&*hv).await, []);
    let changes = until_exited(&mut events, instance).await;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(list(&*hv).await, []);
    assert!(events.try_recv().is_err(), "told twice");
}

/// A start that is refused or fails has no effect.
pub async fn a_start_without_its_disks_leaves_nothing(bench: &mut dyn Bench) {
    let (spec, disks) = bench.guest();
    let hv = bench.hypervisor();
    let mut events = hv.events();
    let error = hv.start(&spec, &[], false).await.expect_err("no disks");
    assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
    assert!(is_gone(&*hv, spec.instance).await);
    assert!(events.try_recv().is_err(), "nothing has happened");
    hv.start(&spec, &disks, false).await.expect("with them it starts");
    hv.kill(spec.instance).await.expect("killed");
}

/// Before, during and after: what became of a start.
pub async fn a_lost_start_is_resolved(bench: &mut dyn Bench) {
    let (spec, disks) = bench.guest();
    let start = start_of(&spec, false);
    let hv = bench.hypervisor();
    assert_eq!(hv.recover(GuestIntent::Start(&start)).await, Recovery::NotStarted);
    let started = hv.start(&spec, &disks, false).await.expect("starts");
    drop(hv);
    bench.crash();
    bench.restart();
    let hv = bench.hypervisor();
    let recovered = hv.recover(GuestIntent::Start(&start)).await;
    let notes = started.notes;
    assert_eq!(recovered, Recovery::Done(CallOutcome::with_notes(notes)), "it runs");
    let newer = start_of(&GuestSpec { epoch: spec.epoch.next(), ..spec.clone() }, false);
    let recovered = hv.recover(GuestIntent::Start(&newer)).await;
    assert_eq!(recovered, Recovery::NotStarted, "an older one runs");
    hv.kill(spec.instance).await.expect("killed");
    let recovered = hv.recover(GuestIntent::Start(&start)).await;
    assert!(matches!(recovered, Recovery::Done(_)), "it ran: {recovered:?}");
    let older = GuestSpec { epoch: RunEpoch(spec.epoch.0 - 1), ..spec };
    let recovered = hv.recover(GuestIntent::Start(&start_of(&older, false))).await;
    assert!(matches!(recovered, Recovery::Failed(_)), "too late: {recovered:?}");
}

/// A stop is seen by the guest's absence, a reset by its mark; without one nobody guesses.
pub async fn a_lost_stop_and_a_lost_reboot_are_resolved(bench: &mut dyn Bench) {
    let guest = running(bench).await;
    let (instance, hypervisor) = (guest.instance(), guest.report.hypervisor);
    let hv = bench.hypervisor();
    let disks = Vec::new();
    let stop = InstanceStop { instance, hypervisor, timeout: Millis(0), epoch: None, disks };
    let reboot = InstanceReboot { instance, hypervisor, mark: None };
    assert_eq!(hv.recover(GuestIntent::Stop(&stop)).await, Recovery::NotStarted);
    let recovered = hv.recover(GuestIntent::Reboot(&reboot)).await;
    assert!(matches!(recovered, Recovery::Unknown(_)), "{recovered:?}");
    let marked = |number| InstanceReboot { mark: Some(Uuid::from_u128(number)), ..reboot.clone() };
    let recovered = hv.recover(GuestIntent::Reboot(&marked(1))).await;
    assert_eq!(recovered, Recovery::NotStarted);
    hv.reboot(instance, marked(1).mark).await.expect("reset");
    let recovered = hv.recover(GuestIntent::Reboot(&marked(1))).await;
    assert_eq!(recovered, Recovery::Done(CallOutcome::default()));
    let recovered = hv.recover(GuestIntent::Reboot(&marked(2))).await;
    assert_eq!(recovered, Recovery::NotStarted, "another one");
    hv.kill(instance).await.expect("killed");
    let recovered = hv.recover(GuestIntent::Stop(&stop)).await;
    assert_eq!(recovered, Recovery::Done(CallOutcome::default()));
    let recovered = hv.recover(GuestIntent::Reboot(&reboot)).await;
    assert!(matches!(recovered, Recovery::Failed(_)), "{recovered:?}");
}

/// A reader that comes later sees what was said before, and both see the end.
pub async fn all_readers_of_a_console_see_all(bench: &mut dyn Bench) {
    let guest = running(bench).await;
    let hv = bench.hypervisor();
    let mut late = hv.console(guest.instance()).await.expect("has a console");
    hv.stop(guest.instance(), STOP_TIME).await.expect("stops");
    let mut said = String::new();
    let reading = late.read_to_string(&mut said);
    tokio::time::timeout(PATIENCE, reading).await.expect("ends").expect("reads");
    assert!(said.starts_with(TINY_GUEST_UP) && said.contains("POWERDOWN"), "{said:?}");
}

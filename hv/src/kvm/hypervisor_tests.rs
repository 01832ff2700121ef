//! What the hypervisor forgets, and how it reads QEMU's words.

use super::*;
use crate::kvm::{Accelerator, GuestRecord};
use gantry_model::ids::RunEpoch;
use gantry_model::names::InstanceName;
use gantry_model::units::MiB;
use uuid::Uuid;

fn record(n: u128) -> GuestRecord {
    let spec = GuestSpec {
        instance: InstanceUuid(Uuid::from_u128(n)),
        name: InstanceName::new("a").expect("a name"),
        hvparams: KvmParams::default().into(),
        memory: MiB(1),
        vcpus: 1,
        disks: Vec::new(),
        nics: Vec::new(),
        epoch: RunEpoch(1),
        network_port: None,
        tags: Vec::new(),
        uid_pool: Vec::new(),
    };
    let (disks, notes) = (Vec::new(), Vec::new());
    GuestRecord { spec, disks, accelerator: Accelerator::Tcg, notes, paused: false }
}

#[tokio::test]
async fn the_ends_of_most_guests_are_kept_and_the_oldest_are_forgotten() {
    // In memory, where flushing some thousand small files costs nothing.
    let shm = Path::new("/dev/shm");
    let place = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    let base = tempfile::tempdir_in(place).expect("tempdir");
    let n_guests = ENDED_KEPT as u128 + 3;
    for n in 0..n_guests {
        let record = record(n);
        let dir = RunDir::new(base.path(), record.spec.instance);
        dir.begin(&record).expect("written");
        dir.mark_ended(record.spec.epoch).expect("written");
    }
    let hv = KvmHypervisor::new(KvmConfig::new(base.path()));
    assert_eq!(hv.list().await.expect("lists").guests, []);
    let left = RunDir::all(base.path()).expect("lists");
    assert_eq!(left.len(), ENDED_KEPT);
    let newest = InstanceUuid(Uuid::from_u128(n_guests - 1));
    assert!(left.iter().any(|dir| dir.instance() == newest));
    assert!(hv.slots.lock().expect("not poisoned").is_empty(), "nor are their locks kept");
}

#[test]
fn an_unknown_run_state_exists_and_may_execute() {
    assert_eq!(guest_state("running"), GuestState::Running);
    assert_eq!(guest_state("prelaunch"), GuestState::Paused);
    assert_eq!(guest_state("guest-panicked"), GuestState::Shutdown);
    assert_eq!(guest_state("a state of the future"), GuestState::Running);
}

/// A guest of which the process table says that it runs.
#[expect(
    clippy::disallowed_methods,
    reason = "a process that stands for QEMU is not ours to watch"
)]
fn running(base: &Path, n: u128) -> (RunDir, std::process::Child) {
    let record = record(n);
    let dir = RunDir::new(base, record.spec.instance);
    dir.begin(&record).expect("written");
    let process = std::process::Command::new("sleep").arg("600").spawn().expect("runs");
    let identity = gantry_host::ProcessIdentity::of(process.id()).expect("asks");
    dir.mark_executing(&identity.expect("lives")).expect("written");
    (dir, process)
}

#[tokio::test]
async fn a_guest_that_cannot_be_read_is_named_and_hides_no_other() {
    let base = tempfile::tempdir().expect("tempdir");
    let guests: Vec<_> = (1..=5).map(|n| running(base.path(), n)).collect();
    let damage = |n: usize, file: &str| {
        std::fs::write(guests[n].0.path().join(file), b"\xc1").expect("written");
    };
    damage(1, "spec");
    damage(2, "process");
    std::fs::remove_file(guests[3].0.path().join("spec")).expect("was there");
    let hv = KvmHypervisor::new(KvmConfig::new(base.path()));
    let listing = hv.list().await.expect("a list");
    let id = |n: usize| guests[n].0.instance();
    let listed: Vec<_> = listing.guests.iter().map(|guest| guest.instance).collect();
    assert_eq!(listed, [id(0), id(4)]);
    let named: Vec<_> = listing.unreadable.keys().copied().collect();
    assert_eq!(named, [id(1), id(2), id(3)]);
    for (n, expected) in [(1, guests[1].1.id()), (3, guests[3].1.id())] {
        let error = &listing.unreadable[&id(n)];
        assert!(
            matches!(error, HvError::Unrecorded { pid, .. } if *pid == expected),
            "{n}: {error:?}"
        );
    }
    let error = gantry_wire::ErrorChain(&listing.unreadable[&id(2)]).to_string();
    assert!(error.starts_with("could not decode ") && error.contains("/process: "), "{error}");
    for (_, mut process) in guests {
        process.kill().expect("killed");
        process.wait().expect("ended");
    }
}

/// A guest whose monitor takes connections and never says a word.
#[tokio::test]
async fn one_hung_monitor_neither_fails_a_list_nor_delays_it_for_long() {
    let base = tempfile::tempdir().expect("tempdir");
    let mut processes = Vec::new();
    let mut listeners = Vec::new();
    for n in 1..=3 {
        let (dir, process) = running(base.path(), n);
        listeners.push(std::os::unix::net::UnixListener::bind(dir.qmp()).expect("binds"));
        processes.push(process);
    }
    let hv = KvmHypervisor::new(KvmConfig::new(base.path()));
    let begun = tokio::time::Instant::now();
    let listed = hv.list().await.expect("a list").guests;
    // All at once; the margin is for a machine that is busy.
    assert!(begun.elapsed() < LISTED_TIME_MAX * 2, "{:?}", begun.elapsed());
    let listed: Vec<_> =
        listed.iter().map(|guest| (guest.instance.0.as_u128(), guest.pid)).collect();
    let expected: Vec<_> =
        (1_u128..).zip(&processes).map(|(n, process)| (n, Some(process.id()))).collect();
    assert_eq!(listed, expected);
    for mut process in processes {
        process.kill().expect("killed");
        process.wait().expect("ended");
    }
}

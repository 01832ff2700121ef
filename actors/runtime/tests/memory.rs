//! An idle actor is small: mailbox, supervision, registry entry and all.

#![cfg(target_os = "linux")]

use gantry_runtime::{Actor, Platform, Protocol, SpawnOptions, System, SystemConfig, simulate};
use gantry_wire::{ActorPath, BootId, NodeId};
use uuid::Uuid;

/// What design.md section 12 asks for.
const IDLE_ACTOR_BYTES_MAX: usize = 1536;

const N_ACTORS: usize = 50_000;

struct Idle;

impl Actor for Idle {
    const KIND: &'static str = "idle";
    fn protocol() -> Protocol<Self> {
        Protocol::new()
    }
}

/// Resident memory of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a VmRSS line");
    let kib: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("KiB");
    kib * 1024
}

#[test]
fn an_idle_actor_is_small() {
    let per_actor = simulate(async {
        let config =
            SystemConfig { node: NodeId(Uuid::from_u128(1)), boot: BootId(Uuid::from_u128(1)) };
        let system = System::new(Platform::simulated(1), config);
        let before = resident_bytes();
        for n in 0..N_ACTORS {
            let path = ActorPath::new(&format!("/idle/{n}")).expect("valid");
            system.spawn(path, SpawnOptions::default(), || Idle).expect("a free path");
            if n % 100 == 0 {
                // Lets them start, so that the queue of spawns is not measured too.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(system.actors().iter().filter(|actor| actor.handled == 1).count(), N_ACTORS);
        (resident_bytes() - before) / N_ACTORS
    });
    assert!(per_actor <= IDLE_ACTOR_BYTES_MAX, "{per_actor} bytes per idle actor");
    assert!(per_actor > 100, "{per_actor} bytes: the measurement is broken");
}

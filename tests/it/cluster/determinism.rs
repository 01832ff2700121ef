//! One seed, one run.

use gantry_link::sim::{SimConfig, TraceEvent};
use gantry_runtime::simulate;
use gantry_tests::{JobEnd, MachineNumber, SimCluster, ops};

/// Everything that can be seen of a run: the network, the ends of jobs, the worlds.
#[derive(Debug, PartialEq)]
struct Seen {
    trace: Vec<TraceEvent>,
    ends: Vec<JobEnd>,
    worlds: String,
    state: [u8; 32],
}

fn run(seed: u64) -> Seen {
    simulate(async move {
        let rough =
            SimConfig { loss_per_mille: 20, duplicate_per_mille: 20, ..SimConfig::default() };
        let mut cluster = SimCluster::on_network(seed, 3, rough).await;
        let client = cluster.client_at(MachineNumber(3));
        let creations = [("web1", 1), ("web2", 2), ("web3", 3)]
            .map(|(name, node)| ops::create(name, MachineNumber(node)));
        let mut jobs = client.submit_ops(creations).await.expect("accepted");
        cluster.crash(MachineNumber(2));
        cluster.restart(MachineNumber(2)).await;
        jobs.push(client.submit_one(ops::shutdown("web1")).await);
        jobs.push(client.submit_one(ops::remove("web3")).await);
        let mut ends = Vec::new();
        for job in jobs {
            ends.push(client.wait(job).await);
        }
        cluster.assert_all_well().await;
        let guests = cluster.guests().running().await.expect("a world in memory");
        let disks = cluster.disks().disks().await.expect("a world in memory");
        Seen {
            trace: cluster.trace(),
            ends,
            worlds: format!("{guests:?} {disks:?}"),
            state: cluster.state().hash().expect("a hash"),
        }
    })
}

#[test]
fn one_seed_gives_one_run_and_another_seed_another() {
    let (first, again) = (run(7), run(7));
    assert!(first.trace.len() > 100, "{}", first.trace.len());
    let differs = first.trace.iter().zip(&again.trace).position(|(a, b)| a != b);
    if let Some(at) = differs {
        let shown = at.saturating_sub(3)..(at + 3).min(again.trace.len());
        panic!("at {at}: {:#?} or {:#?}", &first.trace[shown.clone()], &again.trace[shown]);
    }
    assert_eq!(first, again);
    assert_ne!(first.trace, run(8).trace);
}

//! The agent of a node dies at every point of every node call of an operation, and comes back.

use gantry_node::{CrashAt, CrashSpec};
use gantry_runtime::simulate;
use gantry_tests::MachineNumber;

use super::scenario::{Operation, Scenario};

const AGENT: MachineNumber = MachineNumber(2);

fn crash_everywhere(operation: Operation, calls: &[&'static str]) {
    let scenario = Scenario::new(operation, AGENT);
    for call in calls {
        for at in CrashAt::ALL {
            simulate(async {
                let mut cluster = scenario.set_up().await;
                cluster.crash_agent_at(AGENT, CrashSpec { call, at });
                let job = scenario.begin(&cluster);
                cluster.wait_until("the agent dies", |cluster| cluster.is_down(AGENT)).await;
                cluster.restart(AGENT).await;
                let end = job.await.expect("no panic");
                let context = format!("{call} {}", at.as_str());
                scenario.assert_right(&cluster, &end, &context).await;
            });
        }
    }
}

#[test]
fn during_a_creation() {
    crash_everywhere(Operation::Create, &["disk.create", "disk.write-image", "instance.start"]);
}

#[test]
fn during_a_creation_that_is_taken_back() {
    crash_everywhere(Operation::CreateInVain, &["disk.write-image", "disk.remove"]);
}

#[test]
fn during_a_creation_that_does_not_start() {
    crash_everywhere(Operation::CreateUnstarted, &["instance.start", "instance.stop"]);
}

#[test]
fn during_a_startup() {
    crash_everywhere(Operation::Startup, &["instance.start"]);
}

#[test]
fn during_a_shutdown() {
    crash_everywhere(Operation::Shutdown, &["instance.stop"]);
}

#[test]
fn during_a_reboot() {
    crash_everywhere(Operation::Reboot, &["instance.reboot"]);
}

#[test]
fn during_a_full_reboot() {
    crash_everywhere(Operation::RebootFull, &["instance.stop", "instance.start"]);
}

#[test]
fn during_a_removal() {
    crash_everywhere(Operation::Remove, &["instance.stop", "disk.remove"]);
}

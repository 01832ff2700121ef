//! What a job would do is said without doing it.

use gantry_model::locks::LockMode;
use gantry_model::messages::NewJob;
use gantry_model::opcodes::OpRequest;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

fn job(op: impl Into<OpRequest>) -> NewJob {
    NewJob { ops: vec![op.into()] }
}

#[test]
fn a_plan_says_what_the_job_then_does_and_changes_nothing() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        client.done(ops::create("web1", MachineNumber(2))).await;
        client.done(ops::shutdown("web1")).await;
        cluster.wait_until_idle().await;
        let (before, last_job) = (cluster.state().instances.clone(), cluster.state().last_job);
        let plan = client.plan(job(ops::startup("web1"))).await.expect("it can be started");
        assert_eq!(cluster.state().last_job, last_job, "no job was made");
        assert_eq!(cluster.state().instances, before);

        let [op] = plan.ops.as_slice() else { panic!("{plan:?}") };
        assert_eq!(op.summary, "INSTANCE_STARTUP(web1)");
        let locks: Vec<_> = op.locks.iter().flatten().map(|l| (l.name.as_str(), l.mode)).collect();
        assert!(locks.contains(&("instance/web1", LockMode::Exclusive)), "{locks:?}");
        assert_eq!(op.nodes, [ops::node_name(MachineNumber(2)).to_string()]);
        let acts: Vec<&str> = op.steps.iter().map(|step| step.act.as_str()).collect();
        assert_eq!(acts, ["configuration", "instance.start"]);
        let fields: Vec<&str> = op.changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["admin_state", "run_epoch"]);

        client.done(ops::startup("web1")).await;
        cluster.wait_until_idle().await;
        for change in &op.changes {
            let instance = cluster.state().instances.values().next().expect("there").clone();
            let now = serde_json::to_value(instance.as_ref()).expect("encodes");
            assert_eq!(now[&change.field], change.after, "{}", change.field);
        }
        cluster.assert_all_well().await;
    });
}

#[test]
fn what_would_be_refused_is_refused() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let refused = cluster.client().plan(job(ops::startup("web9"))).await;
        let refused = format!("{:?}", refused.expect_err("there is no such instance"));
        assert!(refused.contains("Instance 'web9' not known"), "{refused}");
        cluster.assert_all_well().await;
    });
}

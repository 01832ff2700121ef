//! What is looked at when a job is submitted, and again when it runs: dependencies that count back,
//! ids beside names, urgencies.

use gantry_model::errors::FaultCode;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::NewJob;
use gantry_model::opcodes::{OpRequest, PRIORITIES_SUBMITTED};
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};
use serde_json::{Value, json};

fn job(document: &Value) -> NewJob {
    NewJob { ops: vec![OpRequest::from_ganeti(document).expect("an opcode")] }
}

fn delay(depends: &Value) -> NewJob {
    job(&json!({ "OP_ID": "OP_TEST_DELAY", "duration": 0.01, "depends": depends }))
}

// covers: O94 Q33 Q50
#[test]
fn what_is_counted_back_is_the_job_that_was_meant_also_when_one_between_is_refused() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let client = cluster.client();
        let bad = job(&json!({ "OP_ID": "OP_TEST_DELAY", "duration": 0 }));
        let any = json!([]);
        let on = |back: i64| delay(&json!([[back, any]]));
        let jobs = vec![delay(&json!([])), bad, on(-2), on(-2), on(-1)];
        let answers = client.submit(jobs).await.expect("answered");
        let refused: Vec<bool> = answers.iter().map(Result::is_err).collect();
        assert_eq!(refused, [false, true, false, true, true]);
        let text = answers[3].as_ref().expect_err("refused").one_line();
        assert!(text.starts_with("the job depends on one that was refused: "), "{text}");
        let (first, third) = (*answers[0].as_ref().expect("ok"), *answers[2].as_ref().expect("ok"));
        client.wait(third).await.expect_success();
        let state = cluster.state();
        let record = state.jobs.get(&third).expect("submitted");
        assert_eq!(record.ops[0].input.common.depends[0].job, first);
        cluster.assert_all_well().await;
    });
}

// covers: O93
#[test]
fn only_three_urgencies_are_submitted() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let client = cluster.client();
        for priority in i8::MIN..=i8::MAX {
            let mut request = OpRequest::from(ops::delay(1));
            request.common.priority = priority;
            let answers = client.submit(vec![NewJob { ops: vec![request] }]).await;
            let answer = &answers.expect("answered")[0];
            assert_eq!(answer.is_ok(), PRIORITIES_SUBMITTED.contains(&priority), "{priority}");
        }
        cluster.assert_all_well().await;
    });
}

// covers: O97
#[test]
fn a_name_and_an_id_that_disagree_are_refused() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        let (one, two) = (MachineNumber(1), MachineNumber(2));
        let state = cluster.state();
        let name = |machine| {
            let node = cluster.node(machine);
            let node = state.nodes.get(&node).expect("a node");
            (node.name.to_string(), node.uuid.to_string())
        };
        let ((name_1, id_1), (_, id_2)) = (name(one), name(two));
        let on = |names: Value, ids: Value| {
            job(&json!({
                "OP_ID": "OP_TEST_DELAY", "duration": 0.01, "on_nodes": names,
                "on_node_uuids": ids
            }))
        };
        let agree = on(json!([name_1]), json!([id_1]));
        let only_id = on(Value::Null, json!([id_1]));
        let differ = on(json!([name_1]), json!([id_2]));
        let answers = client.submit(vec![agree, only_id, differ]).await.expect("answered");
        for answer in &answers[..2] {
            let job = *answer.as_ref().expect("accepted");
            assert_eq!(client.wait(job).await.status, JobStatus::Success);
        }
        let fault = answers[2].as_ref().expect_err("refused");
        assert_eq!(fault.code, FaultCode::ResourceNotUnique);
        let text = format!("does not match the expected UUID '{id_2}' for node '{name_1}'");
        assert!(fault.message.contains(&text), "{}", fault.message);
        cluster.assert_all_well().await;
    });
}

// covers: O97
#[test]
fn an_id_is_compared_again_when_the_job_runs() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        // Nothing of that name when it is submitted; another one than was meant when it runs.
        let startup = job(&json!({
            "OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web1",
            "instance_uuid": "00000000-0000-4000-8000-00000000000a", "depends": [[-1, []]]
        }));
        let create = NewJob { ops: vec![ops::create("web1", MachineNumber(2)).into()] };
        let answers = client.submit(vec![create, startup]).await.expect("answered");
        let ids: Vec<_> = answers.into_iter().map(|answer| answer.expect("accepted")).collect();
        client.wait(ids[0]).await.expect_success();
        let fault = client.wait(ids[1]).await.fault.expect("it fails");
        assert_eq!((fault.code, fault.prerequisite), (FaultCode::ResourceNotUnique, true));
        assert!(fault.message.contains("The instances UUID"), "{}", fault.message);
        cluster.assert_all_well().await;
    });
}

//! Private parameters of an OS: kept with the instance, shown to nobody. Secret ones: kept sealed
//! until their job has ended, and then nowhere.

use gantry_client::ClientError;
use gantry_model::messages::NewJob;
use gantry_model::opcodes::{InstanceCreate, OpCode};
use gantry_model::params::{PrivateParams, SecretParams};
use gantry_model::query::Resource;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

const AGENT: MachineNumber = MachineNumber(2);
const VALUE: &str = "hunter2";

fn create(name: &str) -> InstanceCreate {
    let private = [("key".to_owned(), VALUE.to_owned())].into_iter().collect();
    let secret: PrivateParams = [("pass".to_owned(), VALUE.to_owned())].into_iter().collect();
    InstanceCreate {
        os: "debian".into(),
        osparams_private: private,
        osparams_secret: secret.into(),
        ..ops::create(name, AGENT)
    }
}

fn is_hidden(what: &str, text: &str) {
    assert!(!text.contains(VALUE), "{what} shows it: {text}");
}

// covers: P14 Q13 O31
#[test]
fn nothing_that_is_asked_of_a_cluster_shows_a_private_parameter() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        let plan = client.plan(NewJob { ops: vec![create("web1").into()] }).await.expect("planned");
        let plan = serde_json::to_string(&plan).expect("encodes");
        assert!(plan.contains("osparams_private"), "{plan}");
        is_hidden("the plan", &plan);
        let job = client.submit_one(create("web1")).await;
        let queued = client.jobs(vec![job]).await.expect("answered");
        is_hidden("a job that goes on", &serde_json::to_string(&queued).expect("encodes"));
        client.wait(job).await.expect_success();
        let ended = client.jobs(vec![job]).await.expect("answered");
        is_hidden("a job that has ended", &serde_json::to_string(&ended).expect("encodes"));
        for resource in [Resource::Instance, Resource::Job] {
            let table = client.query(resource, &[], &[]).await.expect("answered");
            is_hidden(resource.as_str(), &serde_json::to_string(&table).expect("encodes"));
        }
        cluster.assert_all_well().await;
    });
}

// covers: P14 Q13
#[test]
fn a_private_parameter_stays_with_the_instance_and_not_with_the_job() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        let job = client.submit_one(create("web1")).await;
        client.wait(job).await.expect_success();
        let state = cluster.state();
        let instance = state.find_instance("web1").expect("it is there");
        assert_eq!(instance.osparams_private.reveal("key"), Some(VALUE));
        let record = state.jobs.get(&job).expect("submitted");
        is_hidden("the record", &serde_json::to_string(&**record).expect("encodes"));
        assert_eq!(PrivateParams::default().reveal("key"), None);
        cluster.assert_all_well().await;
    });
}

// covers: P14 Q13
#[test]
fn a_secret_parameter_is_sealed_as_long_as_its_job_goes_on() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        let ops = vec![ops::delay(60_000).into(), create("web1").into()];
        let job = client.submit(vec![NewJob { ops }]).await.expect("answered").remove(0);
        let job = job.expect("accepted");
        let waiting = cluster.state();
        let op = &waiting.jobs[&job].ops[1].input.op;
        let name = op.secret().expect("it is sealed");
        assert!(waiting.secrets.contains_key(name));
        let OpCode::InstanceCreate(op) = op else { panic!("another opcode") };
        is_hidden("the queue", &serde_json::to_string(&op.osparams_secret).expect("encodes"));
        client.wait(job).await.expect_success();
        let state = cluster.state();
        assert!(!state.secrets.contains_key(name));
        let web1 = state.find_instance("web1").expect("it is there");
        assert!(!serde_json::to_string(&**web1).expect("encodes").contains("pass"));
        cluster.assert_all_well().await;
    });
}

// covers: Q13
#[test]
fn a_job_that_names_a_secret_of_the_cluster_is_refused() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let secret = cluster.state().secrets.keys().next().cloned().expect("the authority's key");
        let names = PrivateParams::default();
        let theft = InstanceCreate {
            osparams_secret: SecretParams::Sealed { secret, names },
            ..ops::create("web1", AGENT)
        };
        let refused = cluster.client().submit_ops([theft]).await.expect_err("refused");
        let ClientError::Fault(fault) = refused else { panic!("not by the leader: {refused}") };
        assert!(fault.message.contains("refers to the secret"), "{fault:?}");
        cluster.assert_all_well().await;
    });
}

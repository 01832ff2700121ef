//! An instance from its creation to its removal.

use gantry_model::errors::FaultCode;
use gantry_model::opcodes::RebootType;
use gantry_model::query::{Cell, Resource};
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

const SECOND: MachineNumber = MachineNumber(2);

/// One field of every row of a list, as text.
async fn column(cluster: &SimCluster, resource: Resource, field: &str) -> Vec<String> {
    let table = cluster.client().query(resource, &[field], &[]).await.expect("a table");
    let text = |cell: &Cell| match cell {
        Cell::Value(serde_json::Value::String(text)) => text.clone(),
        Cell::Value(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    table.rows.iter().map(|row| text(&row[0])).collect()
}

/// Waits until a list shows this; the picture follows the nodes.
async fn shows(cluster: &SimCluster, field: &str, expected: &[&str]) {
    let begun = tokio::time::Instant::now();
    loop {
        let shown = column(cluster, Resource::Instance, field).await;
        if shown == expected {
            return;
        }
        let waited = begun.elapsed();
        assert!(waited < std::time::Duration::from_secs(60), "{shown:?}, not {expected:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn n_running(cluster: &SimCluster) -> usize {
    cluster.guests().running().await.expect("a world in memory").len()
}

// covers: O34 O36
#[test]
fn an_instance_lives_from_creation_to_removal() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        client.done(ops::create("web1", SECOND)).await;
        let running = cluster.guests().running().await.expect("a world in memory");
        assert_eq!(running.len(), 1);
        assert_eq!(running[0].node, "node2_example");
        shows(&cluster, "status", &["running"]).await;
        assert_eq!(column(&cluster, Resource::Instance, "pnode").await, ["node2.example"]);

        client.done(ops::shutdown("web1")).await;
        assert_eq!(n_running(&cluster).await, 0);
        shows(&cluster, "status", &["ADMIN_down"]).await;
        cluster.assert_all_well().await;

        client.done(ops::startup("web1")).await;
        for kind in RebootType::ALL {
            client.done(ops::reboot("web1", kind)).await;
            assert_eq!(n_running(&cluster).await, 1);
            cluster.assert_all_well().await;
        }

        client.done(ops::remove("web1")).await;
        assert_eq!(n_running(&cluster).await, 0);
        assert_eq!(column(&cluster, Resource::Instance, "name").await, [""; 0]);
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_job_says_what_it_does_and_is_listed() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let end = cluster.client().done(ops::create("web1", SECOND)).await;
        let said: Vec<&str> = end.log.iter().map(|line| line.text.as_str()).collect();
        let expected = [
            "* disk 0, size 64M",
            "* creating instance disks...",
            "adding instance web1 to cluster config",
            "adding disks to cluster config",
            "* starting instance...",
        ];
        assert_eq!(said, expected);
        let serials: Vec<u64> = end.log.iter().map(|line| line.serial).collect();
        assert!(serials.is_sorted_by(|a, b| a < b), "{serials:?}");
        assert_eq!(end.results, [serde_json::json!(["node2.example"])]);
        let ids = column(&cluster, Resource::Job, "id").await;
        assert!(ids.contains(&end.job.to_string()), "{ids:?}");
        let summaries = column(&cluster, Resource::Job, "summary").await;
        assert!(summaries.contains(&r#"["INSTANCE_CREATE(web1)"]"#.to_owned()), "{summaries:?}");
    });
}

#[test]
fn a_second_instance_of_one_name_is_refused_and_leaves_nothing() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        cluster.client().done(ops::create("web1", SECOND)).await;
        let again = cluster.client().submit_and_wait(ops::create("web1", MachineNumber(1))).await;
        assert_eq!(again.fault.map(|fault| fault.code), Some(FaultCode::AlreadyExists));
        assert_eq!(cluster.disks().disks().await.expect("a world in memory").len(), 1);
        cluster.assert_all_well().await;
    });
}

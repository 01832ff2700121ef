//! A whole node inside another program: makes a cluster of one, creates an instance on it, stops.
//!
//! ```text
//! cargo run -p gantry-daemon --example embedded_node
//! ```
//!
//! The guest runs under the fake hypervisor, so nothing is needed of the machine. What an embedder
//! uses is all here: [`init`] makes the state directory, [`RunningNode`] is the daemon, and a
//! [`Client`] asks it over the same link as any command would.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use gantry_client::{Client, ClientConfig};
use gantry_daemon::{Ending, InitOptions, NodeOptions, RunningNode, StateDir, init};
use gantry_model::messages::NewJob;
use gantry_model::names::{InstanceName, NodeName};
use gantry_model::objects::{ClusterSettings, DiskTemplate, NicParams};
use gantry_model::opcodes::{InstanceCreate, OpRequest};
use gantry_model::params::{
    BackendOverrides, BackendParams, HypervisorDefaults, HypervisorKind, PrivateParams,
    SecretParams,
};
use gantry_model::query::{Cell, Resource};

/// How long the goodbye of the client may take.
const GRACE: Duration = Duration::from_secs(1);

#[cfg_attr(test, expect(dead_code, reason = "a test calls run"))]
fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let place = tempfile::tempdir()?;
    let seen = runtime.block_on(run(place.path()))?;
    println!("{seen}");
    Ok(())
}

/// Everything; gives what the list of instances says at the end.
pub(crate) async fn run(place: &Path) -> Result<String, Box<dyn Error>> {
    // Once in the life of a cluster.
    let state_dir = StateDir::new(place.join("state"));
    init(&state_dir, options(place)?).await?;

    // At each start of the program. The node runs on threads of its own.
    let node = RunningNode::start(NodeOptions {
        // A free port; a real node listens at its own address.
        listen: Some("127.0.0.1:0".parse()?),
        ..NodeOptions::new(state_dir.clone())
    })
    .await?;
    println!("{} listens at {}", node.file().name, node.address());

    let seen = talk(&state_dir).await?;

    // Until the future ends, or the node leaves its cluster. Guests of a real hypervisor go on.
    let ending = node.run(std::future::ready(())).await?;
    assert_eq!(ending, Ending::Stopped);
    Ok(seen)
}

fn options(place: &Path) -> Result<InitOptions, Box<dyn Error>> {
    Ok(InitOptions {
        cluster_name: "embedded.example".parse()?,
        node_name: "node1.example".parse()?,
        address: "127.0.0.1:1811".to_owned(),
        enabled_hypervisors: vec![HypervisorKind::Fake],
        enabled_disk_templates: vec![DiskTemplate::Diskless],
        file_storage_dir: place.join("disks").display().to_string(),
        shared_file_storage_dir: place.join("shared").display().to_string(),
        nicparams: NicParams::default(),
        mac_prefix: "aa:00:00".to_owned(),
        beparams: BackendParams::default(),
        hvparams: HypervisorDefaults::default(),
        candidate_pool_size: 1,
        settings: ClusterSettings::default(),
        policy: None,
        secondary_ip: None,
    })
}

/// What any client does: submits a job, follows it, asks.
async fn talk(state_dir: &StateDir) -> Result<String, Box<dyn Error>> {
    let config = ClientConfig::discover(state_dir.path(), None).await?;
    let client = Client::connect(config).await?;
    let create = InstanceCreate {
        instance_name: InstanceName::new("web1.example")?,
        primary_node: Some(NodeName::new("node1.example")?),
        disk_template: DiskTemplate::Diskless,
        disks: Vec::new(),
        hvparams: None,
        beparams: BackendOverrides::default(),
        os: "noop".to_owned(),
        osparams: std::collections::BTreeMap::new(),
        osparams_private: PrivateParams::default(),
        osparams_secret: SecretParams::default(),
        no_install: false,
        start: true,
        tags: Vec::new(),
        nics: Vec::new(),
        no_conflicts_check: false,
        file_storage_dir: None,
        ignore_ipolicy: false,
    };
    // The number of a job is given when the job is on disk: from here on it cannot be lost.
    let job = client.submit(vec![NewJob { ops: vec![OpRequest::from(create)] }]).await?;
    let job = job.into_iter().next().ok_or("no answer for the job")??;
    let mut watch = client.watch(job);
    while let Some(change) = watch.next(Duration::from_secs(10)).await? {
        for line in change.log {
            println!("job {job}: {}", line.text);
        }
        if let Some(fault) = change.fault {
            return Err(fault.into());
        }
    }
    let table = client.query(Resource::Instance, &["name", "status"], &[]).await?;
    let cells = table.rows.iter().flatten().map(|cell| match cell {
        Cell::Value(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        other => format!("{other:?}"),
    });
    let seen = cells.collect::<Vec<_>>().join(" ");
    client.close(GRACE).await;
    Ok(seen)
}

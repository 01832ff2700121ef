//! What info commands print is YAML, as scripts read it (C218).

use yaml_rust2::{Yaml, YamlLoader};

use crate::harness::Session;

async fn read(session: &Session, line: &str) -> Yaml {
    let ran = session.run(line).await;
    assert_eq!(ran.stderr, "", "{line}");
    let documents = YamlLoader::load_from_str(&ran.stdout);
    let mut documents = documents.unwrap_or_else(|error| panic!("{line}: {error}\n{}", ran.stdout));
    assert_eq!(documents.len(), 1, "{line}");
    documents.remove(0)
}

// covers: C14 C38 C66 C90 C218
#[tokio::test(start_paused = true)]
async fn info_is_yaml() {
    let session = Session::new();
    let instance = read(&session, "gnt-instance info web1").await;
    assert_eq!(instance[0]["Instance name"].as_str(), Some("web1"));
    assert_eq!(instance[0]["Nodes"][0]["primary"].as_str(), Some("node1.example"));
    assert_eq!(instance[0]["Back-end parameters"]["maxmem"].as_i64(), Some(1536));
    assert_eq!(instance[0]["NICs"][0]["mode"].as_str(), Some("bridged"));
    assert_eq!(instance[0]["Disks"][0]["access mode"].as_str(), Some("rw"));
    let cluster = read(&session, "gnt-cluster info").await;
    assert_eq!(cluster["Cluster name"].as_str(), Some("cluster.example"));
    assert!(cluster["Hypervisor parameters"]["kvm"]["acpi"].as_bool().is_some());
    let node = read(&session, "gnt-node info node1.example").await;
    assert_eq!(node[0]["Node name"].as_str(), Some("node1.example"));
    let _ran = session.run("gnt-debug delay --submit --reason 'a: b' -n node1.example 0.3").await;
    let job = read(&session, "gnt-job info 101").await;
    assert_eq!(job[0]["Job ID"].as_i64(), Some(101));
    assert_eq!(job[0]["Opcodes"][0]["Input fields"]["OP_ID"].as_str(), Some("OP_TEST_DELAY"));
}

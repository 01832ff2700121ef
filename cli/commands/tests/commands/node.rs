//! `gantry node`

use crate::harness::Session;

// covers: C111 C206 C207
#[tokio::test(start_paused = true)]
async fn list_and_info() {
    let lines = [
        "gnt-node list",
        "gnt-node list -o name,drained,master_candidate node2.example",
        "gnt-node list node2.exmple",
        "gnt-node info node1.example",
        "gnt-node info --roman node2",
        "gnt-node list -o name,ndparams,custom_ndparams,ndp/cpu_speed",
        "gnt-node list --json -o name,mfree",
    ];
    Session::new().check("node-list", &lines).await;
}

// covers: C106 C116
#[tokio::test(start_paused = true)]
async fn add_and_remove() {
    let lines = [
        "gnt-node add node3.example",
        "gnt-node add --valid 1d --json node3.example",
        "gnt-node add --valid soon node3.example",
        "gnt-node remove node2.example",
    ];
    Session::new().check("node-add", &lines).await;
}

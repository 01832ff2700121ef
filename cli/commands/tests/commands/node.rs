//! `gantry node`

use gantry_model::opcodes::{NodeSetParams, OpCode};

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

// covers: C106
#[tokio::test(start_paused = true)]
async fn add_takes_what_the_node_is_to_be_like() {
    let session = Session::new();
    let lines = [
        "gnt-node add -g default --master-capable no --vm-capable=no -s 192.0.2.103 \
         --node-parameters ssh_port=22 --hypervisor-state kvm:mem_node=512 \
         --disk-state plain/xenvg:disk_reserved=10 --no-ssh-key-check --no-node-setup \
         --force-join --priority low --reason room -v node3.example",
        "gnt-node add node1.example",
        "gnt-node add --readd node1.example",
        "gnt-node add -g defalt node3.example",
        "gnt-node add -g nosuch node3.example",
        "gnt-node add -s node3 node3.example",
        "gnt-node add -s 2001:db8::3 node3.example",
        "gnt-node add --vm-capable maybe node3.example",
        "gnt-node add --node-parameters colour=red node3.example",
        "gnt-node add --node-parameters ssh_port=-1 node3.example",
        "gnt-node add --node-parameters exclusive_storage=yes node3.example",
        "gnt-node add --hypervisor-state nosuch:mem_node=1 node3.example",
        "gnt-node add --hypervisor-state kvm:mem_node=lots node3.example",
        "gnt-node add --disk-state file/x:disk_reserved=1 node3.example",
        "gnt-node add --disk-state plain/xenvg:colour=1 node3.example",
    ];
    session.check("node-add-terms", &lines).await;
    let asked = session.cluster.token().expect("it was asked for a token");
    let why: Vec<_> = asked.reason.iter().map(|one| (&*one.source, &*one.text)).collect();
    assert_eq!(why, [("gnt:user", "room"), ("gnt:client:gnt-node", "add")]);
    assert_eq!(asked.priority, 10);
    let terms = asked.terms;
    assert!(!terms.master_capable && !terms.vm_capable && terms.group.is_some());
    assert_eq!(terms.secondary_ip, Some("192.0.2.103".parse().expect("an address")));
    assert_eq!(terms.ndparams["ssh_port"], "22");
    assert_eq!(terms.hv_state["kvm"]["mem_node"], 512);
    assert_eq!(terms.disk_state["plain/xenvg"]["disk_reserved"], 10);
}

// covers: C113 O27
#[tokio::test(start_paused = true)]
async fn modify_says_what_it_has_changed() {
    let session = Session::new();
    let lines = [
        "gnt-node modify -D yes --vm-capable no node2",
        "gnt-node modify -C no --auto-promote --submit node2.example",
        "gnt-node modify -O yes --json node2.example",
        "gnt-node modify -O no node2.example",
        "gnt-node modify -O no -f --priority low node2.example",
        "gnt-node modify -s 192.0.2.103 \
         --node-parameters ssh_port=23,no_ovs,-ovs_name,ovs_link=default \
         --hypervisor-state kvm:mem_node=512 --disk-state plain/xenvg:disk_reserved=10 node2",
        "gnt-node modify --node-powered yes --master-capable no node2.example",
    ];
    session.check("node-modify", &lines).await;
    let submitted = session.cluster.submitted();
    let ops: Vec<&NodeSetParams> = submitted
        .iter()
        .filter_map(|request| match &request.op {
            OpCode::NodeSetParams(op) => Some(op),
            _ => None,
        })
        .collect();
    assert_eq!(
        (ops[0].drained, ops[0].vm_capable, ops[0].offline),
        (Some(true), Some(false), None)
    );
    assert_eq!((ops[1].master_candidate, ops[1].auto_promote), (Some(false), true));
    assert_eq!((ops[3].offline, ops[3].force), (Some(false), true));
    let ndparams = ops[4].ndparams.as_ref().expect("some change");
    let changed: Vec<(&str, &str)> =
        ndparams.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let back = [("ovs_link", "default"), ("ovs_name", "default")];
    assert_eq!(changed, [("ovs", "False"), back[0], back[1], ("ssh_port", "23")]);
    assert_eq!(ops[4].hv_state.as_ref().expect("some")["kvm"]["mem_node"], 512);
    assert_eq!((ops[5].powered, ops[5].master_capable), (Some(true), Some(false)));
}

// covers: C113
#[tokio::test(start_paused = true)]
async fn modify_refuses_what_means_nothing() {
    let lines = [
        "gnt-node modify node2.example",
        "gnt-node modify --auto-promote --node-powered yes node2.example",
        "gnt-node modify -D maybe node2.example",
        "gnt-node modify -s node3 node2.example",
        "gnt-node modify --node-parameters colour=red node2.example",
        "gnt-node modify --node-parameters exclusive_storage=default node2.example",
        "gnt-node modify --hypervisor-state kvm:colour=1 node2.example",
        "gnt-node modify -D yes",
        "gnt-node modify -D yes node1 node2",
    ];
    let session = Session::new();
    session.check("node-modify-refused", &lines).await;
    assert!(session.cluster.submitted().is_empty());
}

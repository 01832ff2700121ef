//! `gantry instance`

use gantry_model::objects::{DiskMode, DiskTemplate};
use gantry_model::opcodes::{InstanceCreate, InstanceShutdown, OpCode};
use gantry_model::params::HypervisorKind;
use gantry_model::units::{MiB, Millis};

use crate::harness::{NOW, Session};

// covers: C67 C206 C207 C200
#[tokio::test(start_paused = true)]
async fn list() {
    let lines = [
        "gnt-instance list",
        "gantry instance list web1",
        "gnt-instance list --no-headers --separator=:",
        "gnt-instance list -o name,oper_ram,disk_usage,serial_no --units m",
        "gnt-instance list -o name,oper_ram --units G",
        "gnt-instance list -o +tags,ctime,snodes",
        "gnt-instance list -v",
        "gnt-instance list -o name,colour,size web1 db1",
        "gnt-instance list web1 wbe2",
        "gnt-instance list --json -o name,oper_ram,tags,oper_state",
    ];
    Session::new().check("instance-list", &lines).await;
}

// covers: C209
#[tokio::test(start_paused = true)]
async fn defaults_from_the_environment() {
    let mut session = Session::new();
    session.env.insert("GNT_INSTANCE_LIST".into(), "-o name,os --separator=' | '".into());
    session.env.insert("GNT_NODE_LIST".into(), "--no-headers -o name".into());
    let lines = [
        "gnt-instance list web1",
        "gantry instance list -o name,status --no-headers",
        "gnt-instance info -s db1",
        "gnt-node list",
        "gnt-job list",
    ];
    session.check("list-environment", &lines).await;
}

// covers: C67 C111 C85 C211
#[tokio::test(start_paused = true)]
async fn list_filtered() {
    let lines = [
        "gnt-instance list 'status == \"running\"'",
        "gnt-instance list -o name --no-headers 'name =~ m/^WEB/i and not oper_state'",
        "gnt-instance list -o name,tags '\"a\" in tags'",
        "gnt-instance list -o name 'web?' 'd*'",
        "gnt-instance list -F -o name oper_state",
        "gnt-instance list -o name 'ctime > 1795327674 and serial_no < 4'",
        "gnt-instance list -o name 'name == \"nothing\" or name =* \"nothing*\"'",
        "gnt-node list -o name 'drained or mfree > 1000'",
        "gnt-node list -o name drained -F",
        "gnt-job list 'id >= 8 and status != \"error\"'",
        "gnt-job list --running --pending 'id != 14'",
        "gnt-job list 7 99",
        "gnt-job list --running 7 8 99",
    ];
    Session::new().check("list-filtered", &lines).await;
}

// covers: C68 C86 C112 C200
#[tokio::test(start_paused = true)]
async fn list_fields() {
    let lines = [
        "gnt-instance list-fields name oper_ram oper_state ctime tags serial_no",
        "gnt-instance list-fields --no-headers --separator=: name",
        "gnt-instance list-fields name colour",
        "gnt-job list-fields",
        "gnt-node list-fields --json name dfree",
    ];
    Session::new().check("list-fields", &lines).await;
}

// covers: C208
#[tokio::test(start_paused = true)]
async fn names() {
    let lines = [
        "gnt-node list node1",
        "gnt-node list nodd1",
        "gnt-instance add -t file -s 64M -n nodd1 web3",
        "gnt-instance remove -f wbe1",
        "gnt-instance console wbe1",
        "gnt-debug actors -n nodd1",
        "gnt-instance list -o name,stauts,colour",
        "gnt-instance list 'stauts == \"running\"'",
        "gnt-node list-fields name drained_",
    ];
    Session::new().check("names", &lines).await;
}

// covers: C66 C218
#[tokio::test(start_paused = true)]
async fn info() {
    let lines = [
        "gnt-instance info web1",
        "gnt-instance show -s web2",
        "gantry instance info db1",
        "gnt-instance info",
        "gnt-instance info --all web1",
        "gnt-instance info -s --roman web2",
        "gnt-instance info --json web2",
    ];
    Session::new().check("instance-info", &lines).await;
}

fn created(session: &Session) -> InstanceCreate {
    match session.cluster.submitted().pop().map(|request| request.op) {
        Some(OpCode::InstanceCreate(op)) => op,
        other => panic!("{other:?}"),
    }
}

// covers: C60 C215 O31
#[tokio::test(start_paused = true)]
async fn add() {
    let lines = [
        "gnt-instance add -t file -s 64M -n node1.example -o debian web1",
        "gnt-instance add -t diskless --no-nics --no-start --no-ip-check --no-name-check web3",
        "gnt-instance add -t file -s 64M --json web4",
        "gnt-instance add -t file -s 64M -n node1.example:node2.example web5",
    ];
    Session::new().check("instance-add", &lines).await;
}

// covers: C60 C201 C203 C220 O31
#[tokio::test(start_paused = true)]
async fn add_sends_what_was_given() {
    let session = Session::new();
    let line = "gnt-instance add -t file --disk 0:size=1.5G --disk 1:size=64,mode=ro,name=logs \
                -n node1.example -o debian -O os-image=/srv/a\\,b.raw -H kvm:acpi=false \
                -B memory=1G,vcpus=2 --no-install --no-start --priority high --dry-run \
                --reason why web3";
    let ran = session.run(line).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    let op = created(&session);
    assert_eq!(op.instance_name.as_str(), "web3");
    assert_eq!(op.primary_node.as_ref().map(|node| node.as_str()), Some("node1.example"));
    let disks: Vec<_> = op.disks.iter().map(|d| (d.size, d.mode, d.name.as_deref())).collect();
    assert_eq!(disks, [(MiB(1536), DiskMode::Rw, None), (MiB(64), DiskMode::Ro, Some("logs"))]);
    assert_eq!(op.osparams.get("os-image").map(String::as_str), Some("/srv/a,b.raw"));
    let hvparams = op.hvparams.expect("given");
    assert_eq!(hvparams.kind(), HypervisorKind::Kvm);
    assert_eq!(hvparams.rows().get("acpi").map(String::as_str), Some("False"));
    assert_eq!((op.beparams.maxmem, op.beparams.vcpus), (Some(1024), Some(2)));
    assert!(op.no_install && !op.start);
    let request = session.cluster.submitted().pop().expect("submitted");
    assert_eq!((request.common.priority, request.common.dry_run), (-10, true));
    let reasons: Vec<_> = request
        .common
        .reason
        .iter()
        .map(|r| (r.source.as_str(), r.text.as_str(), r.at_ns))
        .collect();
    let at_ns = NOW.0 * 1000;
    assert_eq!(reasons, [("gnt:user", "why", at_ns), ("gnt:client:gnt-instance", "add", at_ns)]);
}

#[tokio::test(start_paused = true)]
async fn add_takes_the_clusters_first_template() {
    let session = Session::new();
    let ran = session.run("gnt-instance add -s 1G web3").await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    assert_eq!(created(&session).disk_template, DiskTemplate::File);
}

// covers: C219 C220 C221
#[tokio::test(start_paused = true)]
async fn add_refuses() {
    let session = Session::new();
    let lines = [
        "gnt-instance add -t file -s 1G --net 0:ip=pool web3",
        "gnt-instance add -t file -s 1G --disk 0:size=1G web3",
        "gnt-instance add -t file web3",
        "gnt-instance add -t diskless -s 1G web3",
        "gnt-instance add -t file --disk 1:size=1G web3",
        "gnt-instance add -t file -s 1G -B memori=1G web3",
        "gnt-instance add -t file -s 1G -B vcpus=two web3",
        "gnt-instance add -t file -s 1G -H xen-pvm web3",
        "gnt-instance add -t file -s 1G -O os-image web3",
        "gnt-instance add -t drbd -s 1G web3",
        "gnt-instance add -t file -s 1G -n node1: web3",
    ];
    session.check("instance-add-refused", &lines).await;
    assert_eq!(session.cluster.submitted(), [], "nothing was submitted");
}

// covers: C74 C75 C76 C214 C213
#[tokio::test(start_paused = true)]
async fn startup_shutdown_reboot() {
    let lines = [
        "gnt-instance startup web1",
        "gnt-instance start --force-multiple web1 db1 web2",
        "gnt-instance start --force-multiple web1 web9 web2",
        "gnt-instance startup web9",
        "gnt-instance stop --timeout 30 web1",
        "gnt-instance shutdown db1",
        "gnt-instance reboot --type full web1",
        "gnt-instance startup --submit --print-jobid web1",
        "gnt-instance startup --json web1",
    ];
    Session::new().check("instance-power", &lines).await;
}

// covers: C74 O37
#[tokio::test(start_paused = true)]
async fn shutdown_sends_what_was_given() {
    let session = Session::new();
    let ran = session.run("gnt-instance shutdown --timeout 2m --no-remember -f web1").await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    let Some(OpCode::InstanceShutdown(op)) = session.cluster.submitted().pop().map(|r| r.op) else {
        panic!("no shutdown");
    };
    let InstanceShutdown { shutdown_timeout, no_remember, force, .. } = op;
    assert_eq!((shutdown_timeout, no_remember, force), (Millis(120_000), true, true));
}

// covers: C69 C74 C75 C76 C216
#[tokio::test(start_paused = true)]
async fn instances_by_node_or_tag() {
    let lines = [
        "gnt-instance startup --force-multiple --all",
        "gnt-instance startup --force-multiple --node node1.example",
        "gnt-instance startup --force-multiple --primary node2.example",
        "gnt-instance startup --force-multiple --secondary node1.example",
        "gnt-instance startup --force-multiple --tags a no:such:tag",
        "gnt-instance startup --force-multiple --node-tags no:such:tag",
        "gnt-instance startup --all --instance web1",
        "gnt-instance startup --all web1",
        "gnt-instance startup",
        "gnt-instance shutdown --tags",
        "gnt-instance reboot --node",
        "gnt-instance reboot --pri-node-tags",
        "gnt-instance startup --node nodd1",
        "gnt-instance startup --node 'node 1'",
        "gnt-instance startup --tags 'a b'",
        "gnt-instance shutdown --all",
    ];
    Session::new().check("instance-chosen", &lines).await;
}

// covers: C75 O36
#[tokio::test(start_paused = true)]
async fn startup_sends_what_was_given() {
    let session = Session::new();
    let line = "gnt-instance startup -f --ignore-offline --paused -H acpi=false \
                -B memory=1G,vcpus=2 web1";
    let ran = session.run(line).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    let Some(OpCode::InstanceStartup(op)) = session.cluster.submitted().pop().map(|r| r.op) else {
        panic!("no startup");
    };
    assert!(op.force && op.ignore_offline_nodes && op.startup_paused && !op.no_remember);
    let hvparams = op.hvparams.expect("given");
    assert_eq!(hvparams.kind(), HypervisorKind::Kvm);
    assert_eq!(hvparams.rows().get("acpi").map(String::as_str), Some("False"));
    let beparams = op.beparams.expect("given").rows();
    assert_eq!(beparams.get("maxmem").map(String::as_str), Some("1024"));
    assert_eq!(beparams.get("vcpus").map(String::as_str), Some("2"));
}

// covers: C69 O33
#[tokio::test(start_paused = true)]
async fn reinstall() {
    let lines = [
        "gnt-instance reinstall web1",
        "gnt-instance reinstall -f -o debian -O os-image=/srv/new.raw web1",
        "gnt-instance reinstall -f web1 web2",
        "gnt-instance reinstall --force-multiple web1 web2",
        "gnt-instance reinstall --select-os web1",
        "gnt-instance reinstall -f --os-parameters-secret a=b web1",
        "gnt-instance reinstall -f -O os-image web1",
    ];
    let session = Session::new();
    session.check("instance-reinstall", &lines).await;
    let submitted = session.cluster.submitted();
    assert_eq!(submitted.len(), 4);
    let OpCode::InstanceReinstall(op) = &submitted[0].op else { panic!("no reinstall") };
    assert_eq!(op.os_type.as_deref(), Some("debian"));
    assert_eq!(op.osparams.get("os-image").map(String::as_str), Some("/srv/new.raw"));
    let OpCode::InstanceReinstall(op) = &submitted[3].op else { panic!("no reinstall") };
    assert_eq!(op.osparams_secret.names().collect::<Vec<_>>(), ["a"]);
    let asked = Session::typing("?\nn\n");
    asked.check("instance-reinstall-asked", &["gnt-instance reinstall -o debian web1"]).await;
}

// covers: C216
#[tokio::test(start_paused = true)]
async fn several_instances_are_asked_about() {
    for (answer, n_submitted, code) in
        [("y\n", 2, 0), ("n\n", 0, 1), ("\n", 0, 1), ("?\ny\n", 2, 0), ("what\nn\n", 0, 1)]
    {
        let session = Session::typing(answer);
        let ran = session.run("gnt-instance startup web1 web2").await;
        assert_eq!(ran.code.0, code, "{answer:?}: {}", ran.stderr);
        assert_eq!(session.cluster.submitted().len(), n_submitted, "{answer:?}");
    }
}

// covers: C70 C216
#[tokio::test(start_paused = true)]
async fn remove() {
    let lines = ["gnt-instance remove web1", "gnt-instance remove -f web1"];
    Session::new().check("instance-remove", &lines).await;
    let asked = Session::typing("?\nn\n");
    asked.check("instance-remove-asked", &["gnt-instance remove web1"]).await;
    assert_eq!(asked.cluster.submitted(), []);
}

// covers: C213
#[tokio::test(start_paused = true)]
async fn a_full_queue() {
    let session = Session::new();
    session.cluster.fill_queue();
    let lines = [
        "gnt-instance remove -f web1",
        "gnt-instance startup --force-multiple web1 web2",
        "gnt-instance startup --submit web1",
    ];
    session.check("queue-full", &lines).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_printed_and_nothing_submitted_or_asked() {
    let session = Session::new();
    let lines = [
        "gnt-instance startup --plan web1",
        "gnt-instance startup --plan --json web1",
        "gnt-instance shutdown --plan web1 web2",
        "gnt-instance remove --plan web1",
        "gnt-instance startup --plan --submit web1",
        "gnt-cluster destroy --plan",
        "gnt-node remove --plan node2.example",
        "gnt-cluster add-tags --plan a",
    ];
    session.check("plan", &lines).await;
    assert_eq!(session.cluster.submitted(), []);
}

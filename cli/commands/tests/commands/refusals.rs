//! Values that no command takes: what is said of each, before anything happens.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::harness::Session;

/// Nothing of it may reach the cluster or the machine.
async fn refused(name: &str, lines: &[&str]) {
    let session = Session::new();
    session.check(name, lines).await;
    assert!(session.cluster.submitted().is_empty(), "{:?}", session.cluster.submitted());
    assert!(session.machine.asked.lock().expect("not poisoned").is_empty());
}

// covers: C203 C205
#[tokio::test(start_paused = true)]
async fn sizes_and_disks() {
    let lines = [
        "gnt-instance add -t file -s 0 web3",
        "gnt-instance add -t file -s -1G web3",
        "gnt-instance add -t file -s 1.2.3G web3",
        "gnt-instance add -t file -s 1Q web3",
        "gnt-instance add -t file -s 9999999999999999999T web3",
        "gnt-instance add -t file -s '' web3",
        "gnt-instance add -t file --disk 16:size=1G web3",
        "gnt-instance add -t file --disk -1:size=1G web3",
        "gnt-instance add -t file --disk one:size=1G web3",
        "gnt-instance add -t file --disk 0 web3",
        "gnt-instance add -t file --disk 0:size web3",
        "gnt-instance add -t file --disk 0:size=0 web3",
        "gnt-instance add -t file --disk 0:mode=rw web3",
        "gnt-instance add -t file --disk 0:size=1G,size=2G web3",
        "gnt-instance add -t file --disk 0:size=1G,mode=rx web3",
        "gnt-instance add -t file --disk 0:size=1G,name= web3",
        "gnt-instance add -t file --disk 0:size=1G --disk 0:size=1G web3",
        "gnt-instance add -t file --disk 0:size=1G --disk 2:size=1G web3",
    ];
    refused("refused-disks", &lines).await;
}

// covers: C201 H8 H13 H30 H31 H32 H34 H49 H54 P18
#[tokio::test(start_paused = true)]
async fn hypervisor_parameters() {
    let lines = [
        "gnt-instance add -t file -s 1G -H kvm:kernel_args web3",
        "gnt-instance add -t file -s 1G -H kvm:cpu_cores web3",
        "gnt-instance add -t file -s 1G -H kvm:no_boot_order web3",
        "gnt-instance add -t file -s 1G -H kvm:-vga web3",
        "gnt-instance add -t file -s 1G -H kvm:boot_order=tape web3",
        "gnt-instance add -t file -s 1G -H kvm:disk_type=floppy web3",
        "gnt-instance add -t file -s 1G -H kvm:nic_type=wlan web3",
        "gnt-instance add -t file -s 1G -H kvm:disk_aio=posix web3",
        "gnt-instance add -t file -s 1G -H kvm:serial_speed=12345 web3",
        "gnt-instance add -t file -s 1G -H kvm:virtio_net_queues=0 web3",
        "gnt-instance add -t file -s 1G -H kvm:virtio_net_queues=9 web3",
        "gnt-instance add -t file -s 1G -H kvm:cpu_cores=-1 web3",
        "gnt-instance add -t file -s 1G -H kvm:cpu_mask=0-x web3",
        "gnt-instance add -t file -s 1G -H kvm:kernel_path=vmlinuz web3",
        "gnt-instance add -t file -s 1G -H kvm:kernel_path=/boot/../vmlinuz web3",
        "gnt-instance add -t file -s 1G -H kvm:kvm_path= web3",
        "gnt-instance add -t file -s 1G -H kvm:cdrom_image_path=file:///x web3",
        "gnt-instance add -t file -s 1G -H kvm:vnc_bind_address=a/b web3",
        "gnt-instance add -t file -s 1G -H 'kvm:vga=a b' web3",
        "gnt-instance add -t file -s 1G -H fake:acpi=true web3",
        "gnt-cluster init -H kvm:disk_aio=native c.example",
        "gnt-cluster init -H kvm:security_model=user c.example",
        "gnt-cluster init -H kvm:vnc_bind_address=::1,spice_bind=::1 c.example",
    ];
    refused("refused-hypervisor-parameters", &lines).await;
}

// covers: C205
#[tokio::test(start_paused = true)]
async fn pairs_of_nodes() {
    let lines = [
        "gnt-instance add -t diskless -n '' web3",
        "gnt-instance add -t diskless -n :node2 web3",
        "gnt-instance add -t diskless -n node1:node2:node3 web3",
        "gnt-instance add -t diskless -n node1:node1 web3",
        "gnt-instance add -t diskless -n 'node 1' web3",
    ];
    refused("refused-node-pairs", &lines).await;
}

// covers: C204
#[tokio::test(start_paused = true)]
async fn times_with_units() {
    let lines = [
        "gnt-job autoarchive ''",
        "gnt-job autoarchive h",
        "gnt-job autoarchive 5x",
        "gnt-job autoarchive 1.5h",
        "gnt-job autoarchive '1 h'",
        "gnt-job autoarchive 5H",
        "gnt-job autoarchive 99999999999999999999w",
        "gnt-job autoarchive -5",
        "gnt-node add --valid '' node3.example",
        "gnt-node add --valid d node3.example",
        "gnt-node add --valid 1.5d node3.example",
    ];
    refused("refused-times", &lines).await;
}

// covers: C202 C221 P11 P17
#[tokio::test(start_paused = true)]
async fn interfaces() {
    let lines = [
        "gnt-instance add -t diskless --net 8 web3",
        "gnt-instance add -t diskless --net one:mac=auto web3",
        "gnt-instance add -t diskless --net 0:mac=aa:00:00 web3",
        "gnt-instance add -t diskless --net 0:mac=ab:00:00:00:00:01 web3",
        "gnt-instance add -t diskless --net 0:ip=300.0.0.1 web3",
        "gnt-instance add -t diskless --net 0:ip=auto web3",
        "gnt-instance add -t diskless --net 0:mode=ext web3",
        "gnt-instance add -t diskless --net 0:network=net1 web3",
        "gnt-instance add -t diskless --net 0:bridge=br0 web3",
        "gnt-instance add -t diskless --net 0:link web3",
        "gnt-instance add -t diskless --net 0:name= web3",
        "gnt-instance add -t diskless --net 0 --net 0 web3",
        "gnt-instance add -t diskless --net 0 --no-nics web3",
        "gnt-cluster init -N mode=ext c.example",
        "gnt-cluster init -N link= c.example",
        "gnt-cluster init -N link=a/b c.example",
        "gnt-cluster init -N vlan=9999 c.example",
        "gnt-cluster init -N colour=red c.example",
    ];
    refused("refused-interfaces", &lines).await;
}

// covers: C60 C219
#[tokio::test(start_paused = true)]
async fn options_of_what_comes_later() {
    let lines = [
        "gnt-instance add -t diskless -I hail web3",
        "gnt-instance add -t diskless -g default web3",
        "gnt-instance add -t diskless --ip-check web3",
        "gnt-instance add -t diskless --name-check web3",
        "gnt-instance add -t diskless --forthcoming web3",
        "gnt-instance add -t diskless --commit web3",
        "gnt-instance add -t diskless -c yes web3",
        "gnt-instance add -t diskless --helper-startup-timeout 5 web3",
        "gnt-instance add -t file -s 1G --file-driver blktap web3",
        "gnt-instance add -t diskless --os-parameters-private key web3",
        "gnt-instance add -t diskless --os-parameters-secret key web3",
        "gnt-instance add -t file -s 1G --disk 0:size=1G,adopt=x web3",
    ];
    refused("refused-later-options", &lines).await;
}

// covers: C204
#[tokio::test(start_paused = true)]
async fn parameters() {
    let lines = [
        "gnt-instance add -t file -s 1G -B vcpus web3",
        "gnt-instance add -t file -s 1G -B no_vcpus web3",
        "gnt-instance add -t file -s 1G -B memory web3",
        "gnt-instance add -t file -s 1G -B vcpus=-1 web3",
        "gnt-instance add -t file -s 1G -B vcpus=99999999999 web3",
        "gnt-instance add -t file -s 1G -B maxmem=lots web3",
        "gnt-instance add -t file -s 1G -B auto_balance=maybe web3",
        "gnt-instance add -t file -s 1G -B -vcpus web3",
        "gnt-instance add -t file -s 1G -B vcpus=1,vcpus=2 web3",
        "gnt-instance add -t file -s 1G -H kvm:acpi=perhaps web3",
        "gnt-instance add -t file -s 1G -H kvm:colour=red web3",
        "gnt-instance add -t file -s 1G -H : web3",
        "gnt-instance add -t file -s 1G -O =x web3",
    ];
    refused("refused-parameters", &lines).await;
}

// covers: C202
#[tokio::test(start_paused = true)]
async fn names() {
    let long = "a".repeat(300);
    let startup = format!("gnt-instance startup {long}");
    let lines = [
        "gnt-instance startup ''",
        "gnt-instance startup web/1",
        "gnt-instance startup -- -web1",
        "gnt-instance startup .web1",
        "gnt-instance startup w\u{e9}b1",
        &startup,
        "gnt-node remove 'node 1'",
        "gnt-node add ''",
        "gnt-cluster init 'my cluster'",
        "gnt-cluster init --node-name n_/1 c1",
    ];
    refused("refused-names", &lines).await;
}

// covers: C203
#[tokio::test(start_paused = true)]
async fn times_and_numbers() {
    let lines = [
        "gnt-debug delay -1",
        "gnt-debug delay 1s",
        "gnt-debug delay 99999999999999999999",
        "gnt-debug delay 0.0000001",
        "gnt-node add --valid 0 node3.example",
        "gnt-node add --valid -5 node3.example",
        "gnt-node add --valid 5y node3.example",
        "gnt-node add --valid 99999999999w node3.example",
        "gnt-instance shutdown --timeout -1 web1",
        "gnt-instance shutdown --timeout soon web1",
        "gnt-instance shutdown --timeout 99999999999999999999 web1",
        "gnt-job info -1",
        "gnt-job info 99999999999999999999",
        "gnt-job info x",
        "gnt-job cancel 1.5",
        "gnt-job archive -- -3",
        "gnt-job wait 0x10",
        "gnt-job autoarchive -- -1",
        "gnt-cluster init -C 0 c1",
        "gnt-cluster init -C -1 c1",
        "gnt-cluster init -C many c1",
    ];
    refused("refused-numbers", &lines).await;
}

// covers: C206 C207
#[tokio::test(start_paused = true)]
async fn options_of_lists() {
    let lines = [
        "gnt-instance list -o name,colour",
        "gnt-instance list -o ''",
        "gnt-instance list -o name,,os",
        "gnt-instance list -o +",
        "gnt-instance list --units x",
        "gnt-instance list-fields colour",
        "gnt-node list nodd1 nodd2",
    ];
    refused("refused-lists", &lines).await;
}

// covers: C209
#[tokio::test(start_paused = true)]
async fn defaults_from_the_environment() {
    let mut session = Session::new();
    session.env.insert("GNT_INSTANCE_LIST".into(), "-o 'name,colour".into());
    session.check("refused-environment", &["gnt-instance list"]).await;
}

// covers: C211 C213
#[tokio::test(start_paused = true)]
async fn filters() {
    let lines = [
        "gnt-instance list 'name =='",
        "gnt-instance list 'name == web1'",
        "gnt-instance list 'status == \"running\" and (be/vcpus > 2'",
        "gnt-instance list 'name =~ m/web/x'",
        "gnt-instance list 'name =~ /(/'",
        "gnt-instance list -F web*",
        "gnt-instance list -F web1 web2",
        "gnt-instance list -F",
        "gnt-instance list 'colour == 5'",
        "gnt-instance list 'name == 5'",
        "gnt-instance list 'oper_ram > \"much\"'",
        "gnt-instance list 'name == \"web9\"'",
        "gnt-node list -F name",
        "gnt-node list '1 in pinst_cnt'",
        "gnt-job list 'status > 5'",
        "gnt-job list 7 x",
        "gnt-job list 7 'id == 8'",
    ];
    refused("refused-filters", &lines).await;
}

#[tokio::test(start_paused = true)]
async fn places() {
    let lines = [
        "gnt-cluster init --address n1 c1",
        "gnt-cluster init --address n1:99999 c1",
        "gnt-cluster init --address :1811 c1",
        "gnt-cluster init -m zz:00:00 c1",
        "gnt-cluster init -m aa:00 c1",
        "gnt-cluster init --enabled-hypervisors '' c1",
        "gantry daemon --listen here",
        "gantry daemon --listen 127.0.0.1:70000",
        "gantry join",
        "gantry completion tcsh",
        "gantry completion bash --program gnt-os",
        "gantry install-links",
        "gantry install-links /nonexistent/bin",
        "gnt-instance list --state-dir ''",
    ];
    refused("refused-places", &lines).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_text() {
    let session = Session::new();
    let bad = OsString::from_vec(b"web\xff1".to_vec());
    let mut text = String::new();
    for words in [["gnt-instance", "startup"], ["gnt-job", "info"], ["gnt-node", "add"]] {
        let args = words.iter().map(OsString::from).chain([bad.clone()]).collect();
        let ran = session.run_args(args).await;
        text.push_str(&format!("$ {} web\\xff1\n{}", words.join(" "), ran.stdout));
        text.push_str(&format!("--- stderr\n{}--- exit {}\n\n", ran.stderr, ran.code.0));
    }
    crate::harness::compare("refused-bytes", &text);
    assert!(session.cluster.submitted().is_empty());
}

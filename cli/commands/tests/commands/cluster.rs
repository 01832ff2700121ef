//! `gantry cluster`

use gantry_commands::machine::MachineErrorKind;
use gantry_model::opcodes::OpCode;

use crate::harness::{Session, compare};

// covers: C14 C15 C16 C19 C218
#[tokio::test(start_paused = true)]
async fn info() {
    let lines = [
        "gnt-cluster info",
        "gnt-cluster info --roman",
        "gnt-cluster getmaster",
        "gnt-cluster getmaster --json",
        "gnt-cluster master-ping",
        "gnt-cluster master-ping --json",
        "gnt-cluster version",
    ];
    Session::new().check("cluster-info", &lines).await;
}

// covers: C7
#[tokio::test(start_paused = true)]
async fn destroy() {
    let session = Session::new();
    let lines = ["gnt-cluster destroy", "gnt-cluster destroy --yes-do-it"];
    session.check("cluster-destroy", &lines).await;
    assert_eq!(session.cluster.submitted().len(), 1, "only with the option");
}

// covers: C27 S187
#[tokio::test(start_paused = true)]
async fn renew_crypto() {
    let session = Session::new();
    let lines = [
        "gnt-cluster renew-crypto",
        "gnt-cluster renew-crypto --new-cluster-certificate",
        "gnt-cluster renew-crypto --new-cluster-certificate --new-ssh-keys -f",
        "gnt-cluster renew-crypto --rapi-certificate=/tmp/x --new-node-certificates -f",
        "gnt-cluster renew-crypto --new-confd-hmac-key",
        "gnt-cluster renew-crypto --new-cluster-certificate --new-node-certificates -f -v",
    ];
    session.check("cluster-renew-crypto", &lines).await;
    let [job] = session.cluster.submitted().try_into().expect("only the last");
    let OpCode::ClusterRenewCrypto(op) = &job.op else { panic!("{job:?}") };
    assert!(op.cluster_certificate && op.node_certificates && op.verbose);
}

// covers: C6
#[tokio::test(start_paused = true)]
async fn init() {
    let session = Session::new();
    let lines = [
        "gnt-cluster init cluster.example",
        "gnt-cluster init --enabled-hypervisors kvm,lxc cluster.example",
        "gnt-cluster init --enabled-disk-templates drbd cluster.example",
        "gnt-cluster init -m ab:00:00 cluster.example",
        "gnt-cluster init --no-ssh-init cluster.example",
    ];
    session.check("cluster-init", &lines).await;
    let line = "gantry cluster init --state-dir /srv/state --node-name n1 --address n1:5000 \
                --enabled-hypervisors fake,kvm,fake --enabled-disk-templates fake \
                --file-storage-dir /srv/disks --shared-file-storage-dir /srv/shared \
                -m 02:00:00 -C 3 -H kvm:acpi=false \
                -B memory=1G,vcpus=2 c1";
    let ran = session.run(line).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    compare("cluster-init-args", &format!("{}\n", session.machine.last()));
}

// covers: C6 P1 P8 P12 P15 P16 P50 P53 P54 P56 P57
#[tokio::test(start_paused = true)]
async fn init_takes_all_of_ganetis_options() {
    let session = Session::new();
    let line = "gnt-cluster init --node-name n1 --master-netdev eth0 --master-netmask 24 \
                --use-external-mip-script yes -s 192.0.2.7 --primary-ip-version 4 --vg-name vg0 \
                --drbd-usermode-helper /bin/true --gluster-storage-dir /mnt/gluster \
                --maintain-node-health yes --uid-pool 2000,1000-1005 -I hail \
                --default-iallocator-params dynu=no --prealloc-wipe-disks yes \
                --user-shutdown yes --node-parameters ovs=yes,ssh_port=22,cpu_speed=1.5 \
                -D drbd:resync-rate=1024 -D plain:stripes=2 \
                --hypervisor-state kvm:mem_node=1024 --disk-state plain/vg0:disk_reserved=10 \
                --install-image /srv/install.img --zeroing-image https://x.example/zero.img \
                --compression-tools gzip,lzop --no-etc-hosts --no-ssh-init --ssh-key-bits 4096 \
                --ssh-key-type ecdsa --ipolicy-disk-templates file --ipolicy-vcpu-ratio 2.5 \
                --ipolicy-spindle-ratio 16 \
                --ipolicy-bounds-specs min:cpu-count=1,disk-count=1,disk-size=1G,memory-size=128,\
nic-count=1,spindle-use=1/max:cpu-count=4,disk-count=4,disk-size=1T,memory-size=8G,nic-count=2,\
spindle-use=4//min:cpu-count=4,disk-count=1,disk-size=1G,memory-size=8G,nic-count=1,\
spindle-use=1/max:cpu-count=32,disk-count=16,disk-size=4T,memory-size=64G,nic-count=8,\
spindle-use=8 --ipolicy-std-specs cpu-count=2,memory-size=512 c1";
    let ran = session.run(line).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    let init = session.machine.last();
    let shown = init.find("    settings:").expect("they are among what was asked for");
    compare("cluster-init-settings", &format!("{}{}\n", ran.stderr, &init[shown..]));
    // The same said one by one.
    let line = "gnt-cluster init --node-name n1 --specs-cpu-count min=1,max=4,std=2 \
                --specs-mem-size min=256,max=8G,std=512 --specs-disk-size max=2T \
                --specs-disk-count min=0 --specs-nic-count min=0,std=0 c1";
    let ran = session.run(line).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    let init = session.machine.last();
    let shown = init.find("    policy:").expect("it is among what was asked for");
    compare("cluster-init-specs", &format!("{}\n", &init[shown..]));
}

// covers: C6 P4 P8 P63
#[tokio::test(start_paused = true)]
async fn init_refuses_what_cannot_be() {
    let session = Session::new();
    let lines = [
        "--master-netdev 'a b'",
        "--master-netmask 33",
        "--master-netmask 0",
        "--master-netmask 256",
        "--use-external-mip-script maybe",
        "-s fe80::1",
        "-s node1",
        "--primary-ip-version 5",
        "--primary-ip-version 6",
        "--vg-name vg0 --no-lvm-storage",
        "--gluster-storage-dir ../x",
        "--shared-file-storage-dir",
        "--uid-pool 5-3",
        "--uid-pool x",
        "--uid-pool 5000000000",
        "-I /bin/hail",
        "--default-iallocator-params -x",
        "--node-parameters colour=red",
        "--node-parameters ssh_port=ssh",
        "-D floppy:x=1",
        "-D file:stripes=1",
        "-D plain:stripes=two",
        "--hypervisor-state lxc:mem_node=1",
        "--hypervisor-state kvm:colour=1",
        "--hypervisor-state kvm:mem_node=much",
        "--disk-state rbd/x:disk_total=1",
        "--disk-state vg0:disk_total=1",
        "--install-image install.img",
        "--compression-tools /bin/gzip",
        "--ssh-key-type rot13",
        "--ipolicy-bounds-specs cpu-count=1",
        "--ipolicy-bounds-specs min:cpu-count=1",
        "--ipolicy-bounds-specs min:cpu-count=many/max:cpu-count=2",
        "--ipolicy-bounds-specs min:cpu-count=1,disk-count=0,disk-size=0,memory-size=0,\
         nic-count=0,spindle-use=0",
        "--ipolicy-std-specs colour=1",
        "--ipolicy-std-specs memory-size=1X",
        "--ipolicy-std-specs cpu-count=9",
        "--ipolicy-std-specs cpu-count",
        "--ipolicy-disk-templates sharedfile",
        "--ipolicy-vcpu-ratio -1",
        "--specs-cpu-count min=9",
        "--specs-cpu-count least=1",
        "--specs-mem-size min=128 --ipolicy-std-specs cpu-count=1",
    ];
    let lines: Vec<String> =
        lines.iter().map(|options| format!("gnt-cluster init {options} c.example")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    session.check("refused-cluster-init", &lines).await;
}

// covers: C200
#[tokio::test(start_paused = true)]
async fn failures_of_the_machine_have_their_exit_codes() {
    for (kind, code) in [
        (MachineErrorKind::Failed, 1),
        (MachineErrorKind::WrongInput, 1),
        (MachineErrorKind::CorruptConfiguration, 2),
        (MachineErrorKind::NotACluster, 5),
        (MachineErrorKind::NodeSetup, 12),
    ] {
        let session = Session::new();
        *session.machine.fail.lock().expect("not poisoned") = Some(kind);
        let ran = session.run("gantry daemon").await;
        assert_eq!(ran.code.0, code, "{kind:?}");
        for part in ["use /srv/state", "it is full of eels", "Hint: empty it"] {
            assert!(ran.stderr.contains(part), "{}", ran.stderr);
        }
    }
}

// covers: C26 O12
#[tokio::test(start_paused = true)]
async fn modify_changes_the_size_of_the_candidate_pool() {
    let session = Session::new();
    let lines = [
        "gnt-cluster modify -C 3",
        "gnt-cluster modify --candidate-pool-size=3 --submit",
        "gnt-cluster modify",
        "gnt-cluster modify -C 0",
        "gnt-cluster modify -C many",
        "gnt-cluster modify --vg-name xenvg",
    ];
    session.check("cluster-modify", &lines).await;
    let submitted = session.cluster.submitted();
    let sizes = submitted.iter().map(|request| match &request.op {
        OpCode::ClusterSetParams(op) => op.candidate_pool_size,
        other => panic!("{other:?}"),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [Some(3), Some(3)]);
}

// covers: C13 P81
#[tokio::test(start_paused = true)]
async fn master_failover_is_to_this_node_or_to_another() {
    let lines = [
        "gnt-cluster master-failover",
        "gnt-cluster master-failover --to node2 --json",
        "gnt-cluster master-failover --endpoint node2.example:1811",
        "gnt-cluster master-failover --to node1.example",
        "gnt-cluster master-failover --to node7.example",
        "gnt-cluster master-failover --no-voting --yes-do-it",
        "gnt-cluster master-failover node2",
    ];
    Session::new().check("master-failover", &lines).await;
}

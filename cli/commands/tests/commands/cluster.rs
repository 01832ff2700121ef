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

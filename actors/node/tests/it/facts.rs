//! Facts, and the list of actors.

use gantry_model::errors::FaultCode;
use gantry_model::facts::{Fact, FactQuery};
use gantry_model::messages::{GatherFacts, QueryActors, QueryFlight, QueryLinks};
use gantry_model::node_calls::{DiskCreate, node_path};
use gantry_model::objects::GuestSpec;
use gantry_model::params::{HypervisorKind, KvmParams};
use gantry_model::units::MiB;
use gantry_runtime::simulate;

use crate::bench::{Bench, NODE, Node, WEB1, disk, message, spec, start};

async fn ask(node: &Node, query: FactQuery) -> Fact {
    let gather = GatherFacts { queries: vec![query] };
    let mut facts = node.ask(node_path(NODE), gather).await.expect("answered");
    assert_eq!(facts.len(), 1);
    facts.remove(0)
}

fn reason(fact: Fact) -> String {
    match fact {
        Fact::No { reason } => reason,
        other => panic!("expected a no: {other:?}"),
    }
}

#[test]
fn a_guest_is_asked_for_now() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let query = FactQuery::Guest { instance: WEB1, hypervisor: HypervisorKind::Fake };
        assert_eq!(ask(&node, query.clone()).await, Fact::Guest(None));
        node.done(&message(1, start(1))).await;
        assert!(matches!(ask(&node, query).await, Fact::Guest(Some(_))));
        let query = FactQuery::Guest { instance: WEB1, hypervisor: HypervisorKind::Kvm };
        assert!(reason(ask(&node, query).await).contains("kvm"));
    });
}

#[test]
fn a_guest_can_run_when_its_disks_are_there() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let with_disk = GuestSpec { disks: vec![disk(&bench)], ..spec(1) };
        let query = FactQuery::CanRun(Box::new(with_disk.clone()));
        assert!(reason(ask(&node, query.clone()).await).contains("disk 0"));
        node.done(&message(1, DiskCreate { disk: disk(&bench) })).await;
        assert!(matches!(ask(&node, query).await, Fact::CanRun { .. }));

        let kvm = GuestSpec { hvparams: KvmParams::default().into(), ..spec(1) };
        assert!(reason(ask(&node, FactQuery::CanRun(Box::new(kvm))).await).contains("kvm"));
        let invalid = GuestSpec { memory: MiB(0), ..spec(1) };
        assert!(reason(ask(&node, FactQuery::CanRun(Box::new(invalid))).await).contains("memory"));
    });
}

#[test]
fn file_storage_and_images_are_looked_at() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let room = |directory: &str, shared| FactQuery::FileStorage {
            directory: directory.to_owned(),
            shared,
        };
        for (directory, shared) in [(&bench.file_dir(), false), (&bench.shared_dir(), true)] {
            let directory = directory.display().to_string();
            let free = ask(&node, room(&directory, shared)).await;
            assert!(matches!(free, Fact::FileStorage { free } if free > MiB(0)), "{free:?}");
            // Whose directory it is, is not guessed.
            assert!(reason(ask(&node, room(&directory, !shared)).await).contains(&directory));
        }
        assert!(reason(ask(&node, room("/etc", false)).await).contains("/etc"));

        let image = |path: String| FactQuery::Image { path };
        let there = ask(&node, image(bench.image().display().to_string())).await;
        assert_eq!(there, Fact::Image { size: MiB(1) });
        for path in ["image", "/nowhere/at/all", "/etc"] {
            assert!(reason(ask(&node, image(path.to_owned())).await).contains(path));
        }
    });
}

#[test]
fn the_node_is_measured_and_answers_keep_the_order_of_questions() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let image = FactQuery::Image { path: "x".to_owned() };
        let gather = GatherFacts { queries: vec![FactQuery::Node, image, FactQuery::Node] };
        let facts = node.ask(node_path(NODE), gather).await.expect("answered");
        let [Fact::Node(info), Fact::No { .. }, Fact::Node(_)] = &facts[..] else {
            panic!("{facts:?}");
        };
        assert_eq!((info.memory_total, info.memory_free), (MiB(16_384), MiB(8_192)));
        assert_eq!((info.cpus, info.booted.seconds()), (4, 1_700_000_000));
        assert_eq!((info.boot_id.as_u128(), info.cpu_sockets, info.numa_nodes), (0xb007, 2, 1));
        assert!(info.disk_free <= info.disk_total && info.disk_total > MiB(0));
        let nothing = GatherFacts { queries: Vec::new() };
        assert_eq!(node.ask(node_path(NODE), nothing).await.expect("answered"), []);
    });
}

#[test]
fn the_actors_of_a_node_are_listed() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let rows = node.ask(node_path(NODE), QueryActors {}).await.expect("answered");
        let paths: Vec<_> = rows.iter().map(|row| row.path.as_str()).collect();
        assert!(paths.contains(&format!("/instance/{WEB1}").as_str()), "{paths:?}");
        assert!(rows.iter().all(|row| row.node == "node1.example"));
    });
}

#[test]
fn the_last_turns_of_actors_are_told_newest_first() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let ask = |path: Option<String>, limit| QueryFlight { path, limit };
        let all = node.ask(node_path(NODE), ask(None, 1000)).await.expect("answered");
        assert!(all.is_sorted_by(|one, next| one.at >= next.at), "{all:?}");
        let instance = format!("/instance/{WEB1}");
        let of_one = ask(Some(instance.clone()), 1000);
        let of_one = node.ask(node_path(NODE), of_one).await.expect("answered");
        assert!(of_one.iter().all(|row| row.path == instance), "{of_one:?}");
        assert!(of_one.iter().any(|row| row.message == "node.call"), "{of_one:?}");
        let few = node.ask(node_path(NODE), ask(None, 2)).await.expect("answered");
        assert_eq!(few.len(), 2);
    });
}

#[test]
fn the_flight_of_nobody_is_refused() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        for (path, code) in
            [("/node/nobody", FaultCode::UnknownEntity), ("no path", FaultCode::WrongInput)]
        {
            let asked = QueryFlight { path: Some(path.to_owned()), limit: 10 };
            let refused = node.ask(node_path(NODE), asked).await.expect_err("nobody");
            assert_eq!(refused.code, code, "{refused:?}");
        }
    });
}

#[test]
fn a_node_without_peers_has_no_links() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let table = node.ask(node_path(NODE), QueryLinks {}).await.expect("answered");
        assert!(table.rows.iter().all(|row| row.counts.is_none()), "{table:?}");
        assert!(table.now.0 > 0);
    });
}

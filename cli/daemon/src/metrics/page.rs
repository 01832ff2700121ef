//! The page of numbers.

use std::fmt;
use std::sync::atomic::AtomicU64;

use gantry_host::own_memory_bytes;
use gantry_model::jobs::JobStatus;
use gantry_model::report::GuestState;
use gantry_store::Store;
use gantry_wire::Role;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::{Sources, lock_waits};

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPeer {
    peer: String,
    role: String,
}

/// All numbers, in the text form that Prometheus reads.
pub(super) fn page(sources: &Sources) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("gantry");
    let about = Info::new(vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("node", sources.node_name.clone()),
        ("cluster", sources.cluster_name.clone()),
    ]);
    registry.register("daemon", "The program and where it runs", about);
    add_process(&mut registry);
    add_actors(sources, &mut registry);
    add_links(sources, &mut registry);
    add_state(sources, &mut registry);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

pub(super) fn gauge(registry: &mut Registry, (name, help): (&str, &str), value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn add_process(registry: &mut Registry) {
    // A number that cannot be had is left out.
    if let Ok(bytes) = own_memory_bytes() {
        gauge(registry, ("memory_bytes", "Resident memory of the daemon"), bytes);
    }
}

fn add_actors(sources: &Sources, registry: &mut Registry) {
    let actors = Family::<OfKind, Gauge>::default();
    let waiting = Family::<OfKind, Gauge>::default();
    let handled = Family::<OfKind, Counter>::default();
    let restarts = Family::<OfKind, Counter>::default();
    let stalls = Family::<OfKind, Counter>::default();
    for actor in sources.system.actors() {
        let of = OfKind { kind: actor.kind.to_owned() };
        actors.get_or_create(&of).inc();
        let messages = i64::try_from(actor.mailbox_messages).unwrap_or(i64::MAX);
        waiting.get_or_create(&of).inc_by(messages);
        handled.get_or_create(&of).inc_by(actor.handled);
        restarts.get_or_create(&of).inc_by(u64::from(actor.restarts));
        stalls.get_or_create(&of).inc_by(u64::from(actor.stalls));
    }
    registry.register("actors", "Live actors", actors);
    registry.register("mailbox_messages", "Messages that have not begun", waiting);
    registry.register("turns", "Turns of the live actors", handled);
    registry.register("actor_restarts", "Restarts of the live actors", restarts);
    registry.register("actor_stalls", "Turns that held their thread for too long", stalls);
}

fn add_links(sources: &Sources, registry: &mut Registry) {
    let up = Family::<OfPeer, Gauge>::default();
    let rtt = Family::<OfPeer, Seconds>::default();
    let sent = Family::<OfPeer, Counter>::default();
    let received = Family::<OfPeer, Counter>::default();
    let lost = Family::<OfPeer, Counter>::default();
    let links = sources.system.link().map(|link| link.traffic()).unwrap_or_default();
    // Commands come and go, each with an id of its own: they would be a new series each.
    for link in links.iter().filter(|link| is_node(link.peer.role)) {
        let of = OfPeer { peer: link.peer.node.to_string(), role: link.peer.role.to_string() };
        up.get_or_create(&of).set(1);
        if let Some(counts) = link.counts {
            rtt.get_or_create(&of).set(counts.rtt.as_secs_f64());
            sent.get_or_create(&of).inc_by(counts.sent_bytes);
            received.get_or_create(&of).inc_by(counts.received_bytes);
            lost.get_or_create(&of).inc_by(counts.lost_packets);
        }
    }
    registry.register("link_up", "Nodes that are connected", up);
    registry.register("link_rtt_seconds", "Time to the node and back", rtt);
    registry.register("link_sent_bytes", "Bytes sent over the present connection", sent);
    registry.register("link_received_bytes", "Bytes received over it", received);
    registry.register("link_lost_packets", "Packets of ours that were lost", lost);
}

fn is_node(role: Role) -> bool {
    matches!(role, Role::Candidate | Role::Node)
}

/// How fast the disk is that every change waits for: the mean is one rate by the other.
fn add_flushes(store: &Store, registry: &mut Registry) {
    let (count, took) = store.flushes();
    let flushes = Counter::<u64>::default();
    flushes.inc_by(count);
    registry.register("log_flushes", "Transactions of the log that the disk has flushed", flushes);
    let seconds = Counter::<f64, AtomicU64>::default();
    seconds.inc_by(took.as_secs_f64());
    registry.register("log_flush_seconds", "How long the disk took for them", seconds);
}

/// What the replicated state of this node says; nothing on a node without the log.
fn add_state(sources: &Sources, registry: &mut Registry) {
    let Some(store) = &sources.store else { return };
    let state = store.snapshot();
    let leads = matches!(*store.leadership().borrow(), gantry_store::Leadership::Leader);
    gauge(registry, ("is_master", "Whether this node is the master"), u64::from(leads));
    gauge(
        registry,
        ("log_revision", "The last entry of the log that is applied"),
        state.revision.0,
    );
    add_flushes(store, registry);
    lock_waits::add(&sources.lock_waits.seen(), registry);
    gauge(registry, ("instances", "Instances of the cluster"), state.instances.len() as u64);
    gauge(registry, ("nodes", "Nodes of the cluster"), state.nodes.len() as u64);
    let jobs = Family::<OfState, Gauge>::default();
    for status in JobStatus::ALL {
        jobs.get_or_create(&OfState { state: status.as_str().to_owned() }).set(0);
    }
    for job in state.jobs.values() {
        jobs.get_or_create(&OfState { state: job.status().as_str().to_owned() }).inc();
    }
    registry.register("jobs", "Jobs that are not archived, by their status in the log", jobs);
    let held: usize = state.locks.values().map(|locks| locks.len()).sum();
    gauge(registry, ("locks_held", "Locks that jobs have acted under"), held as u64);
    let guests = Family::<OfState, Gauge>::default();
    for transition in state.transitions.values() {
        let word = match transition.state {
            Some(GuestState::Running) => "running",
            Some(GuestState::Paused) => "paused",
            Some(GuestState::Shutdown) => "shutdown",
            None => "none",
        };
        guests.get_or_create(&OfState { state: word.to_owned() }).inc();
    }
    registry.register("guests", "Guests of the cluster, by their last transition", guests);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, types and units that Prometheus would refuse are refused here.
    #[test]
    fn a_page_has_each_number_with_its_type_and_help() {
        let mut registry = Registry::with_prefix("gantry");
        gauge(&mut registry, ("nodes", "Nodes of the cluster"), 3);
        add_process(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).expect("written");
        assert!(text.contains("# HELP gantry_nodes Nodes of the cluster.\n"), "{text}");
        assert!(text.contains("# TYPE gantry_nodes gauge\n"), "{text}");
        assert!(text.contains("\ngantry_nodes 3\n"), "{text}");
        assert!(text.contains("gantry_memory_bytes "), "{text}");
    }
}

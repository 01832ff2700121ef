//! Ganeti's words for the state of an instance.

use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::objects::{AdminState, Node};
use gantry_model::query::{Cell, Resource};
use gantry_model::report::GuestState;

use super::view::{View, guest, unreadable};
use crate::state::tests::sample::{instance, instance_id, node, node_id};

/// Instance 1 lives on node 2, which has not said anything.
fn view(admin_state: AdminState) -> View {
    with_primary(admin_state, node(2))
}

fn with_primary(admin_state: AdminState, primary: Node) -> View {
    let mut view = View::new();
    let mut instance = instance(1);
    instance.primary = primary.uuid;
    view.log.config(vec![
        ConfigDelta::NodeRemove { node: primary.uuid },
        ConfigDelta::NodeAdd(Box::new(primary)),
        ConfigDelta::InstanceAdd(Box::new(instance)),
        ConfigDelta::InstanceChange {
            instance: instance_id(1),
            expected: None,
            change: InstanceChange::AdminState(admin_state),
        },
    ]);
    view
}

const STATES: [AdminState; 3] = [AdminState::Up, AdminState::Down, AdminState::Offline];

// covers: X51
#[test]
fn wanted_and_actual_state_make_the_word() {
    let cases = [
        (None, ["ERROR_down", "ADMIN_down", "ADMIN_offline"]),
        (Some(GuestState::Running), ["running", "ERROR_up", "ERROR_up"]),
        (Some(GuestState::Paused), ["running", "ERROR_up", "ERROR_up"]),
        (Some(GuestState::Shutdown), ["USER_down", "ADMIN_down", "ADMIN_offline"]),
    ];
    for (state, words) in cases {
        for (admin_state, word) in STATES.into_iter().zip(words) {
            let mut view = view(admin_state);
            view.reports(node_id(2), state.map(|state| guest(1, state)).into_iter().collect());
            assert_eq!(view.status(instance_id(1)), word, "{admin_state:?}, {state:?}");
        }
    }
}

// covers: X51
#[test]
fn a_guest_that_ended_by_itself_has_failed_where_guests_may_not_do_that() {
    let mut view = view(AdminState::Up);
    view.reports(node_id(2), vec![guest(1, GuestState::Shutdown)]);
    for (allowed, word) in
        [(None, "USER_down"), (Some(true), "USER_down"), (Some(false), "ERROR_down")]
    {
        let cluster = view.log.state.cluster.as_mut().expect("there is one");
        std::sync::Arc::make_mut(cluster).settings.user_shutdown = allowed;
        assert_eq!(view.status(instance_id(1)), word, "{allowed:?}");
    }
}

// covers: X51
#[test]
fn a_node_that_has_said_nothing_or_went_away_is_down() {
    for admin_state in STATES {
        let mut view = view(admin_state);
        assert_eq!(view.status(instance_id(1)), "ERROR_nodedown");
        view.reports(node_id(2), vec![guest(1, GuestState::Running)]);
        view.picture.disconnected(node_id(2));
        assert_eq!(view.status(instance_id(1)), "ERROR_nodedown");
        assert_eq!(view.cell(Resource::Instance, "oper_ram", "web1"), Cell::NoData);
        assert_eq!(view.cell(Resource::Instance, "oper_state", "web1"), Cell::NoData);
    }
}

#[test]
fn a_guest_that_its_node_cannot_read_is_neither_up_nor_down() {
    // Nor does it help that it was seen before.
    for before in [vec![], vec![guest(1, GuestState::Running)]] {
        let mut view = view(AdminState::Up);
        view.reports_all(node_id(2), before, vec![unreadable(1)]);
        for field in ["status", "oper_state", "oper_ram", "console"] {
            let cell = view.cell(Resource::Instance, field, "web1");
            assert!(matches!(cell, Cell::NoData | Cell::Unavailable), "{field}: {cell:?}");
        }
        assert_eq!(view.cell(Resource::Instance, "status", "web1"), Cell::NoData);
        assert_eq!(view.cell(Resource::Instance, "oper_state", "web1"), Cell::NoData);
        let why = view.cell(Resource::Instance, "status.fault", "web1");
        assert_eq!(why, Cell::Value("its record cannot be read".into()));
        view.picture.disconnected(node_id(2));
        assert_eq!(view.status(instance_id(1)), "ERROR_nodedown");
        assert_eq!(view.cell(Resource::Instance, "status.fault", "web1"), Cell::Unavailable);
    }
}

// covers: X51
#[test]
fn a_node_that_is_offline_is_not_believed() {
    for admin_state in STATES {
        let mut view = with_primary(admin_state, Node { offline: true, ..node(2) });
        view.reports(node_id(2), vec![guest(1, GuestState::Running)]);
        view.reports(node_id(3), vec![guest(1, GuestState::Running)]);
        assert_eq!(view.status(instance_id(1)), "ERROR_nodeoffline");
        assert_eq!(view.cell(Resource::Instance, "oper_ram", "web1"), Cell::Offline);
    }
}

// covers: X51
#[test]
fn a_guest_that_runs_elsewhere_is_on_the_wrong_node() {
    for here in [vec![], vec![guest(1, GuestState::Running)]] {
        let mut view = view(AdminState::Up);
        view.reports(node_id(2), here);
        view.reports(node_id(3), vec![guest(1, GuestState::Running)]);
        assert_eq!(view.status(instance_id(1)), "ERROR_wrongnode");
    }
}

#[test]
fn what_a_node_said_before_it_went_away_puts_no_guest_on_the_wrong_node() {
    let mut view = view(AdminState::Up);
    view.reports(node_id(2), vec![guest(1, GuestState::Running)]);
    view.reports(node_id(3), vec![guest(1, GuestState::Running)]);
    view.picture.disconnected(node_id(3));
    assert_eq!(view.status(instance_id(1)), "running");
}

#[test]
fn a_guest_that_has_ended_elsewhere_is_not_on_the_wrong_node() {
    let mut view = view(AdminState::Up);
    view.reports(node_id(2), vec![guest(1, GuestState::Running)]);
    view.reports(node_id(3), vec![guest(1, GuestState::Shutdown)]);
    assert_eq!(view.status(instance_id(1)), "running");
}

#[test]
fn what_an_offline_node_said_puts_no_guest_on_the_wrong_node() {
    let mut view = view(AdminState::Up);
    let offline = Node { offline: true, ..node(4) };
    view.log.config(vec![ConfigDelta::NodeAdd(Box::new(offline))]);
    view.reports(node_id(2), vec![guest(1, GuestState::Running)]);
    view.reports(node_id(4), vec![guest(1, GuestState::Running)]);
    assert_eq!(view.status(instance_id(1)), "running");
}

#[test]
fn a_guest_that_does_not_run_uses_nothing() {
    for guests in [vec![], vec![guest(1, GuestState::Shutdown)]] {
        let mut view = view(AdminState::Down);
        view.reports(node_id(2), guests);
        assert_eq!(view.cell(Resource::Instance, "oper_ram", "web1"), Cell::Unavailable);
        assert_eq!(view.cell(Resource::Instance, "oper_vcpus", "web1"), Cell::Unavailable);
        let runs = view.cell(Resource::Instance, "oper_state", "web1");
        assert_eq!(runs, Cell::Value(false.into()));
    }
}

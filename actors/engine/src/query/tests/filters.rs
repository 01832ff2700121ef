//! Filters over the tables of all resources.

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::jobs::JobStatus;
use gantry_model::locks::{LockMode, LockName, LockRow};
use gantry_model::names::InstanceName;
use gantry_model::objects::Node;
use gantry_model::query::Resource;
use gantry_model::report::GuestState;
use gantry_model::units::Timestamp;
use serde_json::{Value, json};

use super::view::{View, guest};
use crate::state::tests::sample::{disk, instance, new_job, node, node_id};

/// web1 runs; web2 and web10.example do not; node4 is offline.
fn cluster() -> View {
    let mut view = View::new();
    let mut first = instance(1);
    first.tags = vec!["web".into(), "prod".into()];
    first.ctime = Timestamp(1_234_500_000);
    first.disks.clear();
    let mut second = instance(2);
    second.disks = vec![disk(2, 0)];
    let mut third = instance(10);
    third.disks.clear();
    third.name = InstanceName::new("web10.example").expect("valid");
    let add = |instance| ConfigDelta::InstanceAdd(Box::new(instance));
    let offline = Node { offline: true, ..node(4) };
    let mut deltas = [first, second, third].map(add).to_vec();
    deltas.push(ConfigDelta::NodeAdd(Box::new(offline)));
    view.log.config(deltas);
    view.reports(node_id(1), vec![guest(1, GuestState::Running)]);
    view
}

fn names(view: &View, resource: Resource, filter: &Value) -> Vec<String> {
    let names = view.wanted(resource, "name", filter).expect("a filter that suits");
    names.into_iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

fn instances(filter: &Value) -> Vec<String> {
    names(&cluster(), Resource::Instance, filter)
}

fn refused(resource: Resource, filter: &Value) -> String {
    let fault = cluster().wanted(resource, "name", filter).expect_err("it does not suit");
    assert_eq!(fault.code, FaultCode::WrongInput);
    fault.message
}

// covers: C211 C212
#[test]
fn each_operator_means_what_it_says() {
    for (filter, expected) in [
        (json!(["==", "uuid", "nobody"]), vec![]),
        (json!(["!=", "name", "web1"]), vec!["web2", "web10.example"]),
        (json!(["<", "name", "web10.example"]), vec!["web1"]),
        (json!(["<=", "name", "web10.example"]), vec!["web1", "web10.example"]),
        (json!([">", "name", "web10"]), vec!["web2", "web10.example"]),
        (json!([">=", "name", "web2"]), vec!["web2"]),
        (json!(["==", "disk.count", 1]), vec!["web2"]),
        (json!(["=~", "name", "^web.$"]), vec!["web1", "web2"]),
        (json!(["=~", "name", "(?i)EXAMPLE"]), vec!["web10.example"]),
        (json!(["=[]", "tags", "prod"]), vec!["web1"]),
        (json!(["=[]", "disk.sizes", 1024]), vec!["web2"]),
        (json!(["?", "oper_state"]), vec!["web1"]),
        (json!(["!", ["?", "oper_state"]]), vec!["web2", "web10.example"]),
        (json!(["&"]), vec!["web1", "web2", "web10.example"]),
        (json!(["|"]), vec![]),
        (json!(["&", ["=~", "name", "1"], ["=~", "name", "0"]]), vec!["web10.example"]),
        (json!(["|", ["=~", "name", "2"], ["=~", "name", "0"]]), vec!["web2", "web10.example"]),
    ] {
        assert_eq!(instances(&filter), expected, "{filter}");
    }
}

// covers: C208
#[test]
fn names_are_equal_to_their_beginnings_up_to_a_dot() {
    let short = json!(["&", ["==", "name", "web10"]]);
    assert_eq!(instances(&short), ["web10.example"]);
    assert_eq!(instances(&json!(["&", ["==", "name", "web"]])), Vec::<String>::new());
    let by_node = json!(["==", "pnode", "node1"]);
    assert_eq!(instances(&by_node), ["web1", "web2", "web10.example"]);
}

// covers: C208
#[test]
fn a_filter_of_names_alone_finds_them_in_its_order_or_is_refused() {
    let two = json!(["|", ["==", "name", "web2"], ["==", "name", "web1"]]);
    assert_eq!(instances(&two), ["web2", "web1"]);
    let unknown = json!(["|", ["==", "name", "web2"], ["==", "name", "nope"]]);
    let fault = cluster().wanted(Resource::Instance, "name", &unknown).expect_err("unknown");
    assert_eq!(fault.code, FaultCode::UnknownEntity);
    assert_eq!(fault.message, "Instance name nope not found");
    let among_others = json!(["|", ["==", "name", "nope"], ["=~", "name", "2"]]);
    assert_eq!(instances(&among_others), ["web2"]);
}

// covers: C207 C211
#[test]
fn what_is_not_there_is_wanted_unless_the_condition_is_turned_round() {
    // Only web1 has memory; the others do not run.
    assert_eq!(instances(&json!([">", "oper_ram", 1_000_000])), ["web2", "web10.example"]);
    assert_eq!(instances(&json!(["!", ["<", "oper_ram", 1_000_000]])), Vec::<String>::new());
    assert_eq!(instances(&json!(["!=", "oper_ram", 1_000_000])), ["web1"]);
    let nodes = |filter| names(&cluster(), Resource::Node, &filter);
    assert_eq!(nodes(json!(["&", ["?", "offline"], [">", "mfree", 1_000_000]])), ["node4"]);
}

// covers: C212
#[test]
fn times_are_compared_in_seconds() {
    assert_eq!(instances(&json!(["&", ["=~", "name", "1$"], ["<", "ctime", 1234]])), [""; 0]);
    assert_eq!(instances(&json!(["&", ["=~", "name", "1$"], ["<", "ctime", 1235]])), ["web1"]);
    assert_eq!(instances(&json!(["&", ["=~", "name", "1$"], [">", "ctime", 1234]])), ["web1"]);
}

// covers: C85 C211
#[test]
fn jobs_and_locks_are_filtered_too() {
    let mut view = View::new();
    let first = view.log.submit(new_job(1));
    view.log.submit(new_job(1));
    view.jobs.insert(first, JobStatus::Waiting);
    let ids = |filter: Value| view.wanted(Resource::Job, "id", &filter).expect("suits");
    assert_eq!(ids(json!(["==", "status", "waiting"])), [json!(1)]);
    assert_eq!(ids(json!(["==", "id", 2])), [json!(2)]);
    assert_eq!(ids(json!([">=", "id", 1])), [json!(1), json!(2)]);
    assert_eq!(ids(json!(["&", [">", "received_ts", 1_000_000_000_000_i64]])), Vec::<Value>::new());
    assert_eq!(ids(json!(["?", "archived"])), Vec::<Value>::new());

    let bgl = LockRow {
        name: LockName::bgl(),
        mode: Some(LockMode::Shared),
        owners: Vec::new(),
        pending: Vec::new(),
    };
    view.locks = vec![bgl];
    let modes = |mode: &str| view.wanted(Resource::Lock, "mode", &json!(["==", "mode", mode]));
    assert_eq!(modes("shared").expect("suits"), [json!("shared")]);
    assert_eq!(modes("exclusive").expect("suits"), Vec::<Value>::new());
}

// covers: C211
#[test]
fn what_does_not_suit_a_field_is_refused_by_name() {
    for (filter, expected) in [
        (json!(["?", "name"]), "'name' is a text, not true or false"),
        (
            json!(["==", "name", 5]),
            "'name' is a text, it cannot be compared (==) with the number 5",
        ),
        (json!(["<", "oper_ram", "x"]), "'oper_ram' is a size (a number of MiB), it cannot be"),
        (json!(["==", "admin_up", 1]), "'admin_up' is true or false, it cannot be compared"),
        (json!(["=~", "ctime", "x"]), "'ctime' is a time (a number of seconds), which no regular"),
        (json!(["=[]", "name", "x"]), "'name' is a text, no list that the text \"x\" can be in"),
        (json!(["?", "tags"]), "'tags' is [\"web\",\"prod\"], not true or false"),
        (json!(["==", "tags", "web"]), "'tags' is [\"web\",\"prod\"], it cannot be compared"),
        (json!(["=[]", "beparams", 1]), "no list that the number 1 can be in"),
    ] {
        let text = refused(Resource::Instance, &filter);
        assert!(text.starts_with("filter: ") && text.contains(expected), "{filter}: {text}");
    }
    // In Ganeti's words.
    let unknown = refused(Resource::Instance, &json!(["?", "colour"]));
    assert_eq!(unknown, "Can't find field named 'colour'");
}

// covers: C206
#[test]
fn fields_of_a_filter_need_not_be_shown() {
    let view = cluster();
    let filter = json!(["==", "disk.count", 1]);
    assert_eq!(view.wanted(Resource::Instance, "os", &filter).expect("suits").len(), 1);
}

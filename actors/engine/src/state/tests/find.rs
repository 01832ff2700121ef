//! Names as people type them.

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::names::InstanceName;
use gantry_model::objects::Instance;

use super::sample::{Log, instance, node_id};

fn log_with(names: &[&str]) -> Log {
    let mut log = Log::new();
    for (number, name) in (1..).zip(names) {
        let name = InstanceName::new(name).expect("valid");
        let made = Instance { name, ..instance(number) };
        log.config(vec![ConfigDelta::InstanceAdd(Box::new(made))]);
    }
    log
}

fn found(names: &[&str], typed: &str) -> Result<String, FaultCode> {
    let log = log_with(names);
    let found = log.state.find_instance(typed);
    found.map(|instance| instance.name.to_string()).map_err(|fault| fault.code)
}

// covers: C208
#[test]
fn the_first_labels_of_one_name_are_enough() {
    let names = ["web1.example.com", "web10.example.com", "web1-b.example.com"];
    for typed in ["web1", "WEB1", "web1.example", "web1.example.com"] {
        assert_eq!(found(&names, typed).as_deref(), Ok("web1.example.com"), "{typed}");
    }
    for typed in ["web", "web1.ex", "example.com", "web1.example.com.org"] {
        assert_eq!(found(&names, typed), Err(FaultCode::UnknownEntity), "{typed}");
    }
}

// covers: C208
#[test]
fn a_complete_name_wins_over_longer_ones() {
    let names = ["web1", "web1.example.com"];
    assert_eq!(found(&names, "web1").as_deref(), Ok("web1"));
}

// covers: C208
#[test]
fn a_name_that_could_be_several_is_refused_and_names_them() {
    let names = ["web1.example.com", "web1.example.org"];
    let log = log_with(&names);
    let fault = log.state.find_instance("web1").expect_err("ambiguous");
    assert_eq!(fault.code, FaultCode::ResourceNotUnique);
    assert!(names.iter().all(|name| fault.message.contains(name)), "{}", fault.message);
}

// covers: C208
#[test]
fn objects_are_found_by_their_id() {
    let log = log_with(&["web1.example.com"]);
    let node = log.state.find_node(&node_id(1).to_string()).expect("a node");
    assert_eq!(node.name.as_str(), "node1");
    assert!(log.state.find_node("not a name").is_err());
}

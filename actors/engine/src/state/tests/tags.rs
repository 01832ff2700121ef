//! Tags in the state.

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::tags::{TAGS_MAX, Tagged};

use super::sample::{Log, group, instance, instance_id, instance_name, node_id};

fn tags(object: Tagged, add: &[&str], remove: &[&str]) -> ConfigDelta {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    ConfigDelta::Tags { object, add: texts(add), remove: texts(remove) }
}

fn with_instance() -> Log {
    let mut log = Log::new();
    log.config(vec![ConfigDelta::InstanceAdd(Box::new(instance(1)))]);
    log
}

// covers: S197 S199 S201
#[test]
fn every_kind_of_object_gets_and_loses_tags_and_counts_it() {
    let mut log = with_instance();
    let of = |log: &Log, object| match object {
        Tagged::Cluster => {
            let cluster = log.state.cluster.as_ref().expect("there");
            (cluster.tags.clone(), cluster.serial.0)
        }
        Tagged::Node(uuid) => {
            (log.state.nodes[&uuid].tags.clone(), log.state.nodes[&uuid].serial.0)
        }
        Tagged::Nodegroup(uuid) => {
            (log.state.groups[&uuid].tags.clone(), log.state.groups[&uuid].serial.0)
        }
        Tagged::Instance(uuid) => {
            (log.state.instances[&uuid].tags.clone(), log.state.instances[&uuid].serial.0)
        }
    };
    for object in [
        Tagged::Cluster,
        Tagged::Node(node_id(2)),
        Tagged::Nodegroup(group().uuid),
        Tagged::Instance(instance_id(1)),
    ] {
        let (_, before) = of(&log, object);
        log.config(vec![tags(object, &["b", "a", "c"], &[])]);
        assert_eq!(of(&log, object), (vec!["a".into(), "b".into(), "c".into()], before + 1));
        log.config(vec![tags(object, &[], &["b", "never:there"])]);
        assert_eq!(of(&log, object), (vec!["a".into(), "c".into()], before + 2));
    }
}

// covers: S198
#[test]
fn too_many_are_refused_and_change_nothing() {
    let mut log = with_instance();
    let many: Vec<String> = (0..TAGS_MAX).map(|n| format!("t{n}")).collect();
    let object = Tagged::Instance(instance_id(1));
    log.config(vec![ConfigDelta::Tags { object, add: many, remove: Vec::new() }]);
    let fault = log.refused(log.config_command(vec![tags(object, &["one:more"], &[])]));
    assert_eq!(fault.code, FaultCode::InvalidTag);
    let instance = log.state.instance_by_name(&instance_name(1)).expect("there");
    assert_eq!(instance.tags.len(), TAGS_MAX);
}

#[test]
fn what_is_gone_has_no_tags() {
    let mut log = Log::new();
    for object in [Tagged::Node(node_id(99)), Tagged::Instance(instance_id(1))] {
        let fault = log.refused(log.config_command(vec![tags(object, &["a"], &[])]));
        assert_eq!(fault.code, FaultCode::UnknownEntity);
    }
}

#[test]
fn tags_do_not_change_below_their_level() {
    let mut log = with_instance();
    log.state.level = 5;
    let command = log.config_command(vec![tags(Tagged::Cluster, &["a"], &[])]);
    assert_eq!(command.level(), 6);
    let before = log.state.cluster.clone();
    assert_eq!(log.refused(command).code, FaultCode::WrongState);
    assert_eq!(log.state.cluster, before);
}

//! Tests of OP_TAGS_SET.

use gantry_model::errors::FaultCode;
use gantry_model::names::{GroupName, InstanceName};
use gantry_model::opcodes::TagsSet;
use gantry_model::tags::{TAGS_MAX, TagObject};

use crate::lu;
use crate::lu::rig::{Rig, node_name, web1};
use crate::lu::samples::set_tags;

fn on(object: TagObject) -> TagsSet {
    TagsSet { object, tags: vec!["b".into(), "a".into()] }
}

fn default_group() -> TagObject {
    TagObject::Nodegroup(GroupName::new("default").expect("valid"))
}

// covers: O64 L1 L2 L3 L4
#[test]
fn the_lock_is_that_of_the_object() {
    let rig = Rig::with_instance();
    let bgl = "cluster/BGL Hold(Shared)";
    assert_eq!(rig.locks(on(TagObject::Cluster)), [[bgl]]);
    let node = on(TagObject::Node(node_name(2)));
    assert_eq!(rig.locks(node), [[bgl, "node/node2 Hold(Exclusive)"]]);
    let instance = on(TagObject::Instance(web1()));
    assert_eq!(rig.locks(instance), [[bgl, "instance/web1 Hold(Exclusive)"]]);
    let group = rig.locks(on(default_group()));
    assert!(group[0][1].starts_with("nodegroup/"), "{group:?}");
}

// covers: O64 S199
#[test]
fn tags_are_added_to_those_that_are_there() {
    let mut rig = Rig::with_instance();
    rig.run(TagsSet { tags: vec!["z".into()], ..set_tags() });
    rig.run(on(TagObject::Instance(web1())));
    assert_eq!(rig.instance().tags, ["a", "b", "z"]);
    for object in [TagObject::Cluster, TagObject::Node(node_name(2)), default_group()] {
        rig.run(on(object));
    }
    assert_eq!(rig.state.cluster.as_ref().expect("there").tags, ["a", "b"]);
    assert_eq!(rig.state.node_by_name(&node_name(2)).expect("there").tags, ["a", "b"]);
}

// covers: S198
#[test]
fn what_is_no_tag_is_refused_before_there_is_a_job() {
    let arguments = |tags: Vec<String>| {
        let fault = lu::arguments(&TagsSet { tags, ..set_tags() }.into()).expect_err("refused");
        (fault.code, fault.message)
    };
    assert_eq!(arguments(vec!["a b".into()]).0, FaultCode::InvalidTag);
    assert_eq!(arguments(vec!["a".repeat(129)]).0, FaultCode::InvalidTag);
    assert_eq!(arguments(Vec::new()), (FaultCode::WrongInput, "no tags are given".into()));
}

// covers: S198
#[test]
fn one_tag_too_many_is_refused() {
    let mut rig = Rig::with_instance();
    let tags = (0..TAGS_MAX).map(|n| format!("t{n}")).collect();
    rig.run(TagsSet { tags, ..set_tags() });
    let one_more = TagsSet { tags: vec!["one:more".into()], ..set_tags() };
    assert_eq!(rig.refusal(one_more).0, FaultCode::InvalidTag);
}

#[test]
fn an_object_that_does_not_exist_is_named() {
    let nobody = on(TagObject::Instance(InstanceName::new("web9").expect("valid")));
    let refused = Rig::new().refusal(nobody);
    assert_eq!(refused, (FaultCode::UnknownEntity, "Instance 'web9' not known".into()));
}

//! Tests of OP_TAGS_DEL.

use gantry_model::errors::FaultCode;
use gantry_model::opcodes::TagsDel;

use crate::lu::samples::{del_tags, with_tags};

// covers: O65
#[test]
fn the_lock_is_that_of_the_object() {
    let locks = with_tags().locks(del_tags());
    assert_eq!(locks, [["cluster/BGL Hold(Shared)", "instance/web1 Hold(Exclusive)"]]);
}

// covers: O65 S201
#[test]
fn tags_are_removed() {
    let mut rig = with_tags();
    let before = rig.instance().tags.clone();
    rig.run(del_tags());
    let left: Vec<String> =
        before.into_iter().filter(|tag| !del_tags().tags.contains(tag)).collect();
    assert!(!left.is_empty());
    assert_eq!(rig.instance().tags, left);
}

// covers: S201
#[test]
fn a_tag_that_is_not_there_is_an_error_and_nothing_is_removed() {
    let rig = with_tags();
    let mut tags = del_tags().tags;
    tags.extend(["y".to_owned(), "x".to_owned()]);
    let refused = rig.refusal(TagsDel { tags, ..del_tags() });
    let text = "Tag(s) 'x', 'y' not found on instance web1";
    assert_eq!(refused, (FaultCode::UnknownEntity, text.into()));
}

//! Snapshots of levels that a reader knows, and of those that it does not.

use gantry_engine::state::{STATE_LEVEL, STATE_LEVELS};
use gantry_model::ids::ClusterUuid;
use gantry_model::names::ClusterName;
use gantry_model::objects::{Cluster, DiskTemplate};
use gantry_model::units::Timestamp;
use uuid::Uuid;

use super::*;
use crate::forms::{LogIdForm, MembershipAt};

const OLD: Levels = Levels { lowest: 1, newest: STATE_LEVEL - 1 };

/// A snapshot of a cluster at a level that has these templates and nothing else.
fn snapshot(level: u32, templates: &[DiskTemplate]) -> Bytes {
    let name = ClusterName::new("cluster.t").expect("valid");
    let cluster = Cluster {
        enabled_disk_templates: templates.to_vec(),
        ..Cluster::new(ClusterUuid(Uuid::nil()), name, Timestamp(1))
    };
    let state = ClusterState { level, cluster: Some(Arc::new(cluster)), ..Default::default() };
    encode(SnapshotHead {
        last: LogIdForm { term: 1, index: 1 },
        membership: MembershipAt::default(),
        at: Timestamp(1),
        state_hash: String::new(),
        n_items: 0,
        state,
    })
    .expect("encodes")
}

fn templates(bytes: &[u8], levels: Levels) -> Vec<DiskTemplate> {
    let head = decode(bytes, levels).expect("known");
    head.state.cluster.as_ref().expect("there is one").enabled_disk_templates.clone()
}

#[test]
fn one_of_the_level_before_is_read_by_programs_of_both() {
    let bytes = snapshot(STATE_LEVEL - 1, &[DiskTemplate::File]);
    for levels in [OLD, STATE_LEVELS] {
        assert_eq!(templates(&bytes, levels), [DiskTemplate::File]);
    }
    // Such a program has no field for what came later.
    let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    assert!(has("file_storage_dir") && !has("shared_file_storage_dir"));
}

#[test]
fn a_word_that_a_reader_does_not_know_is_refused_by_the_level_that_it_came_with() {
    let bytes = snapshot(STATE_LEVEL, &[DiskTemplate::SharedFile]);
    assert_eq!(templates(&bytes, STATE_LEVELS), [DiskTemplate::SharedFile]);
    // The same, from a program with another template and another level.
    let mut later = snapshot(STATE_LEVEL + 1, &[DiskTemplate::SharedFile]).to_vec();
    let word = b"sharedfile";
    let at = later.windows(word.len()).position(|part| part == word).expect("it is named");
    later[at..at + word.len()].copy_from_slice(b"holography");
    let end = later.len() - SUM_BYTES;
    let sum = file_sum(&later[..end]);
    later[end..].copy_from_slice(&sum);
    for (bytes, found, levels) in
        [(&bytes[..], STATE_LEVEL, OLD), (&later[..], STATE_LEVEL + 1, STATE_LEVELS)]
    {
        let error = decode_head(bytes, levels).expect_err("not known");
        let DiskError::Level { source, .. } = &error else { panic!("{error}") };
        assert_eq!(*source, LevelError::TooNew { found, known: levels.newest });
    }
}

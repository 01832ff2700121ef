//! How a state becomes bytes and bytes a state.
//!
//! Layout: magic, version, then frames (length and encoded value): the head, then the items; at
//! the end the SHA-256 of all before it.

use std::sync::Arc;

use bytes::Bytes;
use gantry_engine::state::ClusterState;
use gantry_model::jobs::JobRecord;
use gantry_model::levels::Levels;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DiskError;
use super::checksum::{file_sum, hex};
use crate::forms::{
    HeadOfAnyLevel, SNAPSHOT_VERSION, SNAPSHOT_VERSION_OLDEST, SnapshotHead, SnapshotItem,
};
use crate::level::LevelError;

const MAGIC: &[u8; 8] = b"GANTRYSN";
const SUM_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

/// Encodes a snapshot: `head` says what it is of, its `state` is the whole state.
pub(crate) fn encode(mut head: SnapshotHead) -> Result<Bytes, DiskError> {
    let state = std::mem::take(&mut head.state);
    let hash = state.hash().map_err(|e| DiskError::corrupt("the state", e.to_string()))?;
    let items = items(&state);
    head.state_hash = hex(&hash);
    head.n_items = items.len() as u64;
    head.state = ClusterState {
        nodes: Default::default(),
        node_names: Default::default(),
        instances: Default::default(),
        instance_names: Default::default(),
        transitions: Default::default(),
        jobs: Default::default(),
        unfinished: Default::default(),
        locks: Default::default(),
        requests: Default::default(),
        request_order: Default::default(),
        ..state
    };
    let mut bytes = Vec::new();
    bytes.extend(MAGIC);
    bytes.extend(SNAPSHOT_VERSION.to_be_bytes());
    put(&mut bytes, &head)?;
    for item in &items {
        put(&mut bytes, item)?;
    }
    let sum = file_sum(&bytes);
    bytes.extend(sum);
    Ok(bytes.into())
}

/// Decodes a snapshot; the head that is returned has the whole state in it.
///
/// # Errors
/// When it is damaged, or of a level that is none of `levels`; the level is looked at first.
pub(crate) fn decode(bytes: &[u8], levels: Levels) -> Result<SnapshotHead, DiskError> {
    let (mut head, mut rest) = split_head(bytes, levels)?;
    for _ in 0..head.n_items {
        let item = take(&mut rest)?;
        add(&mut head.state, item)?;
    }
    if !rest.is_empty() {
        return Err(corrupt(format!("{} bytes follow the last item", rest.len())));
    }
    let hash = head.state.hash().map_err(|e| corrupt(e.to_string()))?;
    if hex(&hash) != head.state_hash {
        return Err(corrupt("its state does not have the hash it claims".into()));
    }
    Ok(head)
}

/// Checks a whole file and reads its head; the state in it is not whole.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_head(bytes: &[u8], levels: Levels) -> Result<SnapshotHead, DiskError> {
    split_head(bytes, levels).map(|(head, _)| head)
}

fn split_head(bytes: &[u8], levels: Levels) -> Result<(SnapshotHead, &[u8]), DiskError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| corrupt("it is no snapshot".into()))?;
    let Some((version, rest)) = rest.split_first_chunk() else {
        return Err(corrupt("it ends in its version".into()));
    };
    let found = u32::from_be_bytes(*version);
    if !(SNAPSHOT_VERSION_OLDEST..=SNAPSHOT_VERSION).contains(&found) {
        let (file, known) = ("the snapshot", SNAPSHOT_VERSION);
        return Err(DiskError::UnknownVersion { file, found, known });
    }
    let Some((mut rest, sum)) = rest.split_last_chunk::<SUM_BYTES>() else {
        return Err(corrupt("it ends before its checksum".into()));
    };
    if file_sum(&bytes[..bytes.len() - SUM_BYTES]) != *sum {
        return Err(corrupt("its checksum does not match".into()));
    }
    let HeadOfAnyLevel { state } = take(&mut &*rest)?;
    if let Some(source) = LevelError::of(state.level, levels) {
        return Err(DiskError::Level { what: "the snapshot", source });
    }
    let head = take(&mut rest)?;
    Ok((head, rest))
}

fn corrupt(detail: String) -> DiskError {
    DiskError::corrupt("the snapshot", detail)
}

fn put<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<(), DiskError> {
    let encoded = gantry_wire::encode(value)
        .map_err(|source| DiskError::Encode { what: "a snapshot item".into(), source })?;
    let length = u32::try_from(encoded.len()).expect("the codec's limit is far below 4 GiB");
    bytes.extend(length.to_be_bytes());
    bytes.extend(encoded);
    Ok(())
}

fn take<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<T, DiskError> {
    let ends_early = || corrupt("it ends inside an item".into());
    let (length, tail) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or_else(ends_early)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (value, tail) = tail.split_at_checked(length).ok_or_else(ends_early)?;
    *rest = tail;
    gantry_wire::decode(value).map_err(|e| corrupt(e.to_string()))
}

fn items(state: &ClusterState) -> Vec<SnapshotItem> {
    let mut items = Vec::new();
    items.extend(state.nodes.iter().map(|(id, node)| SnapshotItem::Node(*id, node.clone())));
    items.extend(
        state.node_names.iter().map(|(name, id)| SnapshotItem::NodeName(name.clone(), *id)),
    );
    items.extend(state.instances.iter().map(|(id, i)| SnapshotItem::Instance(*id, i.clone())));
    items.extend(
        state.instance_names.iter().map(|(name, id)| SnapshotItem::InstanceName(name.clone(), *id)),
    );
    items.extend(state.transitions.iter().map(|(id, t)| SnapshotItem::Transition(*id, t.clone())));
    for (id, job) in &state.jobs {
        let ops = job.ops.iter().map(|op| SnapshotItem::Op(*id, Box::new(op.clone())));
        items.push(SnapshotItem::Job(*id, Box::new(without_ops(job))));
        items.extend(ops);
    }
    items.extend(state.unfinished.iter().map(|id| SnapshotItem::Unfinished(*id)));
    items.extend(state.locks.iter().map(|(id, held)| SnapshotItem::Locks(*id, held.clone())));
    items.extend(state.requests.iter().map(|(id, jobs)| SnapshotItem::Request(*id, jobs.clone())));
    items.extend(state.request_order.iter().map(|(at, id)| SnapshotItem::RequestOrder(*at, *id)));
    items
}

fn without_ops(job: &JobRecord) -> JobRecord {
    JobRecord {
        id: job.id,
        ops: Vec::new(),
        received: job.received,
        start: job.start,
        end: job.end,
        attempt: job.attempt,
        cancel: job.cancel,
    }
}

fn add(state: &mut ClusterState, item: SnapshotItem) -> Result<(), DiskError> {
    match item {
        SnapshotItem::Node(id, node) => drop(state.nodes.insert(id, node)),
        SnapshotItem::NodeName(name, id) => drop(state.node_names.insert(name, id)),
        SnapshotItem::Instance(id, instance) => drop(state.instances.insert(id, instance)),
        SnapshotItem::InstanceName(name, id) => drop(state.instance_names.insert(name, id)),
        SnapshotItem::Transition(id, last) => drop(state.transitions.insert(id, last)),
        SnapshotItem::Job(id, job) => drop(state.jobs.insert(id, Arc::from(job))),
        SnapshotItem::Op(id, op) => match state.jobs.get_mut(&id) {
            Some(job) => Arc::make_mut(job).ops.push(*op),
            None => return Err(corrupt(format!("an opcode stands before its job {id}"))),
        },
        SnapshotItem::Unfinished(id) => drop(state.unfinished.insert(id)),
        SnapshotItem::Locks(id, held) => drop(state.locks.insert(id, held)),
        SnapshotItem::Request(id, jobs) => drop(state.requests.insert(id, jobs)),
        SnapshotItem::RequestOrder(at, id) => drop(state.request_order.insert(at, id)),
    }
    Ok(())
}

#[cfg(test)]
mod tests;

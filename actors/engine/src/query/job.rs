//! Columns of jobs.

use std::sync::Arc;

use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::query::{Cell, FieldKind};
use gantry_model::units::Timestamp;

use super::table::{Column, Live, Names, column, list, number, text, unknown};
use crate::state::ClusterState;

pub(super) fn rows<'a>(
    state: &'a ClusterState,
    names: Names<'_>,
) -> Result<Vec<&'a JobRecord>, Fault> {
    if names.is_empty() {
        return Ok(state.jobs.values().map(Arc::as_ref).collect());
    }
    names
        .iter()
        .map(|name| {
            let id: Option<JobId> = name.parse().ok();
            id.and_then(|id| state.jobs.get(&id))
                .map(Arc::as_ref)
                .ok_or_else(|| unknown("job", name))
        })
        .collect()
}

/// The state of a job: what is durable, or what only the leader knows.
fn status(live: Live<'_>, job: &JobRecord) -> JobStatus {
    let durable = job.status();
    if durable.is_final() {
        return durable;
    }
    live.jobs.get(&job.id).copied().unwrap_or(durable)
}

fn time(at: Option<Timestamp>) -> Cell {
    at.map_or(Cell::Unavailable, |at| number(at.0))
}

pub(super) const COLUMNS: &[Column<JobRecord>] = &[
    column!("id", "ID", Number, "Number of the job", |_, _, j| number(j.id.0)),
    column!("status", "Status", Text, "State", |_, l, j| text(status(l, j).as_str())),
    column!("summary", "Summary", Text, "What it does", |_, _, j| text(j.summary())),
    column!("priority", "Prio", Number, "Urgency, lower is more urgent", |_, _, j| {
        Cell::Value(serde_json::Value::from(j.priority()))
    }),
    column!("received_ts", "Received", Timestamp, "When it was submitted", |_, _, j| {
        number(j.received.0)
    }),
    column!("start_ts", "Start", Timestamp, "When it began", |_, _, j| time(j.start)),
    column!("end_ts", "End", Timestamp, "When it ended", |_, _, j| time(j.end)),
    column!("ops", "OpCodes", Other, "Names of its opcodes", |_, _, j| {
        list(j.ops.iter().map(|op| op.input.op.op_id()))
    }),
    column!("opstatus", "OpCode_status", Other, "States of its opcodes", |_, _, j| {
        list(j.ops.iter().map(|op| op.status.as_str()))
    }),
    column!("opresult", "OpCode_result", Other, "Answers of its opcodes", |_, _, j| {
        list(j.ops.iter().map(|op| op.result.clone().unwrap_or_default()))
    }),
    column!("oplog", "OpCode_log", Other, "Log lines of its opcodes", |_, _, j| {
        list(
            j.ops
                .iter()
                .map(|op| op.log.iter().map(|line| line.text.clone()).collect::<Vec<String>>()),
        )
    }),
];

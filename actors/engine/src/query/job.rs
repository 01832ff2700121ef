//! Columns of jobs (X55).

use std::sync::Arc;

use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus, LogKind, LogLine, OpRecord};
use gantry_model::query::{Cell, FieldKind};
use gantry_model::units::Timestamp;
use serde_json::{Value, json};

use super::table::{Column, Columns, Live, Names, Row, column, flag, list, number, text};
use crate::state::{ClusterState, unknown};

/// All jobs, or these. One that is unknown has a row as well, in which there is only its number:
/// scripts ask for many jobs at once, and one that is long gone must not hide the others.
pub(super) fn rows<'a>(
    state: &'a ClusterState,
    archived: &'a [JobRecord],
    names: Names<'_>,
) -> Result<Vec<Row<'a, JobRecord>>, Fault> {
    if names.is_empty() {
        let mut all: Vec<&JobRecord> = archived.iter().collect();
        all.extend(state.jobs.values().map(Arc::as_ref));
        all.sort_by_key(|job| job.id);
        // One that was archived while it was asked for.
        all.dedup_by_key(|job| job.id);
        return Ok(all.into_iter().map(Row::There).collect());
    }
    names
        .iter()
        .map(|name| {
            let id: JobId = name.parse().map_err(|_| unknown("job", name))?;
            let current = state.jobs.get(&id).map(Arc::as_ref);
            let found = current.or_else(|| archived.iter().find(|job| job.id == id));
            Ok(found.map_or(Row::Missing { key: number(id.0) }, Row::There))
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

/// Seconds and microseconds, as Ganeti tells moments of jobs.
fn moment(at: Timestamp) -> Value {
    json!([at.seconds(), at.micros_of_second()])
}

fn time(at: Option<Timestamp>) -> Cell {
    at.map_or(Cell::Unavailable, |at| Cell::Value(moment(at)))
}

/// One value for each opcode.
fn of_ops(job: &JobRecord, value: impl Fn(&OpRecord) -> Value) -> Cell {
    list(job.ops.iter().map(value))
}

fn log_line(line: &LogLine) -> Value {
    // What is for programs comes as the arguments of a call.
    let content = match line.kind {
        LogKind::Message | LogKind::Info | LogKind::Warning => json!(line.text),
        LogKind::DelayTest => json!([line.text]),
    };
    json!([line.serial, moment(line.at), line.kind.as_str(), content])
}

pub(super) const COLUMNS: Columns<JobRecord> = Columns { tables: &[TABLE], aliases: &[] };

const TABLE: &[Column<JobRecord>] = &[
    column!("id", "ID", Number, "Job ID", |_, _, j| number(j.id.0)),
    column!("status", "Status", Text, "Job status", |_, l, j| text(status(l, j).as_str())),
    column!("summary", "Summary", Other, "List of per-opcode summaries", |_, _, j| {
        of_ops(j, |op| json!(op.input.op.summary()))
    }),
    column!("priority", "Priority", Number, "Current job priority (19 to -20)", |_, _, j| {
        Cell::Value(serde_json::Value::from(j.priority()))
    }),
    column!(
        Moment: "received_ts",
        "Received",
        Other,
        "Timestamp of when job was received (tuple containing seconds and microseconds)",
        |_, _, j| time(Some(j.received))
    ),
    column!(
        Moment: "start_ts",
        "Start",
        Other,
        "Timestamp of job start (tuple containing seconds and microseconds)",
        |_, _, j| time(j.start)
    ),
    column!(
        Moment: "end_ts",
        "End",
        Other,
        "Timestamp of job end (tuple containing seconds and microseconds)",
        |_, _, j| time(j.end)
    ),
    column!("archived", "Archived", Bool, "Whether job is archived", |s, _, j| {
        flag(!s.jobs.contains_key(&j.id))
    }),
    column!("ops", "OpCodes", Other, "List of all opcodes", |_, _, j| {
        list(j.inputs().into_iter())
    }),
    column!("opstatus", "OpCode_status", Other, "List of opcodes status", |_, _, j| {
        of_ops(j, |op| json!(op.status.as_str()))
    }),
    column!("opresult", "OpCode_result", Other, "List of opcodes results", |_, _, j| {
        of_ops(j, OpRecord::shown_result)
    }),
    column!("oplog", "OpCode_log", Other, "List of opcode output logs", |_, _, j| {
        of_ops(j, |op| Value::Array(op.log.iter().map(log_line).collect()))
    }),
    column!(
        "opstart",
        "OpCode_start",
        Other,
        "List of opcode start timestamps (before acquiring locks)",
        |_, _, j| of_ops(j, |op| op.start.map_or(Value::Null, moment))
    ),
    column!(
        "opexec",
        "OpCode_exec",
        Other,
        "List of opcode execution start timestamps (after acquiring locks)",
        |_, _, j| of_ops(j, |op| op.exec.map_or(Value::Null, moment))
    ),
    column!("opend", "OpCode_end", Other, "List of opcode execution end timestamps", |_, _, j| {
        of_ops(j, |op| op.end.map_or(Value::Null, moment))
    }),
    column!("oppriority", "OpCode_prio", Other, "List of opcode priorities", |_, _, j| {
        of_ops(j, |op| json!(op.priority()))
    }),
];

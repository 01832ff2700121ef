//! `gantry job info` (C90)

use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, LogLine, OpRecord};
use gantry_model::units::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::job_argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::info::Info;
use crate::output::json::{fault_document, log_document};
use crate::output::time::format_time_exact;

/// Show everything about jobs
///
/// Example: gantry job info 7
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "JOB", required = true, value_parser = job_argument)]
    jobs: Vec<JobId>,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let jobs = client.jobs(args.jobs).await?;
    if ctx.json() {
        ctx.set_document(Value::Array(jobs.iter().map(document).collect()));
        return Ok(());
    }
    let zone = ctx.io.time_zone.clone();
    let trees = jobs.iter().map(|job| tree(job, &zone)).collect();
    ctx.print(&Info::List(trees).to_text())
}

/// The title column of the three moments of a job, and of an opcode: Ganeti aligns the times.
fn moment(title: &str, value: &str) -> (String, Info) {
    const WIDTH: usize = "Processing start".len();
    let padding = " ".repeat(WIDTH.saturating_sub(title.len()));
    (title.to_owned(), Info::Text(format!("{padding}{value}")))
}

fn tree(job: &JobRecord, zone: &TimeZone) -> Info {
    let at = |at: Option<Timestamp>, before: Option<Timestamp>| match (at, before) {
        (Some(at), Some(before)) => {
            let time = format_time_exact(at, zone);
            format!("{time} (delta {}s)", seconds(at.micros_since(before)))
        }
        (Some(at), None) => format_time_exact(at, zone),
        (None, _) => "unknown (None)".to_owned(),
    };
    let total = match job.end {
        Some(end) => format!("{} seconds", seconds(end.micros_since(job.received))),
        None => "N/A".to_owned(),
    };
    Info::Map(vec![
        ("Job ID".to_owned(), Info::text(job.id)),
        ("Status".to_owned(), Info::text(job.status())),
        moment("Received", &at(Some(job.received), None)),
        moment("Processing start", &at(job.start, Some(job.received))),
        moment("Processing end", &at(job.end, job.start)),
        ("Total processing time".to_owned(), Info::Text(total)),
        ("Opcodes".to_owned(), Info::List(job.ops.iter().map(|op| op_tree(op, zone)).collect())),
    ])
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn op_tree(op: &OpRecord, zone: &TimeZone) -> Info {
    let at = |at: Option<Timestamp>| {
        at.map_or_else(|| "N/A".to_owned(), |at| format_time_exact(at, zone))
    };
    let result = match &op.fault {
        Some(fault) => Info::json(&fault_document(fault)),
        None => Info::json(op.result.as_ref().unwrap_or(&Value::Null)),
    };
    let log = op.log.iter().map(|line| log_tree(line, zone)).collect();
    Info::Map(vec![
        ("Opcode".to_owned(), Info::text(op.input.op.op_id())),
        ("Status".to_owned(), Info::text(op.status)),
        moment("Processing start", &at(op.start)),
        moment("Execution start", &at(op.exec)),
        moment("Processing end", &at(op.end)),
        ("Input fields".to_owned(), Info::json(&op.input.input_fields())),
        ("Result".to_owned(), result),
        ("Execution log".to_owned(), Info::List(log)),
    ])
}

fn log_tree(line: &LogLine, zone: &TimeZone) -> Info {
    let kind = line.kind.as_str();
    let content = [Info::text(line.serial), Info::text(kind), Info::text(&line.text)];
    Info::map(vec![
        ("Time", Info::text(format_time_exact(line.at, zone))),
        ("Content", Info::List(content.to_vec())),
    ])
}

fn document(job: &JobRecord) -> Value {
    let ops: Vec<Value> = job
        .ops
        .iter()
        .map(|op| {
            json!({
                "input": op.input.input_fields(),
                "status": op.status.as_str(),
                "result": op.result,
                "fault": op.fault.as_ref().map(fault_document),
                "log": log_document(&op.log),
                "start_us": op.start,
                "exec_us": op.exec,
                "end_us": op.end,
            })
        })
        .collect();
    json!({
        "id": job.id,
        "status": job.status().as_str(),
        "summary": job.summary(),
        "received_us": job.received,
        "start_us": job.start,
        "end_us": job.end,
        "ops": ops,
    })
}

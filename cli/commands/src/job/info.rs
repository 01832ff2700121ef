//! `gantry job info` (C90)

use gantry_client::{Client, ClientError};
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, LogLine, OpRecord};
use gantry_model::units::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{is_unknown, job_argument};
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
    let jobs = find(&client, args.jobs).await?;
    if ctx.json() {
        let documents = jobs.iter().map(|found| match found {
            Ok(job) => document(job),
            Err(unknown) => json!({ "id": unknown, "status": null }),
        });
        ctx.set_document(Value::Array(documents.collect()));
        return Ok(());
    }
    let zone = ctx.io.time_zone.clone();
    let trees = jobs.iter().map(|found| match found {
        Ok(job) => tree(job, &zone),
        Err(unknown) => Info::Text(format!("Job ID {unknown} not found")),
    });
    ctx.print(&Info::List(trees.collect()).to_text())
}

/// All of them at once; one by one when there is one that does not exist, which is no failure
/// (Ganeti's scripts look at the text).
async fn find(
    client: &Client,
    ids: Vec<JobId>,
) -> Result<Vec<Result<JobRecord, JobId>>, ClientError> {
    match client.jobs(ids.clone()).await {
        Ok(jobs) => return Ok(jobs.into_iter().map(Ok).collect()),
        Err(error) if is_unknown(&error) => {}
        Err(error) => return Err(error),
    }
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        match client.jobs(vec![id]).await {
            Ok(jobs) => found.extend(jobs.into_iter().map(Ok)),
            Err(error) if is_unknown(&error) => found.push(Err(id)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
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
    let ops = job.ops.iter().zip(job.inputs()).map(|(op, input)| op_tree(op, &input, zone));
    Info::Map(vec![
        ("Job ID".to_owned(), Info::text(job.id)),
        ("Status".to_owned(), Info::text(job.status())),
        moment("Received", &at(Some(job.received), None)),
        moment("Processing start", &at(job.start, Some(job.received))),
        moment("Processing end", &at(job.end, job.start)),
        ("Total processing time".to_owned(), Info::Text(total)),
        ("Opcodes".to_owned(), Info::List(ops.collect())),
    ])
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn op_tree(op: &OpRecord, input: &Value, zone: &TimeZone) -> Info {
    let at = |at: Option<Timestamp>| {
        at.map_or_else(|| "N/A".to_owned(), |at| format_time_exact(at, zone))
    };
    let log = op.log.iter().map(|line| log_tree(line, zone)).collect();
    Info::Map(vec![
        ("Opcode".to_owned(), Info::text(op.input.op.op_id())),
        ("Status".to_owned(), Info::text(op.status)),
        moment("Processing start", &at(op.start)),
        moment("Execution start", &at(op.exec)),
        moment("Processing end", &at(op.end)),
        ("Input fields".to_owned(), Info::json(input)),
        ("Result".to_owned(), Info::json(&op.shown_result())),
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
        .zip(job.inputs())
        .map(|(op, input)| {
            json!({
                "input": input,
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

//! `gantry debug submit-job` (C34)

use std::path::{Path, PathBuf};

use gantry_model::messages::NewJob;
use gantry_model::opcodes::OpRequest;
use gantry_model::units::Timestamp;
use serde_json::Value;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::{Submitted, end_many};
use crate::options::{DryRunArgs, OpOptions, Priority, SubmitArgs};
use crate::parse::number::whole_number;

/// How often opcodes and jobs can be repeated.
const REPEATS: &str = "a whole number from 1 to 65535";

/// Submit jobs made of opcodes in files
///
/// Each file is a list of opcodes in JSON, each an object with OP_ID and its parameters, as `gantry
/// job info --json` shows them; it becomes one job. What an opcode says of all opcodes (dry_run,
/// priority, depends, comment, reason) counts, unless an option says otherwise. Nothing is
/// submitted when one of the files cannot be read.
///
/// Example: gantry debug submit-job --job-repeat 10 startup.json
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Say which jobs there are, also if it is one
    #[arg(short, long)]
    verbose: bool,
    /// Repeat the opcodes of each file so often
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = whole_number::<u16>(1, 65_535, REPEATS))]
    op_repeat: u16,
    /// Submit the job of each file so often
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = whole_number::<u16>(1, 65_535, REPEATS))]
    job_repeat: u16,
    /// Say how long submitting and executing took
    #[arg(long)]
    timing_stats: bool,
    /// Submit one job after the other, not all at once
    #[arg(long)]
    each: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Say how urgent the jobs are, whatever their opcodes say
    #[arg(long, value_enum)]
    priority: Option<Priority>,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let say = |ctx: &mut Context<'_>, line: &str| match args.timing_stats {
        true => ctx.say(line),
        false => Ok(()),
    };
    say(ctx, "Loading...")?;
    let jobs = load(ctx, &args)?;
    let n_ops: usize = jobs.iter().map(|(_, job)| job.ops.len()).sum();
    let (n_jobs, begun) = (jobs.len(), (ctx.io.now)());
    say(ctx, "Submitting...")?;
    let submitted = submit(ctx, jobs, args.each).await?;
    let waiting = (ctx.io.now)();
    say(ctx, "Executing...")?;
    let ended = end_many(ctx, submitted, SubmitArgs::default(), args.verbose).await;
    let done = (ctx.io.now)();
    for line in [
        format!("C:op     {n_ops:4}"),
        format!("C:job    {n_jobs:4}"),
        format!("T:submit {}", seconds(begun, waiting)),
        format!("T:exec   {}", seconds(waiting, done)),
        format!("T:total  {}", seconds(begun, done)),
    ] {
        say(ctx, &line)?;
    }
    ended
}

fn seconds(from: Timestamp, to: Timestamp) -> String {
    let micros = to.micros_since(from);
    format!("{}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

/// The job of each file, with the name under which it is told.
fn load(ctx: &Context<'_>, args: &Args) -> Result<Vec<(String, NewJob)>, CommandError> {
    let mut jobs = Vec::new();
    let files: Vec<(&PathBuf, Vec<OpRequest>)> = args
        .files
        .iter()
        .map(|file| Ok((file, opcodes(ctx, file, args)?)))
        .collect::<Result<_, CommandError>>()?;
    for number in 0..args.job_repeat {
        for (file, ops) in &files {
            let name = format!("file {}/{number}", file.display());
            jobs.push((
                name,
                NewJob { ops: vec![ops.clone(); usize::from(args.op_repeat)].concat() },
            ));
        }
    }
    Ok(jobs)
}

fn opcodes(ctx: &Context<'_>, file: &Path, args: &Args) -> Result<Vec<OpRequest>, CommandError> {
    let path = || file.display().to_string();
    let bytes = std::fs::read(file).map_err(|source| {
        let failure = Failure::File { action: "read", path: path(), source };
        CommandError::new(CommandErrorKind::Failed, failure)
    })?;
    let document: Value = serde_json::from_slice(&bytes)
        .map_err(|error| CommandError::argument(format!("{} is no JSON: {error}", path())))?;
    let Value::Array(documents) = document else {
        let text = format!("{} is not a list of opcodes", path());
        return Err(CommandError::argument(text).hint("put the opcode in square brackets"));
    };
    let read = |(idx, document)| {
        let request = OpRequest::from_ganeti(document).map_err(|error| {
            CommandError::argument(format!("opcode {idx} of {}: {error}", path()))
        })?;
        Ok(with_options(ctx, request, args))
    };
    documents.iter().enumerate().map(read).collect()
}

/// With what the options say of it, and who submits it.
fn with_options(ctx: &Context<'_>, request: OpRequest, args: &Args) -> OpRequest {
    let options = OpOptions {
        dry_run: args.dry_run.dry_run || request.common.dry_run,
        priority: args.priority.map_or(request.common.priority, Priority::number),
    };
    let OpRequest { op, mut common } = request;
    let own = ctx.request(op, &options);
    common.reason.extend(own.common.reason);
    common.debug_level = common.debug_level.max(own.common.debug_level);
    common.dry_run = options.dry_run;
    common.priority = options.priority;
    OpRequest { op: own.op, common }
}

async fn submit(
    ctx: &mut Context<'_>,
    jobs: Vec<(String, NewJob)>,
    each: bool,
) -> Result<Submitted, CommandError> {
    let client = ctx.client().await?;
    let (names, jobs): (Vec<String>, Vec<NewJob>) = jobs.into_iter().unzip();
    let mut answers = Vec::with_capacity(jobs.len());
    if each {
        for job in jobs {
            answers.extend(client.submit(vec![job]).await?);
        }
    } else {
        answers = client.submit(jobs).await?;
    }
    Ok(names.into_iter().zip(answers).collect())
}

//! Several jobs, one per object (C214).

use gantry_client::Client;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::messages::NewJob;
use gantry_model::opcodes::OpRequest;
use serde_json::{Value, json};

use super::plan::show_plans;
use super::progress::{failure_of, follow, is_success};
use super::status_line::Place;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::error_text::fault_text;
use crate::options::SubmitArgs;
use crate::output::json::fault_document;

/// Submits one job per name, all at once, and waits for each in turn. Which jobs there are is said
/// where `several` things are meant, even if they are one.
///
/// # Errors
/// When any is refused or fails. What happened to each has been said then.
pub(crate) async fn run_many(
    ctx: &mut Context<'_>,
    requests: Vec<(String, OpRequest)>,
    options: SubmitArgs,
    several: bool,
) -> Result<(), CommandError> {
    let (names, jobs): (Vec<String>, Vec<NewJob>) =
        requests.into_iter().map(|(name, op)| (name, NewJob { ops: vec![op] })).unzip();
    if options.plan {
        return show_plans(ctx, jobs).await;
    }
    let answers = ctx.client().await?.submit(jobs).await?;
    let named = names.into_iter().zip(answers).collect();
    end_many(ctx, named, options, several).await
}

/// What was answered to the submission of each of many jobs.
pub(crate) type Submitted = Vec<(String, Result<JobId, Fault>)>;

/// Waits for each of many jobs that were submitted, or says which they are.
///
/// # Errors
/// As [`run_many`].
pub(crate) async fn end_many(
    ctx: &mut Context<'_>,
    named: Submitted,
    options: SubmitArgs,
    several: bool,
) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let n_jobs = named.len();
    let mut many = Many { client, n_failed: 0, documents: Vec::new(), unknown: None };
    // With --submit each is named with its number, as in Ganeti.
    if options.print_jobid && !options.submit {
        for job in named.iter().filter_map(|(_, answer)| answer.as_ref().ok()) {
            ctx.say(&job.to_string())?;
        }
    }
    if options.submit {
        many.show(ctx, named)?;
    } else {
        many.wait(ctx, named, several).await?;
    }
    ctx.set_document(json!({"jobs": many.documents}));
    match many.n_failed {
        0 => Ok(()),
        n_failed => {
            let error = Failure::SomeJobs { n_failed, n_jobs, unknown: many.unknown };
            Err(CommandError::new(CommandErrorKind::Failed, error))
        }
    }
}

struct Many {
    client: Client,
    n_failed: usize,
    documents: Vec<Value>,
    unknown: Option<Fault>,
}

impl Many {
    /// Says which jobs there are.
    fn show(&mut self, ctx: &mut Context<'_>, named: Submitted) -> Result<(), CommandError> {
        for (name, answer) in named {
            match answer {
                Ok(job) => {
                    ctx.say(&format!("{job}: {name}"))?;
                    self.documents.push(json!({"name": name, "job": job, "status": "queued"}));
                }
                Err(fault) => {
                    ctx.warn(&format!("Failure for {name}: {}", fault_text(&fault)))?;
                    self.refused(&name, &fault);
                }
            }
        }
        Ok(())
    }

    async fn wait(
        &mut self,
        ctx: &mut Context<'_>,
        named: Submitted,
        several: bool,
    ) -> Result<(), CommandError> {
        let ids: Vec<String> = named
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok())
            .map(ToString::to_string)
            .collect();
        if several && !ids.is_empty() {
            ctx.say(&format!("Submitted jobs {}", ids.join(", ")))?;
        }
        let n_jobs = ids.len();
        let mut nth = 0;
        for (name, answer) in named {
            match answer {
                Ok(job) => {
                    nth += 1;
                    self.wait_one(ctx, &name, (job, Place { nth, n_jobs })).await?;
                }
                Err(fault) => {
                    let text = fault_text(&fault);
                    ctx.warn(&format!("Failed to submit job for {name}: {text}"))?;
                    self.refused(&name, &fault);
                }
            }
        }
        Ok(())
    }

    async fn wait_one(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        (job, place): (JobId, Place),
    ) -> Result<(), CommandError> {
        ctx.say(&format!("Waiting for job {job} for {name} ..."))?;
        let end = follow(ctx, &self.client, (job, place), false).await?;
        let mut document = end.document();
        document["name"] = json!(name);
        self.documents.push(document);
        if is_success(&end) {
            return Ok(());
        }
        self.n_failed += 1;
        if let Some(fault) = &end.fault {
            self.note_unknown(fault);
        }
        ctx.warn(&format!("Job {job} for {name} has failed: {}", failure_of(end)))?;
        Ok(())
    }

    fn refused(&mut self, name: &str, fault: &Fault) {
        self.n_failed += 1;
        self.documents.push(json!({"name": name, "fault": fault_document(fault)}));
        self.note_unknown(fault);
    }

    fn note_unknown(&mut self, fault: &Fault) {
        if fault.code == FaultCode::UnknownEntity {
            self.unknown = Some(fault.clone());
        }
    }
}

//! The way of every call: fence, intent, effect, result.
//!
//! ```text
//!  begin ──New──────────────────────────▶ act ──▶ record ──▶ answer
//!    ├──Open──▶ recover ──NotStarted──────▲         ▲
//!    │             └──Done, Failed, Unknown─────────┘
//!    ├──Finished──────────────────────────────────────────────▶ answer
//!    └──refused ──────────────────────────────────────────────▶ answer
//! ```

use std::time::Duration;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::CallNode;
use gantry_model::node_calls::{CallOutcome, NodeCall, Recovery, TimeoutClass};
use gantry_model::steps::StepResult;

use super::handler;
use crate::crash::CrashAt;
use crate::env::{JournalUse, NodeEnv};
use crate::journal::{Begin, JournalError};

/// How often a result is offered to a disk that refuses it. With the wait between them that is
/// about a second: what passes in that time is a hiccup. More would keep the guest's other calls
/// waiting for a disk that is full; fewer would leave the sender in doubt for nothing.
const RECORD_TRIES: u32 = 5;

/// The wait between two of them.
const RECORD_PAUSE: Duration = Duration::from_millis(250);

/// How a call ended, as far as the sender may know.
#[derive(Debug)]
pub(super) enum Ended {
    /// For certain.
    Answer(Result<CallOutcome, Fault>),
    /// Nobody can say yet: no answer is given, so that the sender learns *outcome unknown* and
    /// sends the same step again. A fault as an answer would be the end of the step.
    Unsettled(Fault),
}

/// Makes a call.
pub(super) async fn perform(env: &NodeEnv, message: &CallNode) -> Ended {
    let name = message.call.wire_name();
    env.crash_points.pass(CrashAt::BeforeIntent, name).await;
    let begin = match begin(env, message).await {
        Ok(begin) => begin,
        Err(ended) => return ended,
    };
    env.crash_points.pass(CrashAt::AfterIntent, name).await;
    let result = match begin {
        Begin::Finished(result) => return Ended::Answer(answer(result)),
        Begin::New => act(env, &message.call).await,
        Begin::Open(intent) => resume(env, &intent.call).await,
    };
    let result = match result {
        Ok(result) => result,
        Err(fault) => return Ended::Unsettled(fault),
    };
    env.crash_points.pass(CrashAt::AfterEffect, name).await;
    if let Err(fault) = record(env, message, &result).await {
        return Ended::Unsettled(fault);
    }
    env.crash_points.pass(CrashAt::AfterRecord, name).await;
    Ended::Answer(answer(result))
}

fn answer(result: StepResult) -> Result<CallOutcome, Fault> {
    match result {
        StepResult::Done(outcome) => Ok(outcome),
        StepResult::Failed(fault) => Err(fault),
    }
}

fn result_of(outcome: Result<CallOutcome, Fault>) -> StepResult {
    match outcome {
        Ok(outcome) => StepResult::Done(outcome),
        Err(fault) => StepResult::Failed(fault),
    }
}

async fn begin(env: &NodeEnv, message: &CallNode) -> Result<Begin, Ended> {
    let call = message.clone();
    let begun = env.journal("begin a step", move |journal| journal.begin(&call)).await;
    begun.map_err(|error| {
        let attempted = format!("begin step {} ({})", message.step, message.call.wire_name());
        let fault = error.fault(&attempted);
        let refused = match &error {
            JournalUse::Journal(JournalError::Disk { .. } | JournalError::Lost)
            | JournalUse::Pool(_) => !env.journal_memory().may_have_begun(message.step),
            JournalUse::Journal(_) => true,
        };
        if refused { Ended::Answer(Err(fault)) } else { Ended::Unsettled(fault) }
    })
}

/// Does what has not been done. `Err`: nobody can say how it ended.
async fn act(env: &NodeEnv, call: &NodeCall) -> Result<StepResult, Fault> {
    let limit = call.timeout();
    match tokio::time::timeout(limit, handler(call).act(env)).await {
        Ok(outcome) => Ok(result_of(outcome)),
        Err(_) => {
            let late = || {
                let text = format!("{} took longer than {limit:?}", call.wire_name());
                Fault::new(FaultCode::DeadlineExceeded, text)
            };
            Ok(recovered(recover(env, call).await?).unwrap_or_else(|| StepResult::Failed(late())))
        }
    }
}

/// Finds out how an intent ended, and does what has not been begun.
async fn resume(env: &NodeEnv, call: &NodeCall) -> Result<StepResult, Fault> {
    tracing::info!(call = call.wire_name(), "an intent without a result is looked into");
    match recovered(recover(env, call).await?) {
        Some(result) => Ok(result),
        None => act(env, call).await,
    }
}

async fn recover(env: &NodeEnv, call: &NodeCall) -> Result<Recovery, Fault> {
    let limit = TimeoutClass::Urgent.duration();
    tokio::time::timeout(limit, handler(call).recover(env)).await.map_err(|_| {
        let text = format!("no answer within {limit:?} on what became of {}", call.wire_name());
        Fault::new(FaultCode::DeadlineExceeded, text)
    })
}

/// The result that a recovery tells; `None` if it was not begun.
fn recovered(recovery: Recovery) -> Option<StepResult> {
    match recovery {
        Recovery::Done(outcome) => Some(StepResult::Done(outcome)),
        Recovery::Failed(fault) => Some(StepResult::Failed(fault)),
        Recovery::NotStarted => None,
        Recovery::Unknown(why) => {
            Some(StepResult::Failed(Fault::new(FaultCode::OutcomeUnknown, why)))
        }
    }
}

async fn record(env: &NodeEnv, message: &CallNode, result: &StepResult) -> Result<(), Fault> {
    let step = message.step;
    let mut tries = 0;
    loop {
        let result = result.clone();
        let recorded =
            env.journal("record a result", move |journal| journal.finish(step, &result)).await;
        let Err(error) = recorded else { return Ok(()) };
        tries += 1;
        if tries == RECORD_TRIES {
            let name = message.call.wire_name();
            return Err(error.fault(&format!("record the result of step {step} ({name})")));
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}

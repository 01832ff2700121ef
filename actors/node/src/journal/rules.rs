//! What the journal does in one transaction. A rule that refuses has changed nothing.

use std::collections::BTreeSet;

use gantry_model::ids::{JobAttempt, JobId, ReignId, RunEpoch};
use gantry_model::messages::CallNode;
use gantry_model::node_calls::NodeCall;
use gantry_model::steps::{Direction, StepId, StepResult};
use redb::ReadableTable;

use super::tables::{META_REIGN, META_SETTLED_BELOW, StepKey, Tables, decode, key_of};
use super::{Begin, JournalError};

/// Why a rule ended without a value.
pub(super) enum Stop {
    /// It says no; the rest of the flush goes on.
    Refused(JournalError),
    /// The database failed; the whole flush did.
    Broken(redb::Error),
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Refused(error)
    }
}

impl<E: Into<redb::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// Refuses what is older than the tokens on record.
fn check(tables: &Tables<'_>, reign: ReignId, attempt: JobAttempt, job: JobId) -> Result<(), Stop> {
    let seen = ReignId(tables.meta(META_REIGN)?);
    if reign < seen {
        return Err(JournalError::StaleReign { given: reign, seen }.into());
    }
    let below = JobId(tables.meta(META_SETTLED_BELOW)?);
    if job < below {
        return Err(JournalError::Settled { job, below }.into());
    }
    let seen = JobAttempt(tables.attempts.get(job.0)?.map_or(0, |value| value.value()));
    if attempt < seen {
        return Err(JournalError::StaleAttempt { job, given: attempt, seen }.into());
    }
    Ok(())
}

/// Records higher tokens.
fn raise(
    tables: &mut Tables<'_>,
    reign: ReignId,
    attempt: JobAttempt,
    job: JobId,
) -> Result<(), Stop> {
    if reign.0 > tables.meta(META_REIGN)? {
        tables.set_meta(META_REIGN, reign.0)?;
    }
    if attempt.0 > tables.attempts.get(job.0)?.map_or(0, |value| value.value()) {
        tables.attempts.insert(job.0, attempt.0)?;
        tables.changed = true;
    }
    Ok(())
}

pub(super) fn admit(
    tables: &mut Tables<'_>,
    reign: ReignId,
    attempt: JobAttempt,
    job: JobId,
) -> Result<(), Stop> {
    check(tables, reign, attempt, job)?;
    raise(tables, reign, attempt, job)
}

pub(super) fn begin(
    tables: &mut Tables<'_>,
    call: &CallNode,
    encoded: &[u8],
) -> Result<Begin, Stop> {
    check(tables, call.reign, call.attempt, call.step.job)?;
    let key = key_of(call.step);
    let begin = match stored::<CallNode>(&tables.intents, "intent", key)? {
        None => Begin::New,
        Some(known) if known.call != call.call => {
            return Err(JournalError::OtherCall {
                step: call.step,
                known: describe(&known.call),
                given: describe(&call.call),
            }
            .into());
        }
        Some(known) => match stored::<StepResult>(&tables.results, "result", key)? {
            Some(result) => Begin::Finished(result),
            None => Begin::Open(Box::new(known)),
        },
    };
    if !matches!(begin, Begin::Finished(_)) {
        claim_epoch(tables, &call.call)?;
    }
    raise(tables, call.reign, call.attempt, call.step.job)?;
    // The sender's own job is not settled, whatever it says of the others.
    prune(tables, call.settled_below.min(call.step.job))?;
    if begin == Begin::New {
        tables.intents.insert(key, encoded)?;
        tables.changed = true;
    }
    Ok(begin)
}

/// A start claims its epoch for ever: an older one never begins here again. The only rule of a
/// single call, because its token must be on disk with the intent.
fn claim_epoch(tables: &mut Tables<'_>, call: &NodeCall) -> Result<(), Stop> {
    let NodeCall::InstanceStart(start) = call else { return Ok(()) };
    let instance = start.spec.instance;
    let key = instance.0.as_u128();
    let seen = RunEpoch(tables.epochs.get(key)?.map_or(0, |value| value.value()));
    let given = start.spec.epoch;
    if given < seen {
        return Err(JournalError::StaleEpoch { instance, given, seen }.into());
    }
    if given > seen {
        tables.epochs.insert(key, given.0)?;
        tables.changed = true;
    }
    Ok(())
}

pub(super) fn finish(tables: &mut Tables<'_>, step: StepId, encoded: &[u8]) -> Result<(), Stop> {
    let key = key_of(step);
    if tables.intents.get(key)?.is_none() {
        // Settled while it ran: nobody will ask for the result.
        if step.job.0 < tables.meta(META_SETTLED_BELOW)? {
            return Ok(());
        }
        return Err(JournalError::NotBegun { step }.into());
    }
    if let Some(known) = tables.results.get(key)? {
        if known.value() == encoded {
            return Ok(());
        }
        return Err(JournalError::OtherResult { step }.into());
    }
    tables.results.insert(key, encoded)?;
    tables.changed = true;
    Ok(())
}

pub(super) fn install_reign(
    tables: &mut Tables<'_>,
    reign: ReignId,
    steps: &[StepId],
) -> Result<Vec<(StepId, Option<StepResult>)>, Stop> {
    let seen = ReignId(tables.meta(META_REIGN)?);
    if reign < seen {
        return Err(JournalError::StaleReign { given: reign, seen }.into());
    }
    let mut results = Vec::with_capacity(steps.len());
    for step in steps {
        results.push((*step, stored::<StepResult>(&tables.results, "result", key_of(*step))?));
    }
    if reign > seen {
        tables.set_meta(META_REIGN, reign.0)?;
    }
    Ok(results)
}

pub(super) fn prune(tables: &mut Tables<'_>, settled_below: JobId) -> Result<(), Stop> {
    if settled_below.0 > tables.meta(META_SETTLED_BELOW)? {
        tables.set_meta(META_SETTLED_BELOW, settled_below.0)?;
        tables.forget_below(settled_below)?;
    }
    Ok(())
}

pub(super) fn begun(tables: &mut Tables<'_>) -> Result<BTreeSet<StepKey>, Stop> {
    let mut begun = BTreeSet::new();
    for record in tables.intents.iter()? {
        begun.insert(record?.0.value());
    }
    Ok(begun)
}

pub(super) fn open_intents(tables: &mut Tables<'_>) -> Result<Vec<CallNode>, Stop> {
    let mut open = Vec::new();
    for record in tables.intents.iter()? {
        let (key, bytes) = record?;
        if tables.results.get(key.value())?.is_none() {
            open.push(decode("intent", step_of(key.value()), bytes.value())?);
        }
    }
    Ok(open)
}

fn stored<T: serde::de::DeserializeOwned>(
    table: &redb::Table<'_, StepKey, &'static [u8]>,
    name: &'static str,
    key: StepKey,
) -> Result<Option<T>, Stop> {
    match table.get(key)? {
        Some(bytes) => Ok(Some(decode(name, step_of(key), bytes.value())?)),
        None => Ok(None),
    }
}

fn step_of((job, op_idx, seq, back): StepKey) -> StepId {
    let direction = if back == 0 { Direction::Act } else { Direction::Undo };
    StepId { job: JobId(job), op_idx, seq, direction }
}

/// A call for people: its name and what it is for.
fn describe(call: &NodeCall) -> String {
    format!("{} of {:?}", call.wire_name(), call.target())
}

//! What entries about jobs mean.

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{JobAttempt, JobId, ReignId};
use gantry_model::jobs::{JobRecord, JobStatus, LogKind};
use gantry_model::steps::{Act, STEPS_MAX, Step, StepResult};
use gantry_model::units::{Millis, Timestamp};

use super::sample::{Log, began, held, instance, instance_id, new_job};
use crate::state::{
    Applied, BATCH_MAX, Command, FINISHED_JOBS_MAX, JobEntry, JobFact, REQUESTS_MAX,
    UNFINISHED_JOBS_MAX,
};

fn record(log: &Log, job: JobId) -> &JobRecord {
    log.state.jobs.get(&job).expect("the job is there")
}

fn statuses(log: &Log, job: JobId) -> Vec<JobStatus> {
    record(log, job).ops.iter().map(|op| op.status).collect()
}

fn ended(op_idx: u32, status: JobStatus) -> JobFact {
    let fault = (status != JobStatus::Success).then(|| Fault::new(FaultCode::WrongState, "no"));
    JobFact::OpEnded { op_idx, status, result: None, fault }
}

fn step(name: &str, act: Act, undo: Option<Act>) -> Step {
    Step::new(name, act).undone_by(undo)
}

fn add_instance() -> Step {
    let add = ConfigDelta::InstanceAdd(Box::new(instance(1)));
    let remove = ConfigDelta::InstanceRemove { instance: instance_id(1) };
    step("add", Act::Config(vec![add]), Some(Act::Config(vec![remove])))
}

fn wait() -> Step {
    step("wait", Act::Wait { duration: Millis(1) }, None)
}

fn done() -> StepResult {
    StepResult::Done(Default::default())
}

#[test]
fn a_job_that_has_ended_is_not_placed_anew() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    log.apply(log.cancel_command(job));
    let before = record(&log, job).clone();
    log.apply(Command::Place { reign: log.reign(), job });
    assert_eq!(*record(&log, job), before);
}

// covers: Q24
#[test]
fn job_numbers_rise_and_are_never_used_twice() {
    let mut log = Log::new();
    let first = log.submit(new_job(1));
    log.apply(log.cancel_command(first));
    let second = log.submit(new_job(1));
    log.take_over();
    let third = log.submit(new_job(1));
    assert_eq!([first, second, third], [JobId(1), JobId(2), JobId(3)]);
}

#[test]
fn a_submission_that_is_repeated_gets_the_same_jobs_again() {
    let mut log = Log::new();
    let jobs = vec![new_job(1), new_job(2)];
    let first = log.apply(log.submit_command(7, jobs.clone()));
    assert_eq!(first, Applied::Jobs(vec![JobId(1), JobId(2)]));
    log.take_over();
    assert_eq!(log.apply(log.submit_command(7, jobs)), first);
    assert_eq!(log.state.jobs.len(), 2);
}

#[test]
fn a_submission_that_is_repeated_after_it_destroyed_the_cluster_gets_its_job_again() {
    let mut log = Log::new();
    let first = log.apply(log.submit_command(7, vec![new_job(1)]));
    log.config(vec![ConfigDelta::ClusterDestroy]);
    assert_eq!(log.apply(log.submit_command(7, vec![new_job(1)])), first);
    let fault = log.refused(log.submit_command(8, vec![new_job(1)]));
    assert_eq!(fault.message, "the cluster has been destroyed");
}

#[test]
fn the_oldest_answered_submissions_are_forgotten() {
    let mut log = Log::new();
    let first = log.apply(log.submit_command(0, vec![new_job(1)]));
    for request in 1..REQUESTS_MAX as u64 {
        log.apply(log.submit_command(request, Vec::new()));
    }
    assert_eq!(log.apply(log.submit_command(0, vec![new_job(1)])), first, "one too early");
    log.apply(log.submit_command(REQUESTS_MAX as u64, Vec::new()));
    assert_eq!(log.state.requests.len(), REQUESTS_MAX);
    assert_eq!(log.state.request_order.len(), REQUESTS_MAX);
    assert_ne!(log.apply(log.submit_command(0, vec![new_job(1)])), first);
}

// covers: Q27
#[test]
fn a_full_queue_takes_no_job_more_and_none_of_a_batch_that_does_not_fit() {
    let mut log = Log::new();
    let almost = vec![new_job(1); UNFINISHED_JOBS_MAX - 1];
    assert!(matches!(log.apply(log.submit_command(1, almost)), Applied::Jobs(_)));
    let fault = log.refused(log.submit_command(2, vec![new_job(1); 2]));
    assert_eq!(fault.code, FaultCode::QueueFull);
    assert_eq!(fault.message, "the queue is full: 4999 unfinished jobs, at most 5000");
    assert!(fault.retryable);
    log.submit(new_job(1));
    log.refused(log.submit_command(3, vec![new_job(1)]));
    log.apply(log.cancel_command(JobId(1)));
    log.submit(new_job(1));
}

#[test]
fn a_job_without_opcodes_or_with_too_many_is_refused() {
    let mut log = Log::new();
    let fault = log.refused(log.submit_command(1, vec![new_job(0)]));
    assert_eq!(fault.message, "a job needs at least one opcode");
    let fault = log.refused(log.submit_command(1, vec![new_job(BATCH_MAX + 1)]));
    assert_eq!(fault.code, FaultCode::WrongInput);
    let fault = log.refused(log.submit_command(1, vec![new_job(1); BATCH_MAX + 1]));
    assert_eq!(fault.message, "more than 5000 jobs or opcodes in one submission");
}

#[test]
fn the_oldest_finished_jobs_are_forgotten_and_unfinished_ones_never() {
    let mut log = Log::new();
    let unfinished = log.submit(new_job(1));
    for _ in 0..FINISHED_JOBS_MAX {
        let job = log.submit(new_job(1));
        log.apply(log.cancel_command(job));
    }
    log.submit(new_job(1));
    assert!(log.state.jobs.contains_key(&JobId(2)), "one too early");
    log.apply(log.cancel_command(log.state.last_job));
    log.submit(new_job(1));
    assert!(!log.state.jobs.contains_key(&JobId(2)), "the oldest stays");
    assert!(log.state.jobs.contains_key(&JobId(3)), "one too many");
    assert!(log.state.jobs.contains_key(&unfinished));
}

#[test]
fn a_takeover_places_unfinished_jobs_anew_and_voids_what_the_old_leader_proposes() {
    let mut log = Log::new();
    let (gone, open) = (log.submit(new_job(1)), log.submit(new_job(1)));
    log.apply(log.cancel_command(gone));
    let late = log.job_command(open, vec![began(0)]);
    let reign = log.take_over();
    assert_eq!(reign, ReignId(log.state.revision.0));
    assert_eq!(record(&log, open).attempt, JobAttempt(2));
    assert_eq!(record(&log, gone).attempt, JobAttempt(1));
    assert_eq!(log.refused(late).code, FaultCode::StaleToken);
}

#[test]
fn placing_a_job_anew_voids_what_the_old_placement_proposes() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    let late = log.job_command(job, vec![began(0)]);
    log.apply(Command::Place { reign: log.reign(), job });
    let fault = log.refused(late);
    assert_eq!(fault.code, FaultCode::StaleToken);
    assert_eq!(fault.message, "job 1: attempt 1 is over, the present one is 2");
    log.job(job, vec![began(0)]);
}

// covers: Q34
#[test]
fn a_job_that_has_not_begun_is_canceled_at_once() {
    let mut log = Log::new();
    let job = log.submit(new_job(2));
    assert_eq!(log.apply(log.cancel_command(job)), Applied::Done);
    assert_eq!(statuses(&log, job), [JobStatus::Canceled; 2]);
    assert!(record(&log, job).end.is_some());
    assert!(log.state.unfinished.is_empty());
    let late = log.job_command(job, vec![began(0)]);
    assert_eq!(log.refused(late).message, "job 1 has ended");
}

// covers: Q34 Q35
#[test]
fn a_job_that_runs_is_told_to_stop_and_goes_on() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    log.job(job, vec![began(0)]);
    assert_eq!(log.apply(log.cancel_command(job)), Applied::Done);
    assert!(record(&log, job).cancel);
    assert_eq!(statuses(&log, job), [JobStatus::Running]);
    log.job(job, vec![ended(0, JobStatus::Success)]);
}

// covers: Q35
#[test]
fn a_job_between_two_opcodes_is_asked_to_stop() {
    let mut log = Log::new();
    let job = log.submit(new_job(2));
    log.job(job, vec![began(0), ended(0, JobStatus::Success)]);
    assert_eq!(log.apply(log.cancel_command(job)), Applied::Done);
    assert!(record(&log, job).cancel);
    assert_eq!(statuses(&log, job), [JobStatus::Success, JobStatus::Queued]);
    assert!(log.state.unfinished.contains(&job));
}

#[test]
fn what_has_ended_or_never_was_cannot_be_canceled() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    log.job(job, vec![began(0), ended(0, JobStatus::Success)]);
    assert_eq!(log.refused(log.cancel_command(job)).message, "job 1 has ended: success");
    let fault = log.refused(log.cancel_command(JobId(99)));
    assert_eq!(fault.code, FaultCode::UnknownEntity);
}

// covers: Q21
#[test]
fn an_opcode_that_fails_ends_those_behind_it() {
    let mut log = Log::new();
    let job = log.submit(new_job(3));
    log.job(job, vec![began(0), ended(0, JobStatus::Success)]);
    log.job(job, vec![began(1), ended(1, JobStatus::Error)]);
    let (success, error) = (JobStatus::Success, JobStatus::Error);
    assert_eq!(statuses(&log, job), [success, error, error]);
    assert_eq!(record(&log, job).status(), JobStatus::Error);
    assert!(record(&log, job).ops[2].fault.is_some());
}

#[test]
fn a_job_that_has_ended_holds_no_locks_and_keeps_no_plan() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    let begin = JobFact::StepBegan { op_idx: 0, seq: 0, step: wait() };
    log.job(job, vec![JobFact::Locks(held()), began(0), begin]);
    assert_eq!(log.state.locks.get(&job).map(|held| held.len()), Some(2));
    log.job(job, vec![ended(0, JobStatus::Success)]);
    assert!(log.state.locks.is_empty());
    let op = &record(&log, job).ops[0];
    assert!(op.plan.is_none() && op.steps.is_empty() && op.unwinding.is_none());
    assert_eq!(record(&log, job).start, Some(Timestamp(5)));
}

#[test]
fn an_answer_of_null_is_no_answer() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    let result = Some(serde_json::Value::Null);
    let end = JobFact::OpEnded { op_idx: 0, status: JobStatus::Success, result, fault: None };
    log.job(job, vec![began(0), end]);
    assert_eq!(record(&log, job).ops[0].result, None);
}

#[test]
fn an_entry_of_a_job_is_applied_as_a_whole_or_not_at_all() {
    let mut log = Log::new();
    log.config(vec![ConfigDelta::InstanceAdd(Box::new(instance(1)))]);
    let job = log.submit(new_job(1));
    let begin = JobFact::StepBegan { op_idx: 0, seq: 0, step: add_instance() };
    let entry = log.job_command(job, vec![JobFact::Locks(held()), began(0), begin]);
    assert_eq!(log.refused(entry).message, "instance web1 is already in the cluster");
}

#[test]
fn steps_are_numbered_without_gaps_and_bounded() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    let begin = |seq| JobFact::StepBegan { op_idx: 0, seq, step: wait() };
    log.job(job, vec![began(0), begin(0)]);
    for seq in [0, 2] {
        let entry = log.job_command(job, vec![begin(seq)]);
        assert_eq!(log.refused(entry).message, format!("step {seq} cannot follow 1 steps"));
    }
    log.job(job, (1..STEPS_MAX).map(begin).collect());
    let entry = log.job_command(job, vec![begin(STEPS_MAX)]);
    assert_eq!(log.refused(entry).code, FaultCode::InternalError);
}

#[test]
fn a_fact_about_an_opcode_or_step_that_is_not_there_is_refused() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    let entry = log.job_command(job, vec![began(1)]);
    assert_eq!(log.refused(entry).message, "job 1 has no opcode 1");
    let fact = JobFact::StepEnded { op_idx: 0, seq: 0, result: done() };
    let entry = log.job_command(job, vec![began(0), fact]);
    assert_eq!(log.refused(entry).message, "job 1 has no step 0.0");
    let attempt = JobAttempt(1);
    let entry = JobEntry { reign: log.reign(), job: JobId(9), attempt, facts: Vec::new() };
    let fault = log.refused(Command::Job(Box::new(entry)));
    assert_eq!(fault.message, "job 9 does not exist");
}

/// A job that has added instance 1 and is unwinding.
fn unwinding(log: &mut Log) -> JobId {
    let job = log.submit(new_job(1));
    let begin = JobFact::StepBegan { op_idx: 0, seq: 0, step: add_instance() };
    let fault = Fault::new(FaultCode::WrongState, "no");
    log.job(job, vec![began(0), begin, JobFact::Unwinding { op_idx: 0, fault }]);
    assert_eq!(record(log, job).ops[0].steps[0].result, Some(done()));
    assert!(log.state.instances.contains_key(&instance_id(1)));
    job
}

#[test]
fn a_change_of_the_configuration_is_taken_back_once_with_the_end_of_its_undo() {
    let mut log = Log::new();
    let job = unwinding(&mut log);
    let undone = JobFact::UndoEnded { op_idx: 0, seq: 0, result: done() };
    log.job(job, vec![undone.clone()]);
    assert!(log.state.instances.is_empty());
    log.config(vec![ConfigDelta::InstanceAdd(Box::new(instance(1)))]);
    log.job(job, vec![undone]);
    assert!(log.state.instances.contains_key(&instance_id(1)), "taken back twice");
}

#[test]
fn an_undo_that_failed_changes_nothing() {
    let mut log = Log::new();
    let job = unwinding(&mut log);
    let result = StepResult::Failed(Fault::new(FaultCode::WrongState, "no"));
    log.job(job, vec![JobFact::UndoEnded { op_idx: 0, seq: 0, result: result.clone() }]);
    assert!(log.state.instances.contains_key(&instance_id(1)));
    assert_eq!(record(&log, job).ops[0].steps[0].undone, Some(result));
}

#[test]
fn log_lines_are_numbered_through_the_job() {
    let mut log = Log::new();
    let job = log.submit(new_job(2));
    let line = |op_idx| JobFact::Log {
        op_idx,
        at: Timestamp(9),
        kind: LogKind::Message,
        text: "said".into(),
    };
    log.job(job, vec![began(0), line(0), line(0), ended(0, JobStatus::Success)]);
    log.job(job, vec![began(1), line(1)]);
    let lines = record(&log, job).ops.iter().flat_map(|op| &op.log);
    assert_eq!(lines.map(|line| line.serial).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_job_that_destroyed_the_cluster_may_still_end() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    let destroy = step("destroy", Act::Config(vec![ConfigDelta::ClusterDestroy]), None);
    log.job(job, vec![began(0), JobFact::StepBegan { op_idx: 0, seq: 0, step: destroy }]);
    assert!(log.state.destroyed);
    log.take_over();
    log.job(job, vec![ended(0, JobStatus::Success)]);
    assert!(log.state.unfinished.is_empty());
}

#[test]
fn all_jobs_below_the_lowest_unfinished_one_are_settled() {
    let mut log = Log::new();
    assert_eq!(log.state.settled_below(), JobId(1));
    let first = log.submit(new_job(1));
    let second = log.submit(new_job(1));
    log.apply(log.cancel_command(second));
    assert_eq!(log.state.settled_below(), first);
    log.apply(log.cancel_command(first));
    assert_eq!(log.state.settled_below(), JobId(3));
}

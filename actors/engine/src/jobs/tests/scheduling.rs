//! Which job runs next.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::NewJob;
use gantry_model::opcodes::{Dependency, OpCommon, OpRequest, TestDelay};

use super::super::{JobEvent, Readiness, Scheduler, readiness};
use super::driver::Driver;
use super::script::{OpScript, create};
use crate::state::tests::sample::{Log, began, new_job};
use crate::state::{Applied, JobFact};

const MANY: usize = 100;

fn job_with(common: OpCommon) -> NewJob {
    NewJob { ops: vec![OpRequest { op: TestDelay::default().into(), common }] }
}

fn depending(job: u64, states: &[JobStatus]) -> NewJob {
    let depends = vec![Dependency::on(JobId(job), states.to_vec())];
    job_with(OpCommon { depends, ..OpCommon::default() })
}

fn urgent(priority: i8) -> NewJob {
    job_with(OpCommon { priority, ..OpCommon::default() })
}

/// A queue and the state that it looks at.
#[derive(Default)]
struct Queue {
    log: Log,
    scheduler: Scheduler,
}

impl Queue {
    fn new() -> Self {
        Self { log: Log::new(), scheduler: Scheduler::default() }
    }

    fn submit(&mut self, job: NewJob) -> u64 {
        let id = self.log.submit(job);
        let record = self.log.state.jobs.get(&id).expect("submitted");
        self.scheduler.submitted(id, record.priority());
        id.0
    }

    fn next(&mut self, running_max: usize) -> Vec<u64> {
        self.scheduler.next(&self.log.state, running_max).into_iter().map(|id| id.0).collect()
    }

    fn end(&mut self, job: u64, status: JobStatus) {
        let job = JobId(job);
        let fault = (status != JobStatus::Success).then(|| Fault::new(FaultCode::WrongState, "no"));
        let end = JobFact::OpEnded { op_idx: 0, status, result: None, fault };
        self.log.job(job, vec![began(0), end]);
        self.scheduler.ended(job);
    }

    /// A new leader sees the state only.
    fn take_over(&mut self) {
        self.log.take_over();
        self.scheduler = Scheduler::default();
        for id in &self.log.state.unfinished {
            let record = self.log.state.jobs.get(id).expect("unfinished");
            self.scheduler.submitted(*id, record.priority());
        }
    }

    fn readiness(&self, job: u64) -> Readiness {
        readiness(&self.log.state, self.log.state.jobs.get(&JobId(job)).expect("submitted"))
    }
}

// covers: Q29 Q30
#[test]
fn the_most_urgent_runs_first_then_the_oldest() {
    let mut queue = Queue::new();
    for priority in [0, 10, -10, 0, -20] {
        queue.submit(urgent(priority));
    }
    assert_eq!(queue.next(MANY), [5, 3, 1, 4, 2]);
}

// covers: Q28
#[test]
fn no_more_run_than_may() {
    let mut queue = Queue::new();
    for _ in 0..4 {
        queue.submit(new_job(1));
    }
    assert_eq!(queue.next(2), [1, 2]);
    assert_eq!(queue.next(2), [0; 0]);
    assert_eq!(queue.scheduler.n_running(), 2);
    queue.end(2, JobStatus::Success);
    assert_eq!(queue.next(2), [3]);
    assert_eq!(queue.next(1), [0; 0], "a limit that was lowered");
    assert_eq!(queue.next(3), [4]);
}

#[test]
fn a_job_is_queued_once() {
    let mut queue = Queue::new();
    let job = queue.submit(new_job(1));
    queue.scheduler.submitted(JobId(job), 5);
    assert_eq!(queue.next(MANY), [job]);
    queue.scheduler.submitted(JobId(job), 0);
    assert_eq!(queue.next(MANY), [0; 0], "it runs already");
}

#[test]
fn a_job_that_was_canceled_while_queued_does_not_begin() {
    let mut queue = Queue::new();
    let (one, other) = (queue.submit(new_job(1)), queue.submit(new_job(1)));
    queue.next(0);
    queue.scheduler.ended(JobId(one));
    let third = queue.submit(new_job(1));
    queue.scheduler.ended(JobId(third));
    assert_eq!(queue.next(MANY), [other]);
}

// covers: Q33
#[test]
fn a_dependency_is_waited_for_without_blocking_others() {
    let mut queue = Queue::new();
    let first = queue.submit(new_job(1));
    let second = queue.submit(depending(first, &[]));
    let third = queue.submit(new_job(1));
    assert_eq!(queue.readiness(second), Readiness::Waits(JobId(first)));
    assert_eq!(queue.next(MANY), [first, third]);
    queue.end(first, JobStatus::Error);
    assert_eq!(queue.next(MANY), [second], "no state listed means any");
}

// covers: Q33
#[test]
fn a_dependency_that_ended_as_listed_lets_the_job_begin() {
    let (success, error) = (JobStatus::Success, JobStatus::Error);
    for (end, listed, code) in [
        (success, vec![success], None),
        (error, vec![success, error], None),
        (error, vec![success], Some(FaultCode::WrongState)),
        (JobStatus::Canceled, vec![success], Some(FaultCode::Canceled)),
        (JobStatus::Canceled, vec![JobStatus::Canceled], None),
    ] {
        let mut queue = Queue::new();
        let first = queue.submit(new_job(1));
        let second = queue.submit(depending(first, &listed));
        queue.end(first, end);
        let readiness = queue.readiness(second);
        match code {
            None => assert_eq!(readiness, Readiness::Ready, "{end} in {listed:?}"),
            Some(code) => {
                let Readiness::Fails(fault) = readiness else { panic!("{end} in {listed:?}") };
                let text = format!(
                    "Dependency job 1 finished with status '{end}', not one of 'success' as \
                     required"
                );
                assert_eq!((fault.code, fault.message), (code, text));
            }
        }
        assert_eq!(queue.next(MANY), [second], "beginning ends it");
    }
}

// covers: O94 Q33
#[test]
fn a_dependency_that_is_counted_back_gets_its_number_with_the_job() {
    let back = |back| {
        let dependency = Dependency { back: Some(back), ..Dependency::on(JobId(0), Vec::new()) };
        job_with(OpCommon { depends: vec![dependency], ..OpCommon::default() })
    };
    let mut queue = Queue::new();
    let first = queue.submit(new_job(1));
    let ids = match queue.log.apply(queue.log.submit_command(7, vec![back(1), back(2), back(2)])) {
        Applied::Jobs(ids) => ids,
        other => panic!("not submitted: {other:?}"),
    };
    let waits: Vec<Readiness> = ids.iter().map(|id| queue.readiness(id.0)).collect();
    let on = |job| Readiness::Waits(JobId(job));
    assert_eq!(waits, [on(first), on(first), on(ids[0].0)]);
    let state = &queue.log.state;
    let stored = |id: &JobId| state.jobs.get(id).expect("submitted").ops[0].input.level();
    assert!(ids.iter().all(|id| stored(id) < 6), "nothing that programs from before do not know");
    for before_the_first in [back(0), back(5), back(6)] {
        let refused = queue.log.apply(queue.log.submit_command(8, vec![before_the_first]));
        let Applied::Refused(fault) = refused else { panic!("accepted: {refused:?}") };
        assert_eq!(fault.code, FaultCode::WrongInput);
    }
}

// covers: Q33
#[test]
fn a_job_cannot_depend_on_itself_or_on_what_never_was() {
    let mut queue = Queue::new();
    let itself = queue.submit(depending(1, &[]));
    let Readiness::Fails(fault) = queue.readiness(itself) else { panic!("ready") };
    assert_eq!(fault.message, "job 1 depends on itself");
    let unknown = queue.submit(depending(77, &[]));
    let Readiness::Fails(fault) = queue.readiness(unknown) else { panic!("ready") };
    assert_eq!(fault.code, FaultCode::UnknownEntity);
    assert_eq!(fault.message, "job 2 depends on job 77, which does not exist");
}

// covers: Q33
#[test]
fn a_job_whose_dependency_was_canceled_is_canceled() {
    let mut driver = Driver::new(vec![OpScript::new([create(0)])]);
    driver.run_until(|effect| matches!(effect, super::super::JobEffect::Declare { .. }));
    let fault = Fault::new(FaultCode::Canceled, "job 2 depends on job 1");
    driver.feed(JobEvent::Declared(Err(fault)));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Canceled);
}

#[test]
fn a_dependency_no_longer_matters_to_a_job_that_has_begun() {
    let mut queue = Queue::new();
    let first = queue.submit(new_job(1));
    let second = queue.submit(depending(first, &[]));
    queue.log.job(JobId(second), vec![began(0)]);
    assert_eq!(queue.readiness(second), Readiness::Ready);
}

#[test]
fn a_new_leader_resumes_what_has_begun_before_anything_else_and_whatever_the_limit() {
    let mut queue = Queue::new();
    let begun: Vec<u64> = (0..3).map(|_| queue.submit(urgent(10))).collect();
    for job in &begun {
        queue.log.job(JobId(*job), vec![began(0)]);
    }
    // If these took all places, they might wait for locks of jobs that never get one.
    let urgent: Vec<u64> = (0..3).map(|_| queue.submit(urgent(-20))).collect();
    queue.take_over();
    assert_eq!(queue.next(2), begun);
    queue.end(begun[0], JobStatus::Success);
    assert_eq!(queue.next(3), [urgent[0]]);
}

// covers: Q31
#[test]
fn a_queued_job_that_becomes_urgent_begins_first() {
    let mut queue = Queue::new();
    let (first, second, third) =
        (queue.submit(urgent(0)), queue.submit(urgent(0)), queue.submit(urgent(0)));
    assert_eq!(queue.next(1), [first]);
    // One that has been looked at before, and one that has not.
    let fourth = queue.submit(urgent(5));
    queue.scheduler.reprioritize(JobId(third), -5);
    queue.scheduler.reprioritize(JobId(fourth), -10);
    queue.scheduler.reprioritize(JobId(first), -20);
    assert_eq!(queue.next(4), [fourth, third, second]);
}

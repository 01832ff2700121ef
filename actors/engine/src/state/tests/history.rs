//! What leaves the state, and what the state still knows of it.

use gantry_model::ids::JobId;
use gantry_model::jobs::{JobStatus, LogKind};
use gantry_model::units::Timestamp;

use super::sample::{Log, began, new_job};
use crate::state::{
    Applied, Command, FINISHED_JOBS_MAX, HISTORY_RECORD_BYTES_MAX, HistoryEvent, HistoryHead,
    HistoryRecord, JobFact,
};

fn ended(log: &mut Log) -> JobId {
    let job = log.submit(new_job(1));
    log.apply(log.cancel_command(job));
    job
}

fn archive(log: &mut Log, jobs: &[JobId]) -> Applied {
    log.apply(Command::Archive { reign: log.reign(), jobs: jobs.to_vec() })
}

// covers: Q36 S226
#[test]
fn only_jobs_that_have_ended_are_archived() {
    let mut log = Log::new();
    let (first, open, second) = (ended(&mut log), log.submit(new_job(1)), ended(&mut log));
    let before = log.state.jobs[&second].clone();
    let answer = archive(&mut log, &[second, open, JobId(77), first, first]);
    assert_eq!(answer, Applied::Jobs(vec![second, first]));
    assert!(log.state.jobs.keys().eq([&open]));
    let records: Vec<&HistoryRecord> = log.emitted.iter().map(|one| &one.record).collect();
    assert_eq!(records[0].job(), Some(before.as_ref()), "it is what it was");
    assert_eq!((records[0].position, records[1].position), (0, 1));
    assert_eq!(records[1].revision, log.state.revision);
}

#[test]
fn the_head_in_the_state_proves_every_record() {
    let mut log = Log::new();
    for _ in 0..3 {
        let job = ended(&mut log);
        archive(&mut log, &[job]);
    }
    let chain = |change: fn(usize, &mut Vec<u8>)| {
        log.emitted.iter().enumerate().fold(HistoryHead::default(), |head, (i, one)| {
            let mut encoded = one.encoded.clone();
            change(i, &mut encoded);
            head.after(&encoded)
        })
    };
    assert_eq!(log.state.history, chain(|_, _| {}));
    assert_ne!(log.state.history, chain(|i, bytes| bytes[i] ^= u8::from(i == 1)));
    for one in &log.emitted {
        let decoded = HistoryRecord::decode(&one.encoded).expect("decodes");
        assert_eq!(decoded, one.record);
        assert_eq!(decoded.encode().expect("encodes"), one.encoded);
    }
}

#[test]
fn finished_jobs_beyond_the_limit_go_to_the_history() {
    let mut log = Log::new();
    for _ in 0..FINISHED_JOBS_MAX + 3 {
        ended(&mut log);
    }
    log.submit(new_job(1));
    assert_eq!(log.state.jobs.len() - log.state.unfinished.len(), FINISHED_JOBS_MAX);
    let gone: Vec<u64> =
        log.emitted.iter().filter_map(|one| one.record.job()).map(|job| job.id.0).collect();
    assert_eq!(gone, [1, 2, 3]);
    assert_eq!(log.state.history.count, 3);
}

#[test]
fn a_job_that_is_too_large_loses_its_log_first() {
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    log.job(job, vec![began(0)]);
    let line = |text| JobFact::Log { op_idx: 0, at: Timestamp(9), kind: LogKind::Info, text };
    for _ in 0..3 {
        log.job(job, vec![line("x".repeat(HISTORY_RECORD_BYTES_MAX / 2))]);
    }
    let (status, result) = (JobStatus::Success, Some("done".into()));
    log.job(job, vec![JobFact::OpEnded { op_idx: 0, status, result, fault: None }]);
    archive(&mut log, &[job]);
    let one = &log.emitted[0];
    assert!(one.encoded.len() < HISTORY_RECORD_BYTES_MAX);
    let HistoryEvent::Job { job, cut } = &one.record.event else { panic!("a job") };
    assert!(*cut && job.ops[0].log.is_empty());
    assert_eq!(job.ops[0].result, Some("done".into()));
}

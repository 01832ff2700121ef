//! Large requests and long queues: section "what it costs" of the module.

use super::*;

const NODES: u64 = 20_000;

fn many(range: std::ops::Range<u64>, mode: LockMode) -> Vec<(LockName, LockChange)> {
    let node = |number: u64| LockName {
        level: LockLevel::Node,
        member: LockMember::One(format!("{:08x}-0000-4000-8000-{number:012x}", number * 0x9e37)),
    };
    range.map(|number| (node(number), LockChange::Hold(mode))).collect()
}

fn acquire(job: u64, changes: Vec<(LockName, LockChange)>) -> LockEvent {
    LockEvent::Acquire { job: JobId(job), attempt: JobAttempt(1), priority: 0, changes }
}

fn granted(effects: &[LockEffect]) -> Vec<u64> {
    let jobs = effects.iter().filter_map(|effect| match effect {
        LockEffect::Granted { job, .. } => Some(job.0),
        LockEffect::Refused { .. } | LockEffect::Waiting { .. } => None,
    });
    jobs.collect()
}

// covers: L10 L71
#[test]
fn a_set_of_a_thousand_is_granted_as_one_in_a_large_table() {
    let mut table = LockTable::default();
    for job in 0..NODES / 1_000 {
        let from = job * 1_000;
        let said = table.step(acquire(job + 1, many(from..from + 1_000, LockMode::Shared)));
        assert_eq!(granted(&said), [job + 1]);
    }
    let last = NODES / 1_000 + 1;
    let fresh = many(NODES..NODES + 1_000, LockMode::Exclusive);
    let said = table.step(acquire(last, fresh));
    assert!(matches!(&said[..], [LockEffect::Granted { held, .. }] if held.len() == 1_000));
    assert_eq!(table.rows().len() as u64, NODES + 1_000);
    for job in 1..=last {
        assert!(table.step(LockEvent::Release { job: JobId(job) }).is_empty());
    }
    assert_eq!(table, LockTable::default());
}

// covers: L18 L73
#[test]
fn a_long_queue_is_served_one_by_one_in_order() {
    let mut table = LockTable::default();
    let node = || many(0..1, LockMode::Exclusive);
    let jobs = 2_000;
    for job in 1..=jobs {
        let said = table.step(acquire(job, node()));
        assert_eq!(granted(&said).len(), usize::from(job == 1));
    }
    for job in 1..jobs {
        assert_eq!(granted(&table.step(LockEvent::Release { job: JobId(job) })), [job + 1]);
    }
}

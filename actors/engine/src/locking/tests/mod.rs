//! Tests of the lock table, one file per behaviour, and the words they are written in.
//!
//! Locks are written as `gnt-debug locks` prints them (`node/a`, `node/[lockset]`), changes as
//! `node/a=x`, `=s` and `=-`: exclusive, shared, released. Effects are compared as lines of text.

use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::locks::{LockChange, LockLevel, LockMember, LockMode, LockName};

use super::{LockEffect, LockEvent, LockTable};

mod listing;
mod model_check;
mod owners;
mod properties;
mod queueing;
mod reference;
mod rules;
mod size;

/// A table that is spoken to in text.
#[derive(Default)]
struct Desk {
    table: LockTable,
}

impl Desk {
    fn step(&mut self, event: LockEvent) -> Vec<String> {
        self.table.step(event).iter().map(line).collect()
    }

    /// At priority 0, as attempt 1.
    fn acquire(&mut self, job: u64, changes: &str) -> Vec<String> {
        self.acquire_as(job, 1, 0, changes)
    }

    fn acquire_as(&mut self, job: u64, attempt: u64, priority: i8, text: &str) -> Vec<String> {
        self.step(LockEvent::Acquire {
            job: JobId(job),
            attempt: JobAttempt(attempt),
            priority,
            changes: changes(text),
        })
    }

    fn acquire_free(&mut self, job: u64, at_least: usize, names: &str) -> Vec<String> {
        self.step(LockEvent::AcquireFree {
            job: JobId(job),
            attempt: JobAttempt(1),
            at_least,
            names: names.split_whitespace().map(lock).collect(),
            mode: LockMode::Exclusive,
        })
    }

    fn release(&mut self, job: u64) -> Vec<String> {
        self.step(LockEvent::Release { job: JobId(job) })
    }

    fn restore(&mut self, job: u64, attempt: u64, text: &str) -> Vec<String> {
        let held = changes(text).into_iter().map(|(name, change)| match change {
            LockChange::Hold(mode) => (name, mode),
            LockChange::Release => panic!("only what is held is restored"),
        });
        let (job, attempt) = (JobId(job), JobAttempt(attempt));
        self.step(LockEvent::Restore { job, attempt, held: held.collect() })
    }

    fn change_priority(&mut self, job: u64, priority: i8) -> Vec<String> {
        self.step(LockEvent::ChangePriority { job: JobId(job), priority })
    }

    fn held(&self, job: u64) -> String {
        held_text(self.table.held(JobId(job)))
    }

    /// The table as `gnt-debug locks` shows it: name, mode, owners, pending.
    fn rows(&self) -> Vec<String> {
        let jobs =
            |jobs: &[JobId]| jobs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let rows = self.table.rows();
        let text = rows.iter().map(|row| {
            let mode = row.mode.map_or("-", LockMode::as_str);
            let pending = row.pending.iter();
            let pending: Vec<String> =
                pending.map(|(mode, who)| format!("{}:{}", mode.as_str(), jobs(who))).collect();
            format!("{} {mode} [{}] {}", row.name, jobs(&row.owners), pending.join(" "))
        });
        text.map(|row| row.trim_end().to_owned()).collect()
    }
}

fn lock(text: &str) -> LockName {
    let (level, member) = text.split_once('/').expect("level/member");
    let level = LockLevel::ALL.into_iter().find(|known| known.as_str() == level);
    let member = match member {
        "[lockset]" => LockMember::Set,
        member => LockMember::One(member.to_owned()),
    };
    LockName { level: level.expect("a level"), member }
}

fn changes(text: &str) -> Vec<(LockName, LockChange)> {
    let change = |text: &str| {
        let (name, change) = text.rsplit_once('=').expect("name=change");
        let change = match change {
            "x" => LockChange::Hold(LockMode::Exclusive),
            "s" => LockChange::Hold(LockMode::Shared),
            "-" => LockChange::Release,
            other => panic!("{other} is no change"),
        };
        (lock(name), change)
    };
    text.split_whitespace().map(change).collect()
}

fn held_text<'a>(held: impl Iterator<Item = (&'a LockName, LockMode)>) -> String {
    let text = held.map(|(name, mode)| match mode {
        LockMode::Shared => format!("{name}=s"),
        LockMode::Exclusive => format!("{name}=x"),
    });
    text.collect::<Vec<_>>().join(" ")
}

fn line(effect: &LockEffect) -> String {
    let text = match effect {
        LockEffect::Granted { job, held, .. } => {
            format!("{job} has {}", held_text(held.iter().map(|(name, mode)| (name, *mode))))
        }
        LockEffect::Refused { job, attempt, reason } => {
            format!("{job}.{attempt} refused: {reason}")
        }
        LockEffect::Waiting { job, blockers } => {
            let blockers: Vec<String> = blockers.iter().map(ToString::to_string).collect();
            format!("{job} waits for {}", blockers.join(","))
        }
    };
    text.trim_end().to_owned()
}

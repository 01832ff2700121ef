//! What a job does next: [`JobMachine`].
//!
//! ```text
//!            declare ──▶ lock ──▶ (next stage)             per opcode
//!                          │
//!                          ▼
//!                 want facts ──▶ gather ──▶ check
//!                                             │ plan
//!                                             ▼
//!        ┌──────────────▶ decide next ──▶ commit "step began" ──▶ call ──┐
//!        │                    │ finish                                   │ ended
//!        └────────────────────┼──────────────────────────────────────────┘
//!                             ▼                        failed ▼
//!                 commit "opcode ended"  ◀── undo … undo ◀── commit "unwinding"
//! ```
//!
//! The machine owns the order of things and their record; what a logical unit decides comes in as
//! events. Everything it does to the world is an effect, and every effect on the world is preceded
//! by the commit of its intention: after a crash a new machine is made from the record and goes on.
//!
//! Who may call it: the job actor of the master, and tests. Deliberately absent: what locks mean,
//! what a plan contains, how a call travels.

mod join;
mod machine;
mod narrow;
mod protocol;
mod refused;
mod resume;
mod scheduler;
mod unwind;

pub use machine::JobMachine;
pub use protocol::{CallEnd, JobEffect, JobEvent, LockStage, Next, RETRY_FIRST, RETRY_MAX};
pub use scheduler::{Readiness, Scheduler, readiness};

#[cfg(test)]
mod tests;

//! The harness: what Gantry costs, beside a peer that is measured in the same run.
//!
//! One file per question ([`QUESTIONS`]). Every question runs subject and peer in short interleaved
//! passes, so that load on the machine and its drifting clock hit both alike; what counts is the
//! median over passes of the ratio within a pass. Programs under test are started from the folder
//! of the harness itself. Deliberately absent: judgement of correctness (the tests do that), and
//! statistics beyond medians and percentiles. `RESULTS.md` holds the latest figures.

mod child;
mod config_write;
mod daemon_rig;
mod fsync_floor;
mod ganeti;
mod harness;
mod idle_actor;
mod jobs;
mod large;
mod lists;
mod local_ask;
mod local_rig;
mod local_tell;
mod locks_1000;
mod quinn_peer;
mod remote_ask;
mod steady;
mod submitters;
mod takeover;
mod udp_peer;
mod voters_rig;

pub use child::serve;
pub use harness::{Budget, Figure, Options, Question, Report};

/// Every question, in the order in which they are asked.
pub const QUESTIONS: &[Question] = &[
    Question { name: "local_tell", run: local_tell::run },
    Question { name: "local_ask", run: local_ask::run },
    Question { name: "idle_actor", run: idle_actor::run },
    Question { name: "remote_ask", run: remote_ask::run },
    Question { name: "locks_1000", run: locks_1000::run },
    Question { name: "jobs", run: jobs::run },
    Question { name: "lists", run: lists::run },
    Question { name: "config_write", run: config_write::run },
    Question { name: "takeover", run: takeover::run },
    Question { name: "steady", run: steady::run },
    Question { name: "large", run: large::run },
    Question { name: "ganeti", run: ganeti::run },
];

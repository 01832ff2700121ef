//! Pure deciders: each a plain struct with `step(event) -> effects`.
//!
//! They own what is decided: [`locking`] who holds which lock, [`state`] what an entry of the log
//! means, [`jobs`] what a job does next, [`query`] what a table shows. They are driven by actors of
//! the master and by tests. Deliberately absent: clocks, files, sockets, async, threads, hash maps;
//! the same events in the same order always give the same state.

pub mod jobs;
pub mod locking;
pub mod query;
pub mod state;

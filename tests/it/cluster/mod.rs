//! Whole clusters in one process, in virtual time: what they do, and what they survive.

mod agent_crashes;
mod archive;
mod canceling;
mod certificates;
mod clients;
mod determinism;
mod holders;
mod joining;
mod leader_crashes;
mod level_crashes;
mod levels;
mod life;
mod locks;
mod many_jobs;
mod partitions;
mod plan;
mod private_parameters;
mod roles;
mod scenario;
mod slow_disk;
mod submission;
mod transitions;

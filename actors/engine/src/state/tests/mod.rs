//! Tests of the replicated state, and a small cluster for the tests of what works on it.

pub(crate) mod sample;

mod config;
mod difference;
mod find;
mod history;
mod holders;
mod jobs;
mod level;
mod replicas;
mod secrets;
mod tags;
mod transitions;
mod trust;

//! Tests of the store through its public API.

mod cluster;
mod comparison;
mod determinism;
mod fixtures;
mod history;
mod levels;
mod network;
mod one_voter;
mod power;
mod schema;
mod three_voters;

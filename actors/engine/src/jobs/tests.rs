//! Tests of the job machine, driven against a real state, a real lock table and a world of disks.

mod canceling;
mod crashes;
mod driver;
mod joining;
mod model_check;
mod narrowing;
mod outcomes;
mod properties;
mod refusals;
mod resuming;
mod scheduling;
mod script;
mod unwinding;
mod whole;
mod world;

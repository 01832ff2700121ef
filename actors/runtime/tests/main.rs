//! The guarantees of the runtime, one test each. All on simulated nodes but where threads matter.

mod asks;
mod futures;
mod introspection;
mod mailboxes;
mod network;
mod once;
mod one_thread;
mod passivation;
mod platforms;
mod remote;
mod rig;
mod supervision;
mod threads;
mod watching;

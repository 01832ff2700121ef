//! Tests of the link from outside.

mod bulk;
mod identity;
mod local;
mod quic_clients;
mod quic_conformance;
mod quic_faults;
mod retiring;
mod rig;
mod sim;

//! The link over QUIC with mutual TLS.
//!
//! One connection per pair of peers, used in both directions, with two lanes (control and user)
//! that are long-lived streams of frames; a connection for each bulk transfer. Everything that
//! touches the network runs on one thread, of its own or shared with the control actors; the
//! methods of [`QuicLink`] may be called from any thread. Deliberately absent: any judgement of
//! what a message means or who may send it.

mod bulk;
mod cell;
mod close_code;
mod handshake;
mod hub;
mod inbound_asks;
mod lane;
mod link;
mod renewal;
mod rivalry;
mod session;
mod socket;
mod tasks;
mod tls;
mod transfers;

pub use crate::limits::PEER_SILENCE;
pub use handshake::DialError;
pub use link::{LinkIdentity, QuicConfig, QuicLink, RefuseInbound, StartError};
pub use tls::TlsError;

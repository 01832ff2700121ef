//! The local link: commands on the same machine, over a unix-domain socket.
//!
//! The frames are those of the other links, on one stream: a hello each way, then asks, tells and
//! replies. There is no certificate: the kernel says which process is at the other end
//! ([`LocalCredentials`]), and a [`LocalGate`] says which role that has. Whoever has none is told
//! why, before a byte of it is read.
//!
//! [`LocalListener`] is a daemon's side, [`LocalClient`] a command's. Deliberately absent: which
//! users have which role, bulk transfers, the life of peers (a command is nobody's peer), and
//! reconnecting, which is the client's patience.

mod client;
mod listener;
mod serving;

use std::path::Path;

pub use client::{LocalClient, LocalDialError};
use futures_util::future::BoxFuture;
use gantry_wire::Role;
pub use listener::{LocalConfig, LocalListener, LocalStartError};

/// Connected commands. One at work holds one, 60 KiB at most while idle. Lower refuses scripts that
/// start hundreds at once, higher lets a user of this machine take more of the daemon's memory.
pub const LOCAL_CLIENTS_MAX: usize = 1024;

/// Longest path of a socket, without the zero at its end: what the kernel's address has room for.
pub const LOCAL_PATH_BYTES_MAX: usize = 107;

/// What the kernel says of the process at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalCredentials {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Itself, where the kernel can say.
    pub pid: Option<i32>,
}

impl std::fmt::Display for LocalCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "uid {}, pid {pid}", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

/// Says which role a local process has.
pub trait LocalGate: Send + Sync + 'static {
    /// Its role, or for people why it has none and how it gets one.
    fn role_of(&self, who: LocalCredentials) -> BoxFuture<'_, Result<Role, String>>;
}

/// Whether the kernel can have a socket there.
fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= LOCAL_PATH_BYTES_MAX
}

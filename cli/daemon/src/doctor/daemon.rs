//! The node in the state directory, its certificates and its daemon.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gantry_client::{Client, LocalTransport};
use gantry_commands::machine::Finding;
use gantry_link::local::{LocalClient, LocalDialError};
use gantry_wire::{BootId, ErrorChain, Role};
use uuid::Uuid;

use super::{Patient, failed, ok, show, warning};

/// How long the daemon may take to answer. Beyond it is stuck or the machine is.
const HELLO_TIME_MAX: Duration = Duration::from_secs(3);

const DAY_S: u64 = 24 * 3600;

/// Certificates renew themselves long before; who is so near to the end could not.
const EXPIRES_SOON_S: u64 = 30 * DAY_S;

/// How to make a node.
const BECOME_NODE: &str = "`gantry cluster init NAME` makes a cluster, `gantry join TOKEN` joins \
                           one";

/// Whether the directory belongs to a node.
pub(super) fn identity(patient: &Patient) -> Finding {
    const CHECK: &str = "node";
    match patient.state_dir.load_node() {
        Ok(Some(node)) => ok(CHECK, format!("{} of cluster {}", node.name, node.cluster_name)),
        Ok(None) => warning(CHECK, "this machine is in no cluster", BECOME_NODE),
        Err(error) => {
            let advice = "restore it from a backup, or clear the directory and join again";
            failed(CHECK, ErrorChain(&error).to_string(), advice)
        }
    }
}

/// How long the certificates are valid.
pub(super) fn certificates(patient: &Patient) -> Finding {
    const CHECK: &str = "certificates";
    let Some(node) = &patient.node else { return ok(CHECK, "none needed yet") };
    let own = if node.holds_log { Role::Candidate } else { Role::Node };
    let renew = "start the daemon: it renews them; or `gantry cluster renew-crypto \
                 --new-node-certificates`";
    let dir = match patient.state_dir.identity() {
        Ok(dir) => dir,
        Err(error) => {
            return failed(CHECK, ErrorChain(&error).to_string(), "`chmod 700` the directory");
        }
    };
    let mut soonest: Option<(Role, u64)> = None;
    for role in [own, Role::Admin, Role::Reader] {
        match dir.load_credentials(role) {
            Ok(Some(found)) => {
                let until = found.lifetime().not_after_unix_s;
                if soonest.is_none_or(|(_, earlier)| until < earlier) {
                    soonest = Some((role, until));
                }
            }
            Ok(None) if role == own => {
                return failed(CHECK, "the node has none", "clear the directory and join again");
            }
            Ok(None) => {}
            Err(error) => return failed(CHECK, ErrorChain(&error).to_string(), renew),
        }
    }
    match soonest {
        Some((role, until)) => judge_expiry(role, until, (patient.clock)().as_secs(), renew),
        None => failed(CHECK, "there are none", renew),
    }
}

fn judge_expiry(role: Role, until_unix_s: u64, now_unix_s: u64, renew: &str) -> Finding {
    const CHECK: &str = "certificates";
    let Some(left) = until_unix_s.checked_sub(now_unix_s) else {
        return failed(CHECK, format!("that of role {role} has expired"), renew);
    };
    let text = format!("valid for {} days, that of role {role} the shortest", left / DAY_S);
    match left < EXPIRES_SOON_S {
        true => warning(CHECK, text, renew),
        false => ok(CHECK, text),
    }
}

/// The daemon of the state directory, as far as it answers this user.
pub(super) struct Reached {
    path: PathBuf,
    hello: Result<Answers, LocalDialError>,
}

/// A daemon that answers.
struct Answers {
    pid: Option<u32>,
    client: Client,
}

impl Reached {
    /// Connects.
    pub(super) async fn of(patient: &Patient) -> Self {
        let path = patient.state_dir.socket();
        let hello = LocalClient::connect(&path, BootId(Uuid::new_v4()), HELLO_TIME_MAX).await;
        let hello = hello.map(|socket| {
            let pid = socket.daemon_pid();
            Answers { pid, client: Client::over(Arc::new(LocalTransport::over(socket))) }
        });
        Self { path, hello }
    }

    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.hello.as_ref().ok()?.pid
    }

    /// To ask it.
    pub(super) fn client(&self) -> Option<&Client> {
        Some(&self.hello.as_ref().ok()?.client)
    }

    /// Whether it runs and talks to this user.
    pub(super) fn judged(&self, patient: &Patient) -> Finding {
        const CHECK: &str = "daemon";
        let start = "`systemctl start gantry`, or `gantry daemon`";
        match &self.hello {
            Ok(_) => ok(CHECK, format!("answers on {}", show(&self.path))),
            Err(LocalDialError::Absent { .. }) if patient.node.is_none() => {
                warning(CHECK, "does not run", BECOME_NODE)
            }
            Err(LocalDialError::Absent { .. }) => failed(CHECK, "does not run", start),
            Err(error @ LocalDialError::Refused { .. }) => warning(
                CHECK,
                error.to_string(),
                "`gpasswd -a USER GROUP` adds a user to one of the groups",
            ),
            Err(error) => failed(CHECK, ErrorChain(error).to_string(), "see the log of the daemon"),
        }
    }
}

/// Whether the address is the daemon's, or free for it.
pub(super) async fn port(patient: &Patient) -> Finding {
    const CHECK: &str = "address";
    let Some(node) = &patient.node else { return ok(CHECK, "none needed yet") };
    let address = &node.address;
    let addrs: Vec<_> = match tokio::net::lookup_host(address).await {
        Ok(addrs) => addrs.collect(),
        Err(error) => {
            let advice = "put the name into DNS or /etc/hosts";
            return failed(CHECK, format!("{address} cannot be looked up: {error}"), advice);
        }
    };
    match UdpSocket::bind(addrs.as_slice()) {
        Ok(_) => ok(CHECK, format!("{address} is of this machine, and free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            ok(CHECK, format!("{address} is in use, by the daemon if it runs"))
        }
        Err(error) => failed(
            CHECK,
            format!("{address} cannot be bound: {error}"),
            "give this machine the address, or start the daemon with --listen",
        ),
    }
}

#[cfg(test)]
mod tests {
    use gantry_commands::machine::Verdict;

    use super::*;

    #[test]
    fn an_expiry_is_told_before_it_comes() {
        let now = 1_000 * DAY_S;
        for (until, expected) in [
            (now + 200 * DAY_S, Verdict::Ok),
            (now + 10 * DAY_S, Verdict::Warning),
            (now - 1, Verdict::Failed),
        ] {
            assert_eq!(judge_expiry(Role::Node, until, now, "renew").verdict, expected);
        }
    }
}

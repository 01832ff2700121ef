//! As which user a guest runs (rows H45, H46).
//!
//! QEMU opens disks, sockets and devices as the daemon's user, and becomes the other one before the
//! guest executes; so nothing has to belong to that user, and a guest that breaks out of its
//! emulator finds nothing of the node's that is not open to everybody.
//!
//! With a pool each guest has a user of its own on its node. Nothing is written down for that: a
//! user as whom a process runs is taken, whoever started it, whatever became of the daemon since.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gantry_host::accounts::Account;
use gantry_host::{Command, accounts};
use gantry_model::ids::InstanceUuid;
use gantry_model::objects::GuestSpec;
use gantry_model::params::KvmParams;

use crate::error::HvError;
use crate::kvm::hypervisor::KvmHypervisor;
use crate::kvm::run_dir::{RunDir, io_error};

/// From this version on the user is a property of `-run-with`; `-runas` is on its way out.
const RUN_WITH_USER_SINCE: (u32, u32) = (9, 1);

/// How long QEMU may take to say its version; it only loads its libraries.
const VERSION_TIME_MAX: Duration = Duration::from_secs(10);

/// Accounts of a pool that are looked up for one start. Each may be a question to a directory
/// server; lower would not find the free ones of a pool in which many ids have no account, higher
/// would keep a start waiting for one without any.
const LOOKUPS_MAX: usize = 256;

/// Users that are spoken for.
pub(super) type Reserved = Arc<Mutex<BTreeSet<u32>>>;

/// How a guest becomes somebody else.
#[derive(Default)]
pub(super) struct RunAs {
    /// For QEMU.
    pub(super) options: Vec<String>,
    /// Held until the guest runs as that user, or has failed to.
    _reservation: Option<Reservation>,
}

/// A user out of a pool that no other start takes.
struct Reservation {
    reserved: Reserved,
    uid: u32,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        lock(&self.reserved).remove(&self.uid);
    }
}

fn lock(reserved: &Reserved) -> MutexGuard<'_, BTreeSet<u32>> {
    reserved.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(field: &'static str, value: &str, accepted: &str) -> HvError {
    HvError::Invalid { field, value: value.to_owned(), accepted: accepted.to_owned() }
}

impl KvmHypervisor {
    /// The options by which QEMU becomes the user that the parameters want.
    pub(super) async fn run_as(
        &self,
        dir: &RunDir,
        spec: &GuestSpec,
        params: &KvmParams,
    ) -> Result<RunAs, HvError> {
        let model = params.security_model.as_str();
        if model == "none" {
            return Ok(RunAs::default());
        }
        if accounts::own_uid() != 0 {
            let accepted = "none: the daemon does not run as root";
            return Err(refused("security_model", model, accepted));
        }
        let (user, reservation) = match model {
            "pool" => {
                let (user, reservation) = self.of_pool(dir, &spec.uid_pool).await?;
                (user, Some(reservation))
            }
            _ => (self.known_user(dir, &params.security_domain).await?, None),
        };
        let ask = Command::new(&params.kvm_path).args(["--version"]).timeout(VERSION_TIME_MAX);
        let version = match self.config.runner.run(ask).await {
            Ok(output) => version_in(&output.text()),
            // The older form is understood by far more of them.
            Err(_) => None,
        };
        Ok(RunAs { options: options(&user, version), _reservation: reservation })
    }

    async fn known_user(&self, dir: &RunDir, user: &str) -> Result<String, HvError> {
        let wanted = user.to_owned();
        let found = self.on_disk(dir, move |_| Ok(accounts::account_named(&wanted))).await?;
        match found.map_err(io_error("look up the user", Path::new(user)))? {
            Some(account) => Ok(account.name),
            None => Err(refused("security_domain", user, "a user of the node")),
        }
    }

    /// One of the pool as whom nothing runs on this node, and nothing is about to.
    async fn of_pool(
        &self,
        dir: &RunDir,
        pool: &[(u32, u32)],
    ) -> Result<(String, Reservation), HvError> {
        let (pool, reserved) = (pool.to_vec(), Arc::clone(&self.reserved_uids));
        let found = self.on_disk(dir, move |dir| take_from(dir.instance(), &pool, &reserved));
        found.await?.ok_or_else(|| {
            let accepted = "a pool with an account of this node as whom nothing runs";
            refused("security_model", "pool", accepted)
        })
    }
}

fn take_from(
    instance: InstanceUuid,
    pool: &[(u32, u32)],
    reserved: &Reserved,
) -> Result<Option<(String, Reservation)>, HvError> {
    // Held all the while: two starts must not look at the same processes.
    let mut taken = lock(reserved);
    let attempt = "find a user for";
    let at_work = gantry_host::users_at_work().map_err(|source| HvError::Process {
        attempt,
        instance,
        source,
    })?;
    let busy = taken.union(&at_work).copied().collect();
    let look_up = |uid| {
        let found = accounts::account(uid);
        found.map_err(io_error("look up the user", Path::new(&uid.to_string())))
    };
    let Some(account) = first_free(pool, &busy, look_up)? else { return Ok(None) };
    taken.insert(account.uid);
    let reservation = Reservation { reserved: Arc::clone(reserved), uid: account.uid };
    Ok(Some((account.name, reservation)))
}

/// The first id of the pool that is not busy and has an account. Root's is nobody's.
fn first_free(
    pool: &[(u32, u32)],
    busy: &BTreeSet<u32>,
    mut look_up: impl FnMut(u32) -> Result<Option<Account>, HvError>,
) -> Result<Option<Account>, HvError> {
    let ids = pool.iter().flat_map(|(lower, higher)| *lower..=*higher);
    for uid in ids.filter(|uid| *uid != 0 && !busy.contains(uid)).take(LOOKUPS_MAX) {
        if let Some(account) = look_up(uid)? {
            return Ok(Some(account));
        }
    }
    Ok(None)
}

fn options(user: &str, version: Option<(u32, u32)>) -> Vec<String> {
    let is_new = version.is_some_and(|version| version >= RUN_WITH_USER_SINCE);
    match is_new {
        true => vec!["-run-with".to_owned(), format!("user={}", user.replace(',', ",,"))],
        false => vec!["-runas".to_owned(), user.to_owned()],
    }
}

/// Major and minor number out of `QEMU emulator version 7.2.15 (Debian …)`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_of(pool: &[(u32, u32)], busy: &[u32]) -> Option<u32> {
        let look_up = |uid| {
            let name = format!("guest{uid}");
            let account = Account { name, uid, gid: 100, groups: Vec::new() };
            Ok((uid % 2 == 0).then_some(account))
        };
        let busy = busy.iter().copied().collect();
        first_free(pool, &busy, look_up).expect("looked up").map(|account| account.uid)
    }

    // covers: H45
    #[test]
    fn the_first_free_account_of_the_pool_is_taken() {
        assert_eq!(free_of(&[(2001, 2010), (3000, 3000)], &[]), Some(2002));
        assert_eq!(free_of(&[(2001, 2010), (3000, 3000)], &[2002, 2006]), Some(2004));
        assert_eq!(free_of(&[(2001, 2004), (3000, 3000)], &[2002, 2004]), Some(3000));
        assert_eq!(free_of(&[(2001, 2004)], &[2002, 2004]), None);
        assert_eq!(free_of(&[(2001, 2001)], &[]), None, "it has no account");
        assert_eq!(free_of(&[(0, 0)], &[]), None, "root is nobody's");
    }

    // covers: H45
    #[test]
    fn a_user_is_free_again_when_the_start_is_through() {
        let reserved = Reserved::default();
        lock(&reserved).insert(7);
        let reservation = Reservation { reserved: Arc::clone(&reserved), uid: 7 };
        assert!(lock(&reserved).contains(&7));
        drop(reservation);
        assert!(lock(&reserved).is_empty());
    }

    // covers: H45 H46
    #[test]
    fn the_version_decides_which_option_names_the_user() {
        for (text, expected) in [
            ("QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7)", "-runas guests"),
            ("QEMU emulator version 9.0.4", "-runas guests"),
            ("QEMU emulator version 9.1.0", "-run-with user=guests"),
            ("QEMU emulator version 10.0.2 (v10.0.2)", "-run-with user=guests"),
            ("something else", "-runas guests"),
        ] {
            assert_eq!(options("guests", version_in(text)).join(" "), expected, "{text}");
        }
    }
}

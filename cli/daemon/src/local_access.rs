//! Who on this machine may do what, by the credentials of the process at the other end of the
//! daemon's socket.
//!
//! Root and the daemon's own user are admins; so are members of one group, and members of another
//! are readers. Groups are looked up at each connection: who is added to one need not wait.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_host::accounts::{self, Account};
use gantry_link::local::{LocalConfig, LocalCredentials, LocalGate, LocalListener};
use gantry_runtime::{BlockingClass, Platform, System};
use gantry_wire::{ErrorChain, Role};

use crate::error::DaemonError;
use crate::state_dir::{NodeFile, StateDir};

/// How long a lookup of groups may take. A directory server answers in milliseconds or not at all;
/// higher keeps a command waiting for one that is down, lower refuses over a slow line.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(2);

/// The socket where members of the groups may knock. Everybody may connect and is then judged: one
/// file has one group, and a process that is refused is told why by the daemon alone.
const MODE_JUDGED: u32 = 0o666;

/// The socket where there are no groups.
const MODE_OWNER: u32 = 0o600;

/// Groups whose members may talk to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalGroups {
    /// Its members may do everything.
    pub admin: String,
    /// Its members may look.
    pub reader: String,
}

impl Default for LocalGroups {
    fn default() -> Self {
        Self { admin: "gantry-admin".to_owned(), reader: "gantry-rdonly".to_owned() }
    }
}

/// The numbers of [`LocalGroups`]; a group need not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct GroupIds {
    admin: Option<u32>,
    reader: Option<u32>,
}

impl LocalGroups {
    fn look_up(&self) -> std::io::Result<GroupIds> {
        Ok(GroupIds {
            admin: accounts::group_named(&self.admin)?,
            reader: accounts::group_named(&self.reader)?,
        })
    }
}

/// Opens the socket of a running node. Without one commands go on over the network, so that a path
/// that is too long or a file system without sockets keeps no node down.
pub(crate) async fn listen(
    state_dir: &StateDir,
    file: &NodeFile,
    groups: LocalGroups,
    system: &System,
) -> Result<Option<LocalListener>, DaemonError> {
    let platform = system.platform().clone();
    let Some(runtime) = platform.network() else { return Ok(None) };
    let gate = GroupGate { own: accounts::own_uid(), groups, platform };
    let ids = gate.ids().await.map_err(|reason| DaemonError::Input(reason.clone()))?;
    let is_shared = ids != GroupIds::default();
    state_dir.open_socket_dir(is_shared)?;
    let path = state_dir.socket();
    let config = LocalConfig {
        path: path.clone(),
        mode: if is_shared { MODE_JUDGED } else { MODE_OWNER },
        cluster: gantry_link::identity::ClusterUuid(file.cluster.0),
        node: system.node(),
        boot: system.boot(),
        inbound: system.inbound(),
        gate: std::sync::Arc::new(gate),
        runtime,
    };
    match LocalListener::start(config) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => {
            let path = display(path);
            tracing::warn!(path, error = %ErrorChain(&error),
                "no local socket: commands use the network");
            Ok(None)
        }
    }
}

fn display(path: PathBuf) -> String {
    path.display().to_string()
}

/// The gate of a daemon.
struct GroupGate {
    /// The daemon's user.
    own: u32,
    groups: LocalGroups,
    platform: Platform,
}

impl GroupGate {
    async fn ids(&self) -> Result<GroupIds, String> {
        let groups = self.groups.clone();
        self.look_up("the groups of the local socket", move || groups.look_up()).await
    }

    async fn look_up<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let until = self.platform.clock().now() + LOOKUP_TIME_MAX;
        let looked =
            self.platform.blocking(BlockingClass::Quick, "look up groups", what, until, work);
        match looked.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(format!("{what} could not be looked up: {error}")),
            Err(error) => Err(format!("{what} could not be looked up: {error}")),
        }
    }

    async fn judge(&self, who: LocalCredentials) -> Result<Role, String> {
        if who.uid == 0 || who.uid == self.own {
            return Ok(Role::Admin);
        }
        let groups = self.groups.clone();
        let lookup = move || Ok((accounts::account(who.uid)?, groups.look_up()?));
        let what = format!("the groups of uid {}", who.uid);
        let (account, ids) = self.look_up(&what, lookup).await?;
        decide(who, account.as_ref(), &self.groups, ids)
    }
}

impl LocalGate for GroupGate {
    fn role_of(&self, who: LocalCredentials) -> BoxFuture<'_, Result<Role, String>> {
        Box::pin(self.judge(who))
    }
}

/// The role of somebody who is neither root nor the daemon's user.
fn decide(
    who: LocalCredentials,
    account: Option<&Account>,
    groups: &LocalGroups,
    ids: GroupIds,
) -> Result<Role, String> {
    let is_in = |group: Option<u32>| {
        let member =
            |gid| gid == who.gid || account.is_some_and(|account| account.groups.contains(&gid));
        group.is_some_and(member)
    };
    if is_in(ids.admin) {
        return Ok(Role::Admin);
    }
    if is_in(ids.reader) {
        return Ok(Role::Reader);
    }
    let name = account.map_or_else(|| format!("uid {}", who.uid), |a| format!("user {}", a.name));
    let LocalGroups { admin, reader } = groups;
    Err(format!(
        "{name} is neither root nor in group {admin} (may do everything) or {reader} (may look)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: GroupIds = GroupIds { admin: Some(70), reader: Some(71) };

    fn decided(gid: u32, groups: &[u32], ids: GroupIds) -> Result<Role, String> {
        let who = LocalCredentials { uid: 1000, gid, pid: None };
        let name = "bob".to_owned();
        let account = Account { name, uid: 1000, gid: 100, groups: groups.to_vec() };
        decide(who, Some(&account), &LocalGroups::default(), ids)
    }

    #[test]
    fn groups_give_roles_and_the_greater_one_wins() {
        assert_eq!(decided(100, &[100, 70], IDS), Ok(Role::Admin));
        assert_eq!(decided(100, &[100, 71], IDS), Ok(Role::Reader));
        assert_eq!(decided(100, &[70, 71], IDS), Ok(Role::Admin));
    }

    #[test]
    fn the_group_of_the_process_itself_counts() {
        assert_eq!(decided(71, &[100], IDS), Ok(Role::Reader));
    }

    #[test]
    fn others_are_told_which_groups_there_are() {
        let refused = decided(100, &[100], IDS).expect_err("a stranger");
        for word in ["bob", "gantry-admin", "gantry-rdonly"] {
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_group_that_does_not_exist_has_no_members() {
        decided(0, &[0], GroupIds::default()).expect_err("nobody is in no group");
    }

    #[test]
    fn a_user_without_a_name_is_named_by_its_number() {
        let who = LocalCredentials { uid: 4242, gid: 4242, pid: None };
        let refused = decide(who, None, &LocalGroups::default(), IDS).expect_err("a stranger");
        assert!(refused.starts_with("uid 4242"), "{refused}");
    }
}

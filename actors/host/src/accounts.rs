//! Users and groups of this machine, by whatever the name service switch asks (files, LDAP).
//!
//! Every call may take as long as a directory server, so async callers use a blocking pool.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The group of its processes.
    pub gid: u32,
    /// All groups that it is in.
    pub groups: Vec<u32>,
}

/// The user of this process.
#[must_use]
pub fn own_uid() -> u32 {
    geteuid().as_raw()
}

/// The user of that number, if there is one.
///
/// # Errors
/// When it cannot be looked up.
pub fn account(uid: u32) -> io::Result<Option<Account>> {
    User::from_uid(Uid::from_raw(uid))?.map(with_groups).transpose()
}

/// The user of that name, if there is one.
///
/// # Errors
/// When it cannot be looked up.
pub fn account_named(name: &str) -> io::Result<Option<Account>> {
    User::from_name(name)?.map(with_groups).transpose()
}

/// The number of the group of that name, if there is one.
///
/// # Errors
/// When it cannot be looked up.
pub fn group_named(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

fn with_groups(user: User) -> io::Result<Account> {
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let name = CString::new(user.name.as_str())?;
    let groups = getgrouplist(&name, Gid::from_raw(gid))?;
    let groups = groups.into_iter().map(Gid::as_raw).collect();
    Ok(Account { name: user.name, uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_in_its_own_group() {
        let root = account(0).expect("looked up").expect("every machine has it");
        assert_eq!((root.name.as_str(), root.gid), ("root", 0));
        assert!(root.groups.contains(&0), "{root:?}");
        assert_eq!(account_named("root").expect("looked up"), Some(root));
        assert_eq!(group_named("root").expect("looked up"), Some(0));
    }

    #[test]
    fn who_does_not_exist_is_nobody() {
        assert_eq!(account_named("gantry-no-such-user").expect("looked up"), None);
        assert_eq!(account(0xffff_fff0).expect("looked up"), None);
        assert_eq!(group_named("gantry-no-such-group").expect("looked up"), None);
    }
}

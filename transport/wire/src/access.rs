//! Who may send what: the role of a peer and the access class of a message.
//!
//! The role comes from the peer's certificate (`gantry://<cluster>/<role>/<id>`), the class from
//! the message type. [`Role::may`] is the only place that compares them.

use serde::{Deserialize, Serialize};

/// What a peer's certificate says it is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A master candidate: a node that may hold the log.
    Candidate,
    /// A node of the cluster.
    Node,
    /// An operator: may do everything a command can do.
    Admin,
    /// May look, may change nothing.
    Reader,
    /// No client certificate at all: may only present a join token.
    Joiner,
    /// A node whose certificate is of an authority that is being retired: may only renew it. No
    /// certificate says so; the link finds it out.
    Lapsed,
}

/// The access class of a message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Presenting a join token: anybody who trusts the cluster's certificate.
    Join,
    /// Asking for a new certificate: nodes, also those that may do nothing else.
    Renew,
    /// Looking: readers and above.
    Read,
    /// Changing something: admins, and nodes on behalf of a command they pass on.
    Operate,
    /// Between nodes only: node calls, reports, consensus.
    Peer,
    /// Between holders of the log only.
    Consensus,
}

impl Role {
    /// Every role, in the order of [`Role`].
    pub const ALL: [Self; 6] =
        [Self::Candidate, Self::Node, Self::Admin, Self::Reader, Self::Joiner, Self::Lapsed];

    /// Whether a peer of this role may send a message of class `access`.
    #[must_use]
    pub fn may(self, access: Access) -> bool {
        match access {
            Access::Join => self != Self::Lapsed,
            Access::Renew => matches!(self, Self::Candidate | Self::Node | Self::Lapsed),
            Access::Read => !matches!(self, Self::Joiner | Self::Lapsed),
            Access::Operate => matches!(self, Self::Candidate | Self::Node | Self::Admin),
            Access::Peer => matches!(self, Self::Candidate | Self::Node),
            Access::Consensus => self == Self::Candidate,
        }
    }

    /// The word used in certificates and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Node => "node",
            Self::Admin => "admin",
            Self::Reader => "reader",
            Self::Joiner => "joiner",
            Self::Lapsed => "lapsed",
        }
    }

    /// The role named by a certificate, if it is one that certificates may carry.
    #[must_use]
    pub fn from_certificate(word: &str) -> Option<Self> {
        let certified = |role: &Self| !matches!(role, Self::Joiner | Self::Lapsed);
        Self::ALL.into_iter().find(|role| certified(role) && role.as_str() == word)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_BUT_JOINING: [Access; 5] =
        [Access::Renew, Access::Read, Access::Operate, Access::Peer, Access::Consensus];

    #[test]
    fn readers_look_but_change_nothing() {
        assert!(Role::Reader.may(Access::Read));
        for access in [Access::Operate, Access::Peer, Access::Consensus] {
            assert!(!Role::Reader.may(access), "{access:?}");
        }
    }

    #[test]
    fn a_joiner_may_only_join() {
        assert!(Role::Joiner.may(Access::Join));
        for access in ALL_BUT_JOINING {
            assert!(!Role::Joiner.may(access), "{access:?}");
        }
    }

    #[test]
    fn a_lapsed_node_may_only_renew() {
        assert!(Role::Lapsed.may(Access::Renew));
        for access in [Access::Join, Access::Read, Access::Operate, Access::Peer, Access::Consensus]
        {
            assert!(!Role::Lapsed.may(access), "{access:?}");
        }
    }

    #[test]
    fn no_certificate_can_claim_to_be_a_joiner_or_lapsed() {
        assert_eq!(Role::from_certificate("joiner"), None);
        assert_eq!(Role::from_certificate("lapsed"), None);
        assert_eq!(Role::from_certificate("admin"), Some(Role::Admin));
    }
}

//! Names of nodes, instances and clusters.
//!
//! Ganeti takes fully qualified host names and never distinguishes case; so do we, but a single
//! label is allowed. Checked where a name enters, so that everything inside can trust it: names are
//! parts of file names, command lines and certificates.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name: the limit of DNS (RFC 1035), which scripts and hooks rely on.
pub const NAME_BYTES_MAX: usize = 253;

/// Longest label of a name (RFC 1035).
pub const LABEL_BYTES_MAX: usize = 63;

/// Longest name of a disk or an interface, in bytes. Less than a name of DNS has would refuse one
/// that is made of it; more stands in every list and in the log for nothing.
const DEVICE_NAME_BYTES_MAX: usize = 255;

/// What a name of a disk or an interface is.
pub const DEVICE_NAME: &str = "a name of at most 255 bytes, or none";

/// Whether a disk or an interface may be called so.
#[must_use]
pub fn is_device_name(text: &str) -> bool {
    let is_short = text.len() <= DEVICE_NAME_BYTES_MAX;
    is_short && !text.is_empty() && !text.chars().any(char::is_control)
}

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {name:?}: {reason}")]
pub struct NameError {
    /// Which kind of name.
    pub what: &'static str,
    /// The text, cut to 80 characters.
    pub name: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

fn check(what: &'static str, text: &str) -> Result<String, NameError> {
    let name = text.to_ascii_lowercase();
    let refuse = |reason| Err(NameError { what, name: text.chars().take(80).collect(), reason });
    if name.is_empty() {
        return refuse("empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return refuse("longer than 253 bytes");
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return refuse("each part between dots has 1 to 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse("no part may start or end with a hyphen");
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
        {
            return refuse("only letters, digits, '-', '_' and '.' are allowed");
        }
    }
    Ok(name)
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal)*) => { $(
        $(#[$doc])*
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and makes a name; upper case becomes lower case.
            ///
            /// # Errors
            /// When the text is not a host name.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check($what, text).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    )* };
}

names! {
    /// Name of a cluster.
    ClusterName = "cluster name"
    /// Name of a node.
    NodeName = "node name"
    /// Name of an instance.
    InstanceName = "instance name"
    /// Name of a node group.
    GroupName = "group name"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter() {
        assert_eq!(
            NodeName::new("Node1.Example").map(String::from).as_deref(),
            Ok("node1.example")
        );
    }

    #[test]
    fn names_that_could_leave_a_directory_or_an_argument_are_refused() {
        for bad in ["", ".", "..", "a/b", "-a", "a-", "a..b", "a b", "ä", "a\nb", "a,b", "a:b"] {
            assert!(InstanceName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_of_dns_hold() {
        assert!(NodeName::new(&"a".repeat(63)).is_ok());
        assert!(NodeName::new(&"a".repeat(64)).is_err());
        assert!(NodeName::new(&"ab.".repeat(90)).is_err());
    }
}

//! Network interfaces of guests, and the parameters that a cluster gives those without their own
//! (P11, P17).
//!
//! Deliberately absent: networks with pools of addresses. They come later, and with them another
//! way to say where an interface belongs.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::NicUuid;
use crate::params::is_interface;

/// Highest VLAN (IEEE 802.1Q; 0 and 4095 are reserved).
pub const VLAN_MAX: u16 = 4_094;

/// How a node connects an interface.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NicMode {
    /// On a bridge, the link.
    #[default]
    Bridged,
    /// By a route to its address, in the table that is the link.
    Routed,
    /// On a virtual switch, the link.
    Openvswitch,
}

impl NicMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bridged, Self::Routed, Self::Openvswitch];

    /// Ganeti's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridged => "bridged",
            Self::Routed => "routed",
            Self::Openvswitch => "openvswitch",
        }
    }

    /// From Ganeti's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

impl std::fmt::Display for NicMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an interface cannot be as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NicError {
    /// A mode of bridges and switches without one.
    #[error("mode {0} needs a link")]
    NoLink(NicMode),
    /// Nothing to route to.
    #[error("Routed nic mode requires an ip address")]
    NoAddress,
    /// Not a name of anything on a node.
    #[error("link {0:?} is not the name of an interface or table of at most 15 characters")]
    BadLink(String),
    /// Not a VLAN.
    #[error("Specified VLAN parameter is invalid : {0:?} is not N, .N, :A:B or .N:A of 1 to 4094")]
    BadVlan(String),
    /// Not an address of an interface.
    #[error("mac {0:?} is not an address of one interface, such as aa:00:00:12:34:56")]
    BadMac(String),
}

/// Parameters of interfaces that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NicParams {
    /// How nodes connect them.
    pub mode: NicMode,
    /// To what.
    pub link: String,
    /// In which VLAN; may be empty.
    pub vlan: String,
}

impl Default for NicParams {
    fn default() -> Self {
        Self { mode: NicMode::Bridged, link: "xen-br0".into(), vlan: String::new() }
    }
}

impl NicParams {
    /// Whether they are Ganeti's own defaults; then they are left out of encodings.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an interface with this address could have them.
    ///
    /// # Errors
    /// Says which of them does not fit.
    pub fn check(&self, ip: Option<IpAddr>, of_interface: bool) -> Result<(), NicError> {
        match self.mode {
            NicMode::Bridged | NicMode::Openvswitch if self.link.is_empty() => {
                return Err(NicError::NoLink(self.mode));
            }
            NicMode::Routed if of_interface && ip.is_none() => return Err(NicError::NoAddress),
            NicMode::Bridged | NicMode::Routed | NicMode::Openvswitch => {}
        }
        if !self.link.is_empty() && !is_interface(&self.link) {
            return Err(NicError::BadLink(self.link.clone()));
        }
        if !is_vlan(&self.vlan) {
            return Err(NicError::BadVlan(self.vlan.clone()));
        }
        Ok(())
    }
}

/// Whether a text is empty, or one of the forms of a VLAN.
fn is_vlan(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let is_id = |id: &str| {
        id.bytes().all(|b| b.is_ascii_digit())
            && id.parse::<u16>().is_ok_and(|id| (1..=VLAN_MAX).contains(&id))
    };
    let (tag, trunks) = match text.split_once(':') {
        Some((tag, trunks)) => (tag, Some(trunks)),
        None => (text, None),
    };
    let tag_fits = match (tag.strip_prefix('.'), trunks) {
        (Some(tag), _) => is_id(tag),
        (None, Some(_)) => tag.is_empty(),
        (None, None) => is_id(tag),
    };
    tag_fits && trunks.is_none_or(|trunks| trunks.split(':').all(is_id))
}

/// In what one interface differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NicOverrides {
    /// How its node connects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<NicMode>,
    /// To what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// In which VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<String>,
}

impl NicOverrides {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The cluster's with these.
    #[must_use]
    pub fn over(&self, defaults: &NicParams) -> NicParams {
        NicParams {
            mode: self.mode.unwrap_or(defaults.mode),
            link: self.link.clone().unwrap_or_else(|| defaults.link.clone()),
            vlan: self.vlan.clone().unwrap_or_else(|| defaults.vlan.clone()),
        }
    }
}

/// A network interface of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Nic {
    /// Its id.
    pub uuid: NicUuid,
    /// Six bytes in hexadecimal with colons.
    pub mac: String,
    /// Its address, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// A name given by the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it differs. In a [`GuestSpec`](super::GuestSpec) all of it is set; one without a mode is
    /// of a program that knew no networks, and is connected to nothing.
    #[serde(default, skip_serializing_if = "NicOverrides::is_empty")]
    pub nicparams: NicOverrides,
}

impl Nic {
    /// The same with nothing left open, as a node is told of it.
    #[must_use]
    pub fn filled(&self, defaults: &NicParams) -> Self {
        let NicParams { mode, link, vlan } = self.nicparams.over(defaults);
        let nicparams = NicOverrides { mode: Some(mode), link: Some(link), vlan: Some(vlan) };
        Self { nicparams, ..self.clone() }
    }
}

/// A MAC address as it is kept: lower case, of one interface.
///
/// # Errors
/// When the text is none, or one of a group.
pub fn parse_mac(text: &str) -> Result<String, NicError> {
    let refuse = || NicError::BadMac(text.to_owned());
    let bytes: Vec<&str> = text.split(':').collect();
    let is_byte = |byte: &&str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    if bytes.len() != 6 || !bytes.iter().all(is_byte) {
        return Err(refuse());
    }
    match u8::from_str_radix(bytes[0], 16) {
        // The lowest bit of the first byte says that it is the address of a group.
        Ok(first) if first & 1 == 0 => Ok(text.to_ascii_lowercase()),
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C221
    #[test]
    fn vlans_have_four_forms() {
        for good in ["", "10", ".10", ":10", ":10:20", ".10:20", ".10:20:30", "4094"] {
            assert!(is_vlan(good), "{good}");
        }
        for bad in ["0", "4095", "x", ".", ":", "10:20", ".10:", "-1", "+1", "10,20"] {
            assert!(!is_vlan(bad), "{bad}");
        }
    }

    // covers: P17
    #[test]
    fn each_mode_needs_what_it_connects_with() {
        let with = |mode, link: &str| NicParams { mode, link: link.into(), vlan: String::new() };
        let ip = "192.0.2.7".parse().ok();
        assert_eq!(with(NicMode::Bridged, "br0").check(None, true), Ok(()));
        let error = with(NicMode::Bridged, "").check(None, true);
        assert_eq!(error, Err(NicError::NoLink(NicMode::Bridged)));
        assert_eq!(with(NicMode::Routed, "").check(None, true), Err(NicError::NoAddress));
        assert_eq!(with(NicMode::Routed, "").check(None, false), Ok(()), "a cluster's default");
        assert_eq!(with(NicMode::Routed, "").check(ip, true), Ok(()));
        let error = with(NicMode::Bridged, "a/b").check(None, true);
        assert_eq!(error, Err(NicError::BadLink("a/b".into())));
    }

    // covers: C221
    #[test]
    fn macs_are_those_of_single_interfaces() {
        assert_eq!(parse_mac("AA:00:00:12:34:5F").as_deref(), Ok("aa:00:00:12:34:5f"));
        for bad in ["", "aa:00:00:12:34", "ab:00:00:12:34:56", "aa-00-00-12-34-56", "aa:0:0:1:2:3"]
        {
            assert!(parse_mac(bad).is_err(), "{bad}");
        }
    }

    // covers: P11
    #[test]
    fn what_is_not_said_is_the_clusters() {
        let own = NicOverrides { link: Some("br7".into()), ..NicOverrides::default() };
        let filled = own.over(&NicParams::default());
        assert_eq!((filled.mode, filled.link.as_str()), (NicMode::Bridged, "br7"));
        assert!(NicParams::default().is_default() && !filled.is_default());
    }

    #[test]
    fn an_interface_without_anything_new_is_encoded_as_before() {
        let nic = Nic {
            uuid: NicUuid(uuid::Uuid::nil()),
            mac: "aa:00:00:00:00:01".into(),
            ip: None,
            name: None,
            nicparams: NicOverrides::default(),
        };
        let text = serde_json::to_string(&nic).expect("encodes");
        let uuid = "00000000-0000-0000-0000-000000000000";
        assert_eq!(text, format!(r#"{{"uuid":"{uuid}","mac":"aa:00:00:00:00:01"}}"#));
    }
}

//! Interfaces of a new instance (C202, C221): `--net N:mac=…,ip=…,mode=…,link=…,vlan=…,name=…`.

use gantry_model::names::{DEVICE_NAME, is_device_name};
use gantry_model::objects::{NicMode, NicOverrides, NicParams, VLAN_MAX, parse_mac};
use gantry_model::opcodes::NicRequest;

use super::ParseError;
use super::keyval::{KeyValue, KeyValues, parse_named_key_values};

/// Most interfaces of an instance: Ganeti's limit (constant MAX_NICS), on which names such as
/// `nic.mac/7` rely.
pub const NICS_MAX: u32 = 8;

const MODES: &str = "one of bridged, routed, openvswitch, default";

/// One `--net` option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicOption {
    /// Its place.
    pub index: u32,
    /// The rest.
    pub request: NicRequest,
}

/// What is wrong with the interfaces taken together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NicsError {
    /// Both ways to say it.
    #[error("--net and --no-nics exclude each other")]
    BothForms,
    /// A place given twice.
    #[error("interface {0} is given twice")]
    Twice(u32),
}

/// Reads one `--net` option.
///
/// # Errors
/// When the index, a key or a value is none that interfaces have.
pub fn parse_nic(text: &str) -> Result<NicOption, ParseError> {
    read_nic(text).map_err(ParseError::in_command)
}

fn read_nic(text: &str) -> Result<NicOption, ParseError> {
    let (index, pairs) = parse_named_key_values(text)?;
    let index: u32 = match index.parse() {
        Ok(index) if index < NICS_MAX => index,
        _ => return Err(ParseError::new("interface index", &index, "a number from 0 to 7")),
    };
    let what = format!("interface {index}");
    let mut request = NicRequest::default();
    for (key, value) in pairs {
        let KeyValue::Text(value) = value else {
            return Err(ParseError::new(what, &key, "of the form key=value"));
        };
        match key.as_str() {
            "mac" => request.mac = mac(&value)?,
            "ip" => request.ip = ip(&value)?,
            "name" => request.name = name(&value)?,
            "mode" | "link" | "vlan" => set(&mut request.nicparams, &key, &value)?,
            "network" => {
                let expected = "available yet: networks come later; give link, mode and ip";
                return Err(ParseError::new(format!("{what}: network"), &value, expected));
            }
            _ => {
                let expected = "mac, ip, mode, link, vlan, name";
                return Err(ParseError::unknown_key(what, &key, expected));
            }
        }
    }
    Ok(NicOption { index, request })
}

/// Reads the cluster's defaults (`-N mode=…,link=…,vlan=…`).
///
/// # Errors
/// When a key or a value is none that interfaces have.
pub fn nic_defaults(pairs: &KeyValues) -> Result<NicParams, ParseError> {
    let mut own = NicOverrides::default();
    for (key, value) in pairs {
        let KeyValue::Text(value) = value else {
            return Err(ParseError::new("interface parameter", key, "of the form key=value"));
        };
        match key.as_str() {
            "mode" | "link" | "vlan" => set(&mut own, key, value)?,
            _ => {
                let what = "interfaces".to_owned();
                return Err(ParseError::unknown_key(what, key, "mode, link, vlan"));
            }
        }
    }
    Ok(own.over(&NicParams::default()))
}

fn set(own: &mut NicOverrides, key: &str, value: &str) -> Result<(), ParseError> {
    let given = (value != "default").then_some(value);
    match (key, given) {
        ("mode", None) => own.mode = None,
        ("mode", Some(word)) => {
            let mode = NicMode::from_word(word);
            let refuse = || ParseError::new("interface mode", word, MODES);
            own.mode = Some(mode.ok_or_else(refuse)?);
        }
        ("link", given) => own.link = given.map(str::to_owned),
        // A number alone is what an untagged interface is in, which Ganeti writes with a point.
        (_, Some(id)) if id.parse::<u16>().is_ok_and(|id| id <= VLAN_MAX) => {
            own.vlan = Some(format!(".{id}"));
        }
        (_, given) => own.vlan = given.map(str::to_owned),
    }
    Ok(())
}

fn mac(text: &str) -> Result<Option<String>, ParseError> {
    match text {
        "auto" | "generate" => Ok(None),
        text => parse_mac(text).map(Some).map_err(|_| {
            let expected = "auto, generate, or an address such as aa:00:00:12:34:56";
            ParseError::new("interface mac", text, expected)
        }),
    }
}

fn ip(text: &str) -> Result<Option<std::net::IpAddr>, ParseError> {
    match text {
        "none" => Ok(None),
        "pool" => {
            Err(ParseError::new("interface ip", text, "available yet: pools come with networks"))
        }
        "auto" => {
            let expected = "available: names are not looked up; give the address, or none";
            Err(ParseError::new("interface ip", text, expected))
        }
        text => {
            let refuse = |_| ParseError::new("interface ip", text, "an IP address, or none");
            text.parse().map(Some).map_err(refuse)
        }
    }
}

fn name(text: &str) -> Result<Option<String>, ParseError> {
    match text {
        "none" => Ok(None),
        name if is_device_name(name) => Ok(Some(name.into())),
        _ => Err(ParseError::new("interface name", text, DEVICE_NAME)),
    }
}

/// Puts the options together: one interface as the cluster's defaults say if nothing is given, and
/// such ones in gaps.
///
/// # Errors
/// When they contradict each other.
pub fn collect_nics(no_nics: bool, nics: &[NicOption]) -> Result<Vec<NicRequest>, NicsError> {
    if no_nics {
        return if nics.is_empty() { Ok(Vec::new()) } else { Err(NicsError::BothForms) };
    }
    let n_nics = nics.iter().map(|nic| nic.index + 1).max().unwrap_or(1);
    let mut requests = vec![None; n_nics as usize];
    for nic in nics {
        let place = &mut requests[nic.index as usize];
        if place.replace(nic.request.clone()).is_some() {
            return Err(NicsError::Twice(nic.index));
        }
    }
    Ok(requests.into_iter().map(Option::unwrap_or_default).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::keyval::parse_key_values;

    // covers: C202 C221
    #[test]
    fn an_interface_has_addresses_a_connection_and_a_name() {
        let text = "1:mac=AA:00:00:12:34:56,ip=192.0.2.7,mode=routed,link=100,name=dmz";
        let NicOption { index, request } = parse_nic(text).expect("parses");
        assert_eq!((index, request.mac.as_deref()), (1, Some("aa:00:00:12:34:56")));
        assert_eq!(request.ip, "192.0.2.7".parse().ok());
        assert_eq!(request.nicparams.mode, Some(NicMode::Routed));
        assert_eq!(
            (request.nicparams.link.as_deref(), request.name.as_deref()),
            (Some("100"), Some("dmz"))
        );
    }

    // covers: C221
    #[test]
    fn words_leave_it_to_the_cluster() {
        for text in
            ["0", "0:mac=auto", "0:mac=generate,ip=none,mode=default,link=default,name=none"]
        {
            assert_eq!(parse_nic(text).expect("parses").request, NicRequest::default(), "{text}");
        }
    }

    #[test]
    fn what_interfaces_do_not_have_is_refused() {
        for bad in [
            "8",
            "-1",
            "x:mac=auto",
            "0:mac=aa",
            "0:ip=300.0.0.1",
            "0:ip=pool",
            "0:ip=auto",
            "0:mode=ext",
            "0:network=net1",
            "0:bridge=br0",
            "0:link",
            "0:name=",
        ] {
            assert!(parse_nic(bad).is_err(), "{bad}");
        }
    }

    // covers: S52 C221
    #[test]
    fn there_is_one_unless_something_else_is_said_and_gaps_are_filled() {
        assert_eq!(collect_nics(false, &[]), Ok(vec![NicRequest::default()]));
        assert_eq!(collect_nics(true, &[]), Ok(Vec::new()));
        let second = parse_nic("1:link=br1").expect("parses");
        let two = collect_nics(false, std::slice::from_ref(&second)).expect("two");
        assert_eq!(two, [NicRequest::default(), second.request.clone()]);
        assert_eq!(collect_nics(true, std::slice::from_ref(&second)), Err(NicsError::BothForms));
        let twice = [second.clone(), second];
        assert_eq!(collect_nics(false, &twice), Err(NicsError::Twice(1)));
    }

    // covers: P11
    #[test]
    fn a_cluster_has_defaults() {
        let pairs = parse_key_values("link=br0,vlan=.10").expect("parses");
        let defaults = nic_defaults(&pairs).expect("known");
        assert_eq!((defaults.link.as_str(), defaults.vlan.as_str()), ("br0", ".10"));
        let number = nic_defaults(&parse_key_values("vlan=10").expect("parses")).expect("known");
        assert_eq!(number.vlan, ".10");
        let bad = parse_key_values("mac=x").expect("parses");
        assert!(nic_defaults(&bad).is_err());
    }
}

//! Options with parameters that are only stored: of nodes, of disk templates, and what hypervisors
//! and storages have of a node.
//!
//! `cluster init` and `node add` read theirs here, so that the same words mean the same to both.
//! Deliberately absent: parameters of hypervisors and of instances, which have types of their own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gantry_model::objects::{
    CLUSTER_NODE_PARAMETERS, DISK_PARAMETERS, DISK_STATE_KEYS, HV_STATE_KEYS, NODE_PARAMETERS,
    PlainParam, disk_parameters_of,
};

use gantry_model::opcodes::PARAMETER_DEFAULT;

use crate::cluster::init::KeyValuesArgument;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::parse::keyval::{KeyValue, KeyValues};
use crate::parse::params::hypervisor;

/// Values by name.
pub(crate) type Plain = BTreeMap<String, String>;
/// Numbers by name, by what has them.
pub(crate) use gantry_model::objects::States;

/// Reads an address for replication.
///
/// # Errors
/// When it is none of IPv4.
pub(crate) fn replication_address(text: &str) -> Result<IpAddr, CommandError> {
    text.parse().map(IpAddr::V4).map_err(|_| {
        let text = format!("Secondary IP address ({text}) has to be a valid IPv4 address.");
        CommandError::argument(text)
    })
}

/// The text of a value; a bare name is on, `no_name` is off.
///
/// # Errors
/// When it is to be taken away from something that is new.
pub(crate) fn text_of(name: &str, value: &KeyValue) -> Result<String, CommandError> {
    match value {
        KeyValue::Text(text) => Ok(text.clone()),
        KeyValue::True => Ok("True".into()),
        KeyValue::False => Ok("False".into()),
        KeyValue::Removed => {
            let text = format!("parameter {name} cannot be removed from what is new");
            Err(CommandError::argument(text))
        }
    }
}

/// Parameters that all nodes of a cluster have, where they are not Ganeti's defaults.
///
/// # Errors
/// When one does not exist, or does not accept its value.
pub(crate) fn cluster_node_parameters(
    given: Option<&KeyValuesArgument>,
) -> Result<Plain, CommandError> {
    let Some(KeyValuesArgument(pairs)) = given else { return Ok(Plain::new()) };
    Ok(without_defaults(NODE_PARAMETERS, read_all("node parameter", NODE_PARAMETERS, pairs)?))
}

/// Parameters of one node: all that are given, because what is Ganeti's default may not be the
/// cluster's; `default` is what the cluster has, whatever that will be.
///
/// # Errors
/// When one does not exist, does not accept its value, or is for all nodes alike.
pub(crate) fn own_node_parameters(
    given: Option<&KeyValuesArgument>,
) -> Result<Plain, CommandError> {
    let Some(KeyValuesArgument(pairs)) = given else { return Ok(Plain::new()) };
    let read = read_all("node parameter", NODE_PARAMETERS, pairs)?;
    of_one_node(read)
}

/// Changes of parameters of one node: as [`own_node_parameters`], with the word for the cluster's
/// value where that is wanted again.
///
/// # Errors
/// As there.
pub(crate) fn changed_node_parameters(given: &KeyValuesArgument) -> Result<Plain, CommandError> {
    let mut read = Plain::new();
    for (name, value) in &given.0 {
        let value = match value {
            KeyValue::Removed => KeyValue::Text(PARAMETER_DEFAULT.to_owned()),
            other => other.clone(),
        };
        let one = read_all("node parameter", NODE_PARAMETERS, &vec![(name.clone(), value)])?;
        let value = one.get(name).map_or(PARAMETER_DEFAULT, String::as_str);
        read.insert(name.clone(), value.to_owned());
    }
    of_one_node(read)
}

fn of_one_node(read: Plain) -> Result<Plain, CommandError> {
    let global: Vec<&str> =
        CLUSTER_NODE_PARAMETERS.into_iter().filter(|name| read.contains_key(*name)).collect();
    if global.is_empty() {
        return Ok(read);
    }
    let text = format!(
        "The following node parameters are global and cannot be customized at node level, please \
         modify them at cluster or group level: {}",
        global.join(", ")
    );
    Err(CommandError::argument(text))
}

/// Parameters of templates that are not Ganeti's defaults.
///
/// # Errors
/// When a template or a parameter does not exist, or does not accept its value.
pub(crate) fn disk_parameters(
    given: &[(String, KeyValues)],
    vg_name: Option<&str>,
) -> Result<BTreeMap<String, Plain>, CommandError> {
    let mut all: BTreeMap<String, Plain> = BTreeMap::new();
    for (template, pairs) in given {
        let Some(known) = disk_parameters_of(template) else {
            let names: Vec<&str> = DISK_PARAMETERS.iter().map(|(name, _)| *name).collect();
            let text =
                format!("Disk templates unknown: {template}; known are: {}", names.join(", "));
            return Err(CommandError::argument(text));
        };
        let read = read_all(&format!("parameter of disk template {template}"), known, pairs)?;
        all.entry(template.clone()).or_default().extend(read);
    }
    // DRBD's metadata is in the volume group of the data unless something else is said.
    if let Some(group) = vg_name.filter(|name| !name.is_empty()) {
        let drbd = all.entry("drbd".to_owned()).or_default();
        drbd.entry("metavg".to_owned()).or_insert_with(|| group.to_owned());
    }
    // Not before: what is said last counts, also where it is the default.
    let set = all.into_iter().map(|(template, read)| {
        let known = disk_parameters_of(&template).unwrap_or_default();
        (template, without_defaults(known, read))
    });
    Ok(set.filter(|(_, read)| !read.is_empty()).collect())
}

/// What hypervisors have of a node (P16).
///
/// # Errors
/// When there is no such hypervisor or number, or it is none.
pub(crate) fn hypervisor_states(given: &[(String, KeyValues)]) -> Result<States, CommandError> {
    states(given, &HV_STATE_KEYS, |name| Ok(hypervisor(name).map(drop)?))
}

/// What storages have of a node (P16).
///
/// # Errors
/// When there is no such type of storage or number, or it is none.
pub(crate) fn disk_states(given: &[(String, KeyValues)]) -> Result<States, CommandError> {
    states(given, &DISK_STATE_KEYS, storage)
}

fn without_defaults(known: &[PlainParam], mut set: Plain) -> Plain {
    set.retain(|name, value| !known.iter().any(|p| p.name == name && p.default == value.as_str()));
    set
}

/// A parameter or its value, in Ganeti's class of words.
fn parameter_error(text: &str) -> CommandError {
    let text = format!("Parameter Error: {text}");
    CommandError::new(CommandErrorKind::Failed, Failure::Sentence(text))
}

fn read_all(what: &str, known: &[PlainParam], pairs: &KeyValues) -> Result<Plain, CommandError> {
    let mut read = Plain::new();
    for (name, value) in pairs {
        let Some(param) = known.iter().find(|param| param.name == name) else {
            let names: Vec<&str> = known.iter().map(|param| param.name).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(parameter_error(&format!("unknown {what} '{name}', known are: {names}")));
        };
        let text = text_of(name, value)?;
        if text == PARAMETER_DEFAULT {
            read.remove(name);
            continue;
        }
        let stored = param.read(&text).ok_or_else(|| {
            parameter_error(&format!("{what} {name}: {text:?} is not {}", param.expected()))
        })?;
        read.insert(name.clone(), stored);
    }
    Ok(read)
}

/// Numbers by name of a hypervisor or storage.
fn states(
    given: &[(String, KeyValues)],
    known: &[&str],
    check: impl Fn(&str) -> Result<(), CommandError>,
) -> Result<States, CommandError> {
    let mut all = States::new();
    for (of, pairs) in given {
        check(of)?;
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                let text = format!("unknown state '{name}' of {of}, known are: {known}");
                return Err(parameter_error(&text));
            }
            let text = text_of(name, value)?;
            let number = text.parse().map_err(|_| {
                let expected = "a whole number from 0 on";
                parameter_error(&format!("state {name} of {of}: {text:?} is not {expected}"))
            })?;
            all.entry(of.clone()).or_default().insert(name.clone(), number);
        }
    }
    Ok(all)
}

/// The only type of storage whose state Ganeti takes.
fn storage(name: &str) -> Result<(), CommandError> {
    match name.split_once('/') {
        Some(("plain", name)) if !name.is_empty() => Ok(()),
        Some((kind, _)) => {
            let text = format!("Invalid storage type in disk state: {kind}");
            Err(CommandError::argument(text))
        }
        None => Err(CommandError::argument(format!("disk state {name:?} is not TYPE/NAME:..."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::keyval::{parse_key_values, parse_named_key_values};

    fn given(text: &str) -> KeyValuesArgument {
        KeyValuesArgument(parse_key_values(text).expect("parses"))
    }

    // covers: P12
    #[test]
    fn a_node_keeps_what_is_the_default_of_all_clusters_but_not_of_its_own() {
        let own = own_node_parameters(Some(&given("ssh_port=22,ovs=default"))).expect("known");
        assert_eq!(own, Plain::from([("ssh_port".to_owned(), "22".to_owned())]));
        assert!(cluster_node_parameters(Some(&given("ssh_port=22"))).expect("known").is_empty());
    }

    // covers: P15
    #[test]
    fn what_is_said_last_of_a_template_counts_also_where_it_is_the_default() {
        let all = ["drbd:c-min-rate=1,protocol=A", "drbd:c-min-rate=4096", "drbd:metavg=xenvg"];
        let all = all.map(|text| parse_named_key_values(text).expect("parses"));
        let set = disk_parameters(&all, Some("data")).expect("known");
        let protocol = Plain::from([("protocol".to_owned(), "A".to_owned())]);
        assert_eq!(set, BTreeMap::from([("drbd".to_owned(), protocol)]));
        let set = disk_parameters(&[], Some("data")).expect("known");
        assert_eq!(set["drbd"]["metavg"], "data");
    }
}

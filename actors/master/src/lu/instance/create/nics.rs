//! Interfaces and the display port of a new instance: addresses that nobody else has.

use std::collections::BTreeSet;
use std::net::IpAddr;

use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::ids::NicUuid;
use gantry_model::levels::LEVEL_NETWORK;
use gantry_model::names::{DEVICE_NAME, is_device_name};
use gantry_model::objects::{Cluster, Instance, Nic, parse_mac};
use gantry_model::opcodes::{InstanceCreate, NicRequest};
use gantry_model::params::{HvParams, HypervisorKind};

use crate::lu::guest;

/// Most interfaces of one instance (row H146).
const NICS_MAX: usize = 8;

/// How often a made-up MAC address is looked for. With 20,000 of 16 million taken, one in 800 is
/// taken; lower could fail by chance, higher only delays saying that a prefix is full.
const MAC_ATTEMPTS: u32 = 64;

/// Ports for displays (row D53). Scripts and firewalls know this range.
const PORT_FIRST: u16 = 11_000;
/// The last of them.
const PORT_LAST: u16 = 14_999;

fn wrong(nic_idx: usize, problem: impl std::fmt::Display) -> Fault {
    Fault::new(FaultCode::WrongInput, format!("interface {nic_idx}: {problem}"))
}

/// What can be said of the request without any state.
pub(super) fn check_arguments(nics: &[NicRequest]) -> Result<(), Fault> {
    if nics.len() > NICS_MAX {
        let text = format!("{} interfaces, at most {NICS_MAX}", nics.len());
        return Err(Fault::new(FaultCode::WrongInput, text));
    }
    for (nic_idx, nic) in nics.iter().enumerate() {
        if let Some(mac) = &nic.mac {
            parse_mac(mac).map_err(|error| wrong(nic_idx, error))?;
        }
        if nic.name.as_ref().is_some_and(|name| !is_device_name(name)) {
            return Err(wrong(nic_idx, format!("its name is not {DEVICE_NAME}")));
        }
    }
    Ok(())
}

/// The interfaces to be.
pub(super) fn new_nics(
    op: &InstanceCreate,
    cluster: &Cluster,
    state: &ClusterState,
    facts: &Facts,
) -> Result<Vec<Nic>, Fault> {
    let mut macs = BTreeSet::new();
    let mut nics = Vec::new();
    for (nic_idx, request) in op.nics.iter().enumerate() {
        let filled = request.nicparams.over(&cluster.nicparams);
        filled.check(request.ip, true).map_err(|error| wrong(nic_idx, error))?;
        if let Some(ip) = request.ip.filter(|_| !op.no_conflicts_check) {
            check_address(state, cluster, nic_idx, ip, &filled.link)?;
        }
        let free = |mac: &String| !macs.contains(mac) && !state.macs.contains_key(mac);
        let mac = match &request.mac {
            Some(mac) => {
                let mac = parse_mac(mac).map_err(|error| wrong(nic_idx, error))?;
                if !free(&mac) {
                    let text = format!("MAC address {mac} already in use in cluster");
                    return Err(Fault::new(FaultCode::ResourceNotUnique, text));
                }
                mac
            }
            None => made_up(cluster, facts, nic_idx, free)?,
        };
        macs.insert(mac.clone());
        nics.push(Nic {
            uuid: NicUuid(guest::derived(facts, &format!("nic {nic_idx}"), 0)),
            mac,
            ip: request.ip,
            name: request.name.clone(),
            nicparams: request.nicparams.clone(),
        });
    }
    Ok(nics)
}

/// The cluster's prefix, and three bytes that follow from the facts.
fn made_up(
    cluster: &Cluster,
    facts: &Facts,
    nic_idx: usize,
    free: impl Fn(&String) -> bool,
) -> Result<String, Fault> {
    let prefix = &cluster.mac_prefix;
    let mut tried = (0..MAC_ATTEMPTS).map(|attempt| {
        let bytes = guest::derived(facts, &format!("mac {nic_idx}"), attempt).into_bytes();
        format!("{prefix}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2])
    });
    tried.find(free).ok_or_else(|| {
        let text =
            format!("no free MAC address found with prefix {prefix}: give one, or try again");
        Fault::new(FaultCode::InsufficientResources, text).retry_later()
    })
}

/// Two interfaces on one link with the same address would not both be reached.
fn check_address(
    state: &ClusterState,
    cluster: &Cluster,
    nic_idx: usize,
    ip: IpAddr,
    link: &str,
) -> Result<(), Fault> {
    let has = |instance: &&std::sync::Arc<Instance>| {
        let same =
            |nic: &Nic| nic.ip == Some(ip) && nic.nicparams.over(&cluster.nicparams).link == link;
        instance.nics.iter().any(same)
    };
    match state.instances.values().find(has) {
        Some(other) => {
            let text = format!(
                "interface {nic_idx}: instance {} has address {ip} on link {link:?} already; give \
                 another, or say --no-conflicts-check",
                other.name
            );
            Err(Fault::new(FaultCode::ResourceNotUnique, text))
        }
        None => Ok(()),
    }
}

/// The port for its display. As in Ganeti, every guest of kvm gets one for life, also while it has
/// no display; where all are taken, only one that needs it is refused. Where the search begins
/// follows from the facts, so that jobs that decide at the same time rarely choose the same.
pub(super) fn network_port(
    state: &ClusterState,
    hvparams: &HvParams,
    facts: &Facts,
) -> Result<Option<u16>, Fault> {
    if hvparams.kind() != HypervisorKind::Kvm || state.level < LEVEL_NETWORK {
        return Ok(None);
    }
    let n_ports = PORT_LAST - PORT_FIRST + 1;
    let bytes = guest::derived(facts, "network port", 0).into_bytes();
    let begin = u16::from_be_bytes([bytes[0], bytes[1]]) % n_ports;
    let all = (0..n_ports).map(|step| PORT_FIRST + (begin + step) % n_ports);
    let port = all.into_iter().find(|port| !state.network_ports.contains_key(port));
    match hvparams {
        HvParams::Kvm(params) if port.is_none() && !params.vnc_bind_address.is_empty() => {
            let text = format!(
                "no network port is free for a display: all from {PORT_FIRST} to {PORT_LAST} are \
                 taken by instances"
            );
            Err(Fault::new(FaultCode::InsufficientResources, text))
        }
        _ => Ok(port),
    }
}

#[cfg(test)]
#[path = "nics_tests.rs"]
mod tests;

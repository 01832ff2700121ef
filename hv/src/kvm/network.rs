//! The network interfaces of a guest on QEMU's command line.

use gantry_host::Command;
use gantry_model::objects::{Nic, NicMode};
use gantry_model::params::KvmParams;
use serde::{Deserialize, Serialize};

use super::command_line::{LaunchPlan, device_id, invalid};
use super::devices::{DISKS_MAX, FIRST_SLOT, boot_index};
use crate::error::HvError;

/// Most interfaces of a guest (row H146).
pub(super) const NICS_MAX: usize = 8;

/// Interfaces that have a slot of their own beside 16 disks; the others take slots from the end of
/// those of the disks.
const NICS_BESIDE_DISKS: usize = 4;

/// How an interface of a guest is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cable {
    /// To nothing: the interface is of a program that knew no networks.
    Nowhere,
    /// Through QEMU itself: the guest reaches what the node's user reaches, nobody reaches the
    /// guest.
    User,
    /// To a tap on the node.
    Tap {
        /// Served by the kernel.
        vhost: bool,
    },
}

/// Name of the tap of an interface: of the longest that Linux takes, and the same for ever.
pub(super) fn tap_name(nic: &Nic) -> String {
    let digits = nic.uuid.0.simple().to_string();
    format!("tap{}", &digits[..12])
}

/// QEMU's device for a kind of card (H31).
fn device(nic_type: &str) -> &str {
    match nic_type {
        "paravirtual" => "virtio-net-pci",
        other => other,
    }
}

/// Queues that an interface has: only virtio has several (H49).
pub(super) fn n_queues(params: &KvmParams) -> u32 {
    if params.nic_type == "paravirtual" { params.virtio_net_queues } else { 1 }
}

/// Whether the interfaces can be there.
pub(super) fn check(nics: &[Nic], n_disks: usize, params: &KvmParams) -> Result<(), HvError> {
    if nics.len() > NICS_MAX {
        let accepted = format!("at most {NICS_MAX}");
        return Err(invalid("number of interfaces", nics.len(), &accepted));
    }
    let more = nics.len().saturating_sub(NICS_BESIDE_DISKS);
    if params.disk_type == "paravirtual" && n_disks + more > DISKS_MAX {
        let accepted = format!("at most {} beside {n_disks} disks", NICS_MAX.min(nics.len() - 1));
        return Err(invalid("number of interfaces", nics.len(), &accepted));
    }
    for nic in nics {
        if !is_mac(&nic.mac) {
            let accepted = "six bytes in hexadecimal with colons";
            return Err(invalid("mac", &nic.mac, accepted));
        }
    }
    Ok(())
}

fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    let is_byte = |byte: &&str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    bytes.len() == 6 && bytes.iter().all(is_byte)
}

fn slot(nic_idx: usize) -> usize {
    let last_of_disks = FIRST_SLOT + DISKS_MAX - 1;
    match nic_idx.checked_sub(NICS_BESIDE_DISKS) {
        None => last_of_disks + 1 + nic_idx,
        Some(beyond) => last_of_disks - beyond,
    }
}

/// Adds all interfaces.
pub(super) fn with_nics(mut command: Command, plan: &LaunchPlan<'_>) -> Command {
    let params = plan.params;
    let queues = n_queues(params);
    for (nic_idx, (nic, cable)) in plan.spec.nics.iter().zip(plan.cables).enumerate() {
        let id = device_id("nic", &nic.uuid.to_string());
        let netdev = match cable {
            // A hub with nothing else on it: a cable that leads nowhere.
            Cable::Nowhere => format!("hubport,id=net-{id},hubid={nic_idx}"),
            Cable::User => format!("user,id=net-{id}"),
            Cable::Tap { vhost } => tap(nic, &id, queues, *vhost, params),
        };
        let mut card = device(&params.nic_type).to_owned();
        // The cards of the ISA bus have no slot.
        if params.nic_type != "ne2k_isa" {
            card.push_str(&format!(",addr={:#x}", slot(nic_idx)));
        }
        if queues > 1 && matches!(cable, Cable::Tap { .. }) {
            // Two for each queue, one for the configuration, one for control.
            card.push_str(&format!(",mq=on,vectors={}", 2 * queues + 2));
        }
        let boot = boot_index(params, "network", nic_idx == 0);
        let mac = &nic.mac;
        command = command
            .args(["-netdev", &netdev])
            .args(["-device", &format!("{card},netdev=net-{id},mac={mac},id={id}{boot}")]);
    }
    command
}

fn tap(nic: &Nic, id: &str, queues: u32, vhost: bool, params: &KvmParams) -> String {
    let mut text = format!("tap,id=net-{id},ifname={},script=no,downscript=no", tap_name(nic));
    if queues > 1 {
        text.push_str(&format!(",queues={queues}"));
    }
    if vhost {
        text.push_str(",vhost=on");
    }
    if !params.vnet_hdr {
        text.push_str(",vnet_hdr=off");
    }
    text
}

/// The environment of a network script, with Ganeti's names.
pub(super) fn script_environment(
    guest: &str,
    tags: &[String],
    nic_idx: usize,
    nic: &Nic,
) -> Vec<(&'static str, String)> {
    let mode = nic.nicparams.mode.map_or("", NicMode::as_str);
    let link = nic.nicparams.link.clone().unwrap_or_default();
    let mut env = vec![
        ("INSTANCE", guest.to_owned()),
        ("MAC", nic.mac.clone()),
        ("MODE", mode.to_owned()),
        ("INTERFACE", tap_name(nic)),
        ("INTERFACE_INDEX", nic_idx.to_string()),
        ("INTERFACE_UUID", nic.uuid.to_string()),
        ("TAGS", tags.join(" ")),
        ("VLAN", nic.nicparams.vlan.clone().unwrap_or_default()),
    ];
    env.extend(nic.ip.map(|ip| ("IP", ip.to_string())));
    env.extend(nic.name.clone().map(|name| ("INTERFACE_NAME", name)));
    if nic.nicparams.mode == Some(NicMode::Bridged) {
        env.push(("BRIDGE", link.clone()));
    }
    if !link.is_empty() {
        env.push(("LINK", link));
    }
    env
}

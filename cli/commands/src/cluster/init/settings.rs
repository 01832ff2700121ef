//! Everything else that a new cluster is told (C6): [`ClusterSettings`], and options that ask for
//! what there is not.

use std::net::IpAddr;

use gantry_model::objects::{COMPRESSION_TOOLS, ClusterSettings, DiskTemplate};
use gantry_model::params::{is_interface, is_plain_path, is_url};

use super::{KeyValuesArgument, key_values_argument};
use crate::error::CommandError;
use crate::options::Choice;
use crate::parse::ParseError;
use crate::parse::keyval::{KeyValues, parse_named_key_values};
use crate::parse::number::whole_number;
use crate::plain_params::{
    Plain, cluster_node_parameters, disk_parameters, disk_states, hypervisor_states,
    replication_address, text_of,
};

/// What is told of an option whose value is only stored.
macro_rules! later {
    ($text:literal) => {
        concat!($text, " (not acted on yet)")
    };
}

/// What has no place among the other options.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SettingsArgs {
    #[arg(long, value_name = "NETDEV", value_parser = interface_argument,
        help = later!("Put the address of the master on this interface"))]
    master_netdev: Option<String>,
    #[arg(long, value_name = "BITS",
        value_parser = whole_number::<u8>(0, 128, "a whole number from 1 to 32, or 128 with IPv6"),
        help = later!("Give the address of the master a prefix of so many bits"))]
    master_netmask: Option<u8>,
    #[arg(long, value_name = "yes|no", hide_possible_values = true,
        help = later!("Let a script of yours set the address of the master up"))]
    use_external_mip_script: Option<Choice>,
    #[arg(short, long, value_name = "ADDRESS",
        help = later!("Replicate disks over this address of the node"))]
    secondary_ip: Option<String>,
    #[arg(long, value_name = "4|6",
        help = later!("Reach nodes by IPv4 or IPv6; the default is what the address says"))]
    primary_ip_version: Option<String>,
    #[arg(long, value_name = "VG", help = later!("Keep disks on LVM in this volume group"))]
    vg_name: Option<String>,
    /// Have no disks on LVM: the default
    #[arg(long, conflicts_with = "vg_name")]
    no_lvm_storage: bool,
    #[arg(long, value_name = "PATH", help = later!("Let DRBD call this program"))]
    drbd_usermode_helper: Option<String>,
    #[arg(long, value_name = "DIR", default_value = "/var/run/gantry/gluster",
        value_parser = directory_argument, help = later!("Mount volumes of Gluster below this \
        directory"))]
    gluster_storage_dir: String,
    #[arg(long, value_name = "yes|no", hide_possible_values = true,
        help = later!("Stop what should not run on a node"))]
    maintain_node_health: Option<Choice>,
    /// Run guests of kvm whose security_model is pool as users with these ids; those that have an
    /// account on the node are taken
    #[arg(long, value_name = "ID,ID-ID,...", value_parser = uid_pool_argument)]
    uid_pool: Option<UidPool>,
    #[arg(short = 'I', long, value_name = "NAME", value_parser = word_argument,
        help = later!("Let this allocator place instances for which none is named"))]
    default_iallocator: Option<String>,
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = key_values_argument,
        help = later!("Set parameters of that allocator"))]
    default_iallocator_params: Option<KeyValuesArgument>,
    /// Wipe new disks before an instance can read them
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    prealloc_wipe_disks: Option<Choice>,
    /// Take a guest that ends by itself for stopped by its user, and not for failed
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    user_shutdown: Option<Choice>,
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = key_values_argument,
        help = later!("Set defaults of nodes' parameters"))]
    node_parameters: Option<KeyValuesArgument>,
    #[arg(short = 'D', long, value_name = "TEMPLATE:KEY=VALUE,...",
        value_parser = parse_named_key_values,
        help = later!("Set defaults of a disk template's parameters"))]
    disk_parameters: Vec<(String, KeyValues)>,
    #[arg(long, value_name = "HV:KEY=VALUE,...", value_parser = parse_named_key_values,
        help = later!("Say what a hypervisor has of a node"))]
    hypervisor_state: Vec<(String, KeyValues)>,
    #[arg(long, value_name = "TYPE/NAME:KEY=VALUE,...", value_parser = parse_named_key_values,
        help = later!("Say what a storage has of a node"))]
    disk_state: Vec<(String, KeyValues)>,
    #[arg(long, value_name = "IMAGE", value_parser = image_argument,
        help = later!("Run OS scripts in a guest with this image: a path or a URL"))]
    install_image: Option<String>,
    #[arg(long, value_name = "IMAGE", value_parser = image_argument,
        help = later!("Wipe disks in a guest with this image: a path or a URL"))]
    zeroing_image: Option<String>,
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = word_argument,
        help = later!("Let these programs compress what goes from node to node"))]
    compression_tools: Vec<String>,
    /// Without effect: nodes' /etc/hosts is never changed
    #[arg(long)]
    no_etc_hosts: bool,
    /// Without effect: nodes talk with certificates, ssh is not used
    #[arg(long)]
    no_ssh_init: bool,
    /// Without effect: nodes talk with certificates, ssh is not used
    #[arg(long, value_name = "BITS",
        value_parser = whole_number::<u32>(1, 65_536, "a whole number of bits from 1 to 65536"))]
    ssh_key_bits: Option<u32>,
    /// Without effect: nodes talk with certificates, ssh is not used
    #[arg(long, value_name = "rsa|dsa|ecdsa", value_parser = ["rsa", "dsa", "ecdsa"],
        hide_possible_values = true)]
    ssh_key_type: Option<String>,
}

/// A list in a type of its own: clap would take a `Vec` for an option given several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UidPool(Vec<(u32, u32)>);

fn interface_argument(text: &str) -> Result<String, ParseError> {
    let refuse = || ParseError::new("interface", text, "the name of a network interface");
    is_interface(text).then(|| text.to_owned()).ok_or_else(refuse)
}

fn directory_argument(text: &str) -> Result<String, ParseError> {
    let refuse = || ParseError::new("directory", text, "an absolute path without . and ..");
    is_plain_path(text).then(|| text.to_owned()).ok_or_else(refuse)
}

fn image_argument(text: &str) -> Result<String, ParseError> {
    let good = text.is_empty() || is_plain_path(text) || is_url(text);
    let refuse = || ParseError::new("image", text, "an absolute path or a URL");
    good.then(|| text.to_owned()).ok_or_else(refuse)
}

fn word_argument(text: &str) -> Result<String, ParseError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let good = text.len() <= 64 && !text.starts_with(['-', '.']) && text.chars().all(plain);
    let refuse = || ParseError::new("name", text, "the name of a program, without a path");
    good.then(|| text.to_owned()).ok_or_else(refuse)
}

fn uid_pool_argument(text: &str) -> Result<UidPool, ParseError> {
    let refuse = || ParseError::new("uid pool", text, "a list of ids such as 1000-5000,8000");
    let mut ranges = Vec::new();
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let (lower, higher) = range.split_once('-').unwrap_or((range, range));
        let id = |text: &str| text.parse::<u32>().map_err(|_| refuse());
        let range = (id(lower)?, id(higher)?);
        if range.0 > range.1 {
            return Err(refuse());
        }
        ranges.push(range);
    }
    ranges.sort_unstable();
    Ok(UidPool(ranges))
}

fn is_yes(choice: Option<Choice>) -> bool {
    choice == Some(Choice::Yes)
}

impl SettingsArgs {
    /// What is stored.
    pub(super) fn settings(&self) -> Result<ClusterSettings, CommandError> {
        let version = self.ip_version()?;
        Ok(ClusterSettings {
            master_netdev: self.master_netdev.clone(),
            master_netmask: self.netmask(version.unwrap_or(4))?,
            use_external_mip_script: is_yes(self.use_external_mip_script),
            vg_name: self.vg_name.clone().filter(|name| !name.is_empty()),
            drbd_helper: self.drbd_usermode_helper.clone().filter(|path| !path.is_empty()),
            gluster_storage_dir: self.gluster_storage_dir.clone(),
            maintain_node_health: is_yes(self.maintain_node_health),
            uid_pool: self.uid_pool.clone().map(|UidPool(ranges)| ranges).unwrap_or_default(),
            default_iallocator: self.default_iallocator.clone().unwrap_or_default(),
            default_iallocator_params: allocator_parameters(
                self.default_iallocator_params.as_ref(),
            )?,
            primary_ip_version: version,
            prealloc_wipe_disks: is_yes(self.prealloc_wipe_disks),
            user_shutdown: Some(is_yes(self.user_shutdown)),
            install_image: self.install_image.clone().unwrap_or_default(),
            zeroing_image: self.zeroing_image.clone().unwrap_or_default(),
            compression_tools: self.compression_tools(),
            ndparams: cluster_node_parameters(self.node_parameters.as_ref())?,
            diskparams: disk_parameters(&self.disk_parameters, self.vg_name.as_deref())?,
            hv_state: hypervisor_states(&self.hypervisor_state)?,
            disk_state: disk_states(&self.disk_state)?,
            no_etc_hosts: self.no_etc_hosts,
        })
    }

    /// Over which address the node replicates disks.
    pub(super) fn secondary_ip(&self) -> Result<Option<IpAddr>, CommandError> {
        let Some(text) = self.secondary_ip.as_deref() else {
            if self.ip_version()? == Some(6) {
                let text = "When using a IPv6 primary address, a valid IPv4 address must be given \
                            as secondary";
                return Err(CommandError::argument(text));
            }
            return Ok(None);
        };
        replication_address(text).map(Some)
    }

    /// What an operator should know of what was given and changes nothing.
    pub(super) fn notes(&self, templates: &[DiskTemplate]) -> Vec<&'static str> {
        let lvm = templates.iter().any(|template| template.as_str() == "plain");
        let drbd = templates.iter().any(|template| template.as_str() == "drbd");
        let ssh = self.no_ssh_init || self.ssh_key_bits.is_some() || self.ssh_key_type.is_some();
        let given = |given: &Option<String>| given.as_ref().is_some_and(|text| !text.is_empty());
        [
            (
                given(&self.vg_name) && !lvm && !drbd,
                "You specified a volume group with --vg-name, but you did not enable any disk \
                 template that uses lvm.",
            ),
            (
                given(&self.drbd_usermode_helper) && !drbd,
                "Note: You specified a DRBD usermode helper, while DRBD storage is not enabled.",
            ),
            (ssh, "Note: ssh is not used: nodes talk with certificates."),
            (self.no_etc_hosts, "Note: /etc/hosts is never changed."),
        ]
        .into_iter()
        .filter_map(|(holds, note)| holds.then_some(note))
        .collect()
    }

    fn ip_version(&self) -> Result<Option<u8>, CommandError> {
        match self.primary_ip_version.as_deref() {
            None => Ok(None),
            Some("4") => Ok(Some(4)),
            Some("6") => Ok(Some(6)),
            Some(other) => {
                Err(CommandError::argument(format!("Invalid primary ip version: {other}.")))
            }
        }
    }

    fn netmask(&self, version: u8) -> Result<Option<u8>, CommandError> {
        let most = if version == 6 { 128 } else { 32 };
        match self.master_netmask {
            Some(bits) if bits == 0 || bits > most => Err(CommandError::argument(format!(
                "CIDR netmask ({bits}) not valid for IPv{version}"
            ))),
            bits => Ok(bits),
        }
    }

    fn compression_tools(&self) -> Vec<String> {
        // An empty list is Ganeti's word for the default.
        let named: Vec<String> =
            self.compression_tools.iter().filter(|name| !name.is_empty()).cloned().collect();
        if named.is_empty() { COMPRESSION_TOOLS.map(str::to_owned).to_vec() } else { named }
    }
}

fn allocator_parameters(given: Option<&KeyValuesArgument>) -> Result<Plain, CommandError> {
    let Some(KeyValuesArgument(pairs)) = given else { return Ok(Plain::new()) };
    pairs.iter().map(|(key, value)| Ok((key.clone(), text_of(key, value)?))).collect()
}

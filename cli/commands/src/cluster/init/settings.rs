//! Everything else that a new cluster is told (C6): [`ClusterSettings`], and options that ask for
//! what there is not.

use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::ValueEnum;
use gantry_model::objects::{
    COMPRESSION_TOOLS, ClusterSettings, DISK_PARAMETERS, DISK_STATE_KEYS, DiskTemplate,
    HV_STATE_KEYS, NODE_PARAMETERS, PlainParam, disk_parameters_of,
};
use gantry_model::params::{is_interface, is_plain_path, is_url};

use super::{KeyValuesArgument, key_values_argument};
use crate::error::CommandError;
use crate::parse::ParseError;
use crate::parse::keyval::{KeyValue, KeyValues, parse_named_key_values};
use crate::parse::params::hypervisor;

/// What is told of an option whose value is only stored.
macro_rules! later {
    ($text:literal) => {
        concat!($text, " (not acted on yet)")
    };
}

/// Ganeti's way to say whether.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Choice {
    /// It is so.
    Yes,
    /// It is not.
    No,
}

/// What has no place among the other options.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SettingsArgs {
    #[arg(long, value_name = "NETDEV", value_parser = interface_argument,
        help = later!("Put the address of the master on this interface"))]
    master_netdev: Option<String>,
    #[arg(long, value_name = "BITS",
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
    #[arg(long, value_name = "ID,ID-ID,...", value_parser = uid_pool_argument,
        help = later!("Run guests as users with these ids"))]
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
    #[arg(long, value_name = "BITS")]
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
            ndparams: node_parameters(self.node_parameters.as_ref())?,
            diskparams: disk_parameters(&self.disk_parameters, self.vg_name.as_deref())?,
            hv_state: states(&self.hypervisor_state, &HV_STATE_KEYS, |name| {
                Ok(hypervisor(name).map(drop)?)
            })?,
            disk_state: states(&self.disk_state, &DISK_STATE_KEYS, storage)?,
            no_etc_hosts: self.no_etc_hosts,
        })
    }

    /// Over which address the node replicates disks.
    pub(super) fn secondary_ip(&self) -> Result<Option<IpAddr>, CommandError> {
        let Some(text) = &self.secondary_ip else {
            if self.ip_version()? == Some(6) {
                let text = "When using a IPv6 primary address, a valid IPv4 address must be given \
                            as secondary";
                return Err(CommandError::argument(text));
            }
            return Ok(None);
        };
        match text.parse() {
            Ok(IpAddr::V4(address)) => Ok(Some(IpAddr::V4(address))),
            Ok(IpAddr::V6(_)) | Err(_) => Err(CommandError::argument(format!(
                "Secondary IP address ({text}) has to be a valid IPv4 address."
            ))),
        }
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

fn allocator_parameters(
    given: Option<&KeyValuesArgument>,
) -> Result<BTreeMap<String, String>, CommandError> {
    let pairs = given.map(|KeyValuesArgument(pairs)| pairs.clone()).unwrap_or_default();
    pairs.into_iter().map(|(key, value)| Ok((key.clone(), text_of(&key, value)?))).collect()
}

/// The text of a value; a bare name is on, `no_name` is off.
fn text_of(name: &str, value: KeyValue) -> Result<String, CommandError> {
    match value {
        KeyValue::Text(text) => Ok(text),
        KeyValue::True => Ok("True".into()),
        KeyValue::False => Ok("False".into()),
        KeyValue::Removed => {
            let text = format!("parameter {name} cannot be removed from a cluster that is new");
            Err(CommandError::argument(text))
        }
    }
}

fn node_parameters(
    given: Option<&KeyValuesArgument>,
) -> Result<BTreeMap<String, String>, CommandError> {
    match given {
        Some(KeyValuesArgument(pairs)) => read_all("node parameter", NODE_PARAMETERS, pairs),
        None => Ok(BTreeMap::new()),
    }
}

fn read_all(
    what: &str,
    known: &[PlainParam],
    pairs: &KeyValues,
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut read = BTreeMap::new();
    for (name, value) in pairs {
        let Some(param) = known.iter().find(|param| param.name == name) else {
            let names: Vec<&str> = known.iter().map(|param| param.name).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let text = format!("unknown {what} {name:?}, known are: {names}");
            return Err(CommandError::argument(text));
        };
        let text = text_of(name, value.clone())?;
        if text == "default" {
            continue;
        }
        let stored = param.read(&text).ok_or_else(|| {
            let text = format!("{what} {name}: {text:?} is not {}", param.expected());
            CommandError::argument(text)
        })?;
        if stored != param.default {
            read.insert(name.clone(), stored);
        }
    }
    Ok(read)
}

fn disk_parameters(
    given: &[(String, KeyValues)],
    vg_name: Option<&str>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, CommandError> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (template, pairs) in given {
        let Some(known) = disk_parameters_of(template) else {
            let names: Vec<&str> = DISK_PARAMETERS.iter().map(|(name, _)| *name).collect();
            let text =
                format!("Disk templates unknown: {template}; known are: {}", names.join(", "));
            return Err(CommandError::argument(text));
        };
        let read = read_all(&format!("parameter of disk template {template}"), known, pairs)?;
        if !read.is_empty() {
            all.entry(template.clone()).or_default().extend(read);
        }
    }
    // DRBD's metadata is in the volume group of the data unless something else is said.
    if let Some(group) = vg_name.filter(|name| !name.is_empty()) {
        let drbd = all.entry("drbd".to_owned()).or_default();
        drbd.entry("metavg".to_owned()).or_insert_with(|| group.to_owned());
    }
    Ok(all)
}

/// Numbers by name of a hypervisor or storage.
fn states(
    given: &[(String, KeyValues)],
    known: &[&str],
    check: impl Fn(&str) -> Result<(), CommandError>,
) -> Result<BTreeMap<String, BTreeMap<String, u64>>, CommandError> {
    let mut all: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (of, pairs) in given {
        check(of)?;
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let text =
                    format!("unknown state {name:?} of {of}, known are: {}", known.join(", "));
                return Err(CommandError::argument(text));
            }
            let text = text_of(name, value.clone())?;
            let number = text.parse().map_err(|_| {
                let text =
                    format!("state {name} of {of}: {text:?} is not a whole number from 0 on");
                CommandError::argument(text)
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

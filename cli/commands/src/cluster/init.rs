//! `gantry cluster init` (C6)

mod policy;
mod settings;

use std::path::PathBuf;

use gantry_model::names::{ClusterName, NodeName};
use gantry_model::objects::{DiskTemplate, NicParams};
use gantry_model::params::{BackendParams, HvParams, HypervisorDefaults, HypervisorKind};
use serde_json::json;

use self::policy::PolicyArgs;
use self::settings::SettingsArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::machine::InitArgs;
use crate::parse::ParseError;
use crate::parse::keyval::{KeyValues, parse_key_values, parse_named_key_values};
use crate::parse::nic::nic_defaults;
use crate::parse::params::{
    ParamsError, backend_overrides, hypervisor, hypervisor_overrides, later_parameters,
};
use crate::parse::template::parse_template;

/// Create a cluster with this machine as its first node
///
/// The state directory must not hold a cluster yet. Start the daemon afterwards.
///
/// Example: gantry cluster init --enabled-hypervisors kvm cluster.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the cluster
    cluster_name: ClusterName,
    /// Name of this node; the default is the name of the host
    #[arg(long, value_name = "NAME")]
    node_name: Option<NodeName>,
    /// Listen here and be reached here by the other nodes
    ///
    /// The default is the address of the host's name, with port 1811.
    #[arg(long, value_name = "HOST:PORT", value_parser = address_argument)]
    address: Option<String>,
    /// Use these hypervisors; the first is the default for new instances
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "kvm")]
    enabled_hypervisors: Vec<String>,
    /// Use these disk templates; the first is the default for new instances
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "file,diskless",
        value_parser = parse_template
    )]
    enabled_disk_templates: Vec<DiskTemplate>,
    /// Keep the disks of template file below this directory on every node
    #[arg(long, value_name = "DIR")]
    file_storage_dir: Option<PathBuf>,
    /// Keep the disks of template sharedfile below this directory, where all nodes see the same
    #[arg(long, value_name = "DIR", default_value = "/srv/gantry/shared-file-storage")]
    shared_file_storage_dir: PathBuf,
    /// Set defaults of network interfaces: mode=, link=, vlan=
    #[arg(short = 'N', long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    nic_parameters: Option<KeyValuesArgument>,
    /// Begin generated MAC addresses with these three bytes
    #[arg(short, long, value_name = "XX:XX:XX", default_value = "aa:00:00",
        value_parser = mac_prefix_argument)]
    mac_prefix: String,
    /// Keep the cluster's state on so many nodes, as far as there are
    #[arg(short = 'C', long, value_name = "N", default_value_t = 10,
        value_parser = pool_size_argument)]
    candidate_pool_size: u32,
    /// Set defaults of a hypervisor's parameters, such as kvm:acpi=false
    #[arg(short = 'H', long, value_name = "HV:KEY=VALUE,...",
        value_parser = parse_named_key_values, long_help = hypervisor_help(
            "Set defaults of a hypervisor's parameters, such as kvm:acpi=false"))]
    hypervisor_parameters: Vec<(String, KeyValues)>,
    /// Set defaults of backend parameters, such as maxmem=1G,vcpus=2
    #[arg(short = 'B', long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    backend_parameters: Option<KeyValuesArgument>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// A list in a type of its own: clap would take a `Vec` for an option given several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyValuesArgument(pub(crate) KeyValues);

/// What `--help` says of hypervisor parameters: with those that have no effect yet.
pub(crate) fn hypervisor_help(summary: &str) -> String {
    format!("{summary}\n\n{}", later_parameters())
}

/// Reads a key=value list for clap.
pub(crate) fn key_values_argument(text: &str) -> Result<KeyValuesArgument, ParseError> {
    parse_key_values(text).map(KeyValuesArgument)
}

/// Reads `host:port` for clap; that the host exists is not checked here.
pub(crate) fn address_argument(text: &str) -> Result<String, ParseError> {
    let refuse = || ParseError::new("address", text, "HOST:PORT with a port from 1 to 65535");
    let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
    match port.parse::<u16>() {
        Ok(port) if port > 0 && !host.is_empty() => Ok(text.to_owned()),
        _ => Err(refuse()),
    }
}

/// Reads the size of a candidate pool for clap.
pub(crate) fn pool_size_argument(text: &str) -> Result<u32, ParseError> {
    let size = text.parse().ok().filter(|size| *size > 0);
    size.ok_or_else(|| ParseError::new("size", text, "a whole number of nodes from 1 on"))
}

fn mac_prefix_argument(text: &str) -> Result<String, ParseError> {
    let expected = "three bytes in hexadecimal with colons, of which the first is even";
    let refuse = || ParseError::new("MAC prefix", text, expected);
    let bytes: Vec<u8> = text
        .split(':')
        .map(|byte| match byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => u8::from_str_radix(byte, 16).map_err(|_| refuse()),
            false => Err(refuse()),
        })
        .collect::<Result<_, _>>()?;
    match bytes.as_slice() {
        // An odd first byte is that of a group address, which no interface may have.
        [first, _, _] if first % 2 == 0 => Ok(text.to_ascii_lowercase()),
        _ => Err(refuse()),
    }
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let state_dir = ctx.state_dir();
    for note in args.settings.notes(&args.enabled_disk_templates) {
        ctx.warn(note)?;
    }
    let init = InitArgs {
        settings: args.settings.settings()?,
        policy: args.policy.policy(&args.enabled_disk_templates)?,
        secondary_ip: args.settings.secondary_ip()?,
        state_dir: state_dir.clone(),
        enabled_hypervisors: hypervisors(&args.enabled_hypervisors)?,
        nicparams: nic_parameters(args.nic_parameters.as_ref())?,
        hvparams: hypervisor_defaults(&args.hypervisor_parameters)?,
        beparams: backend_defaults(args.backend_parameters.as_ref())?,
        cluster_name: args.cluster_name,
        node_name: args.node_name,
        address: args.address,
        enabled_disk_templates: args.enabled_disk_templates,
        file_storage_dir: args.file_storage_dir,
        shared_file_storage_dir: args.shared_file_storage_dir,
        mac_prefix: args.mac_prefix,
        candidate_pool_size: args.candidate_pool_size,
    };
    let cluster_name = init.cluster_name.clone();
    let machine = ctx.machine.clone();
    let made = machine.init_cluster(init).await?;
    ctx.set_document(json!({
        "cluster": made.cluster,
        "cluster_name": cluster_name,
        "node_name": made.node_name,
        "address": made.address,
    }));
    ctx.say(&format!("Created cluster {cluster_name} with node {}", made.node_name))?;
    ctx.say(&format!("Start its daemon with: gantry daemon --state-dir {}", state_dir.display()))
}

fn hypervisors(names: &[String]) -> Result<Vec<HypervisorKind>, CommandError> {
    let mut kinds = Vec::new();
    for name in names {
        let kind = hypervisor(name)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

fn hypervisor_defaults(given: &[(String, KeyValues)]) -> Result<HypervisorDefaults, CommandError> {
    let mut defaults = HypervisorDefaults::default();
    for (name, pairs) in given {
        match hypervisor_overrides(name, pairs)?.over(&defaults) {
            HvParams::Kvm(params) => defaults.kvm = *params,
            HvParams::Fake(params) => defaults.fake = params,
        }
    }
    // How many virtual CPUs there are is known of an instance only.
    defaults.kvm.check(None).map_err(ParamsError::Param)?;
    Ok(defaults)
}

fn nic_parameters(given: Option<&KeyValuesArgument>) -> Result<NicParams, CommandError> {
    let params = match given {
        Some(KeyValuesArgument(pairs)) => nic_defaults(pairs)?,
        None => NicParams::default(),
    };
    // Whether an interface has an address is known of the interface only.
    params.check(None, false).map_err(|error| CommandError::argument(error.to_string()))?;
    Ok(params)
}

fn backend_defaults(given: Option<&KeyValuesArgument>) -> Result<BackendParams, CommandError> {
    let defaults = BackendParams::default();
    let Some(KeyValuesArgument(pairs)) = given else { return Ok(defaults) };
    let params = backend_overrides(pairs)?.over(&defaults);
    let amounts = [("minmem", params.minmem), ("maxmem", params.maxmem), ("vcpus", params.vcpus)];
    // Every instance would be refused.
    match amounts.into_iter().find(|(_, amount)| *amount == 0) {
        Some((name, _)) => {
            let text = format!("backend parameter {name} of 0 is not possible");
            Err(CommandError::argument(text))
        }
        None => Ok(params),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["192.0.2.1:1811", "node1.example:1", "[::1]:65535"] {
            assert!(address_argument(good).is_ok(), "{good}");
        }
        for bad in ["", "node1", ":1811", "node1:", "node1:0", "node1:65536", "node1:x"] {
            assert!(address_argument(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mac_prefixes_are_three_bytes_of_single_interfaces() {
        assert_eq!(mac_prefix_argument("AA:00:0f").as_deref(), Ok("aa:00:0f"));
        for bad in ["", "aa", "aa:00", "aa:00:00:00", "ab:00:00", "aa:0:00", "aa:+1:00", "gg:0:0"] {
            assert!(mac_prefix_argument(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn defaults_of_one_hypervisor_can_be_given_in_pieces() {
        let given = [
            ("kvm".to_owned(), parse_key_values("acpi=false").expect("parses")),
            ("kvm".to_owned(), parse_key_values("kernel_args=quiet").expect("parses")),
        ];
        let defaults = hypervisor_defaults(&given).expect("known");
        assert!(!defaults.kvm.acpi);
        assert_eq!(defaults.kvm.kernel_args, "quiet");
    }
}

//! What else an operator sets for the whole cluster (row C6): values that came with state level 6.
//!
//! Owns the values and what each of them accepts; whether they go together with the rest of the
//! cluster is the business of whoever makes one. Most of them are for work that is not done yet:
//! `--help` of `cluster init` names these. Deliberately absent: the instance policy, which has
//! rules of its own.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::Ratio;

/// Settings of the cluster that programs before state level 6 do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterSettings {
    /// Interface for the address of the master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_netdev: Option<String>,
    /// Length of the prefix of that address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_netmask: Option<u8>,
    /// Whether a script of the operator sets that address up.
    pub use_external_mip_script: bool,
    /// Volume group of disks on LVM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vg_name: Option<String>,
    /// What DRBD calls in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drbd_helper: Option<String>,
    /// Where volumes of Gluster are mounted.
    pub gluster_storage_dir: String,
    /// Whether what should not run on a node is stopped there.
    pub maintain_node_health: bool,
    /// Users for guests, as ranges of ids with both ends.
    pub uid_pool: Vec<(u32, u32)>,
    /// The allocator of instances for which none is named.
    pub default_iallocator: String,
    /// Its parameters.
    pub default_iallocator_params: BTreeMap<String, String>,
    /// 4 or 6; nothing where the addresses of nodes say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_ip_version: Option<u8>,
    /// Whether new disks are wiped before anybody can read them.
    pub prealloc_wipe_disks: bool,
    /// Whether guests may end by themselves; nothing in a cluster from before this could be set,
    /// where they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_shutdown: Option<bool>,
    /// Image to run OS scripts in: a path or a URL.
    pub install_image: String,
    /// Image that wipes disks: a path or a URL.
    pub zeroing_image: String,
    /// Programs that may compress what goes from node to node.
    pub compression_tools: Vec<String>,
    /// Parameters of nodes that differ from [`NODE_PARAMETERS`].
    pub ndparams: BTreeMap<String, String>,
    /// Parameters of templates that differ from [`DISK_PARAMETERS`], by template.
    pub diskparams: BTreeMap<String, BTreeMap<String, String>>,
    /// What hypervisors have of a node, by hypervisor. Stored only, as in Ganeti.
    pub hv_state: BTreeMap<String, BTreeMap<String, u64>>,
    /// What storages have of a node, by type and name. Stored only, as in Ganeti.
    pub disk_state: BTreeMap<String, BTreeMap<String, u64>>,
    /// Whether `/etc/hosts` of nodes was to be left alone.
    pub no_etc_hosts: bool,
}

impl ClusterSettings {
    /// Whether nothing is set: then it is left out of the encoding of the cluster.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether guests may end by themselves.
    #[must_use]
    pub fn allows_user_shutdown(&self) -> bool {
        self.user_shutdown.unwrap_or(true)
    }

    /// Parameters of a node that differs from the cluster so.
    #[must_use]
    pub fn node_parameters(&self, own: &BTreeMap<String, String>) -> Value {
        let mut set = self.ndparams.clone();
        set.extend(own.clone());
        filled(NODE_PARAMETERS, Some(&set))
    }

    /// Parameters of a template by name, with those that nobody has set.
    #[must_use]
    pub fn disk_parameters(&self, template: &str) -> Value {
        filled(disk_parameters_of(template).unwrap_or_default(), self.diskparams.get(template))
    }
}

/// What a plain parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainKind {
    /// Yes or no.
    Flag,
    /// A whole number.
    Number,
    /// A number with decimals.
    Decimal,
    /// A number of a port.
    Port,
    /// How a guest reaches a disk: through its node's kernel, or by itself.
    Access,
    /// Any text.
    Text,
}

/// What [`PlainKind::Access`] is one of.
const ACCESSES: [&str; 2] = ["kernelspace", "userspace"];

/// A parameter that is only stored.
#[derive(Clone, Copy, Debug)]
pub struct PlainParam {
    /// Ganeti's name.
    pub name: &'static str,
    /// Ganeti's value where nobody has set it.
    pub default: &'static str,
    /// What it accepts.
    pub kind: PlainKind,
}

impl PlainParam {
    /// The value as it is stored; nothing when it is none.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<String> {
        match self.kind {
            PlainKind::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "y" => Some("True".into()),
                "false" | "no" | "n" => Some("False".into()),
                _ => None,
            },
            PlainKind::Number => text.parse::<u64>().ok().map(|number| number.to_string()),
            PlainKind::Port => {
                let port = text.parse::<u16>().ok().filter(|port| *port > 0);
                port.map(|port| port.to_string())
            }
            PlainKind::Access => ACCESSES.contains(&text).then(|| text.to_owned()),
            PlainKind::Decimal => Ratio::read(text).map(|ratio| ratio.to_string()),
            PlainKind::Text => {
                let plain = text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control);
                plain.then(|| text.to_owned())
            }
        }
    }

    /// What it accepts, for people.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        match self.kind {
            PlainKind::Flag => "yes or no",
            PlainKind::Number => "a whole number from 0 on",
            PlainKind::Port => "a whole number from 1 to 65535",
            PlainKind::Access => "kernelspace or userspace",
            PlainKind::Decimal => "a number with at most three decimals",
            PlainKind::Text => "a text of at most 1024 bytes without control characters",
        }
    }

    fn json(&self, stored: &str) -> Value {
        match self.kind {
            PlainKind::Flag => json!(stored == "True"),
            PlainKind::Number | PlainKind::Port => {
                stored.parse::<u64>().map_or(Value::Null, |n| json!(n))
            }
            PlainKind::Decimal => match stored.parse::<u64>() {
                Ok(whole) => json!(whole),
                Err(_) => stored.parse::<f64>().map_or(Value::Null, |n| json!(n)),
            },
            PlainKind::Text | PlainKind::Access => json!(stored),
        }
    }
}

/// Longest text of such a parameter: paths and options of programs are far shorter, and the
/// configuration holds it for ever. Lower refuses long options, higher fills every snapshot.
const TEXT_BYTES_MAX: usize = 1024;

fn filled(params: &[PlainParam], set: Option<&BTreeMap<String, String>>) -> Value {
    let value = |param: &PlainParam| {
        let stored = set.and_then(|set| set.get(param.name)).map_or(param.default, String::as_str);
        (param.name.to_owned(), param.json(stored))
    };
    Value::Object(params.iter().map(value).collect())
}

/// `table!("name" = "default", Kind; …)`
macro_rules! table {
    ($($name:literal = $default:literal, $kind:ident;)*) => {
        &[$(PlainParam { name: $name, default: $default, kind: PlainKind::$kind }),*]
    };
}

/// Parameters of nodes (P12).
pub const NODE_PARAMETERS: &[PlainParam] = table!(
    "cpu_speed" = "1", Decimal;
    "exclusive_storage" = "False", Flag;
    "oob_program" = "", Text;
    "ovs" = "False", Flag;
    "ovs_link" = "", Text;
    "ovs_name" = "switch1", Text;
    "spindle_count" = "1", Number;
    "ssh_port" = "22", Port;
);

/// Those that all nodes of a group have alike.
pub const CLUSTER_NODE_PARAMETERS: [&str; 1] = ["exclusive_storage"];

const DRBD: &[PlainParam] = table!(
    "c-delay-target" = "1", Number;
    "c-fill-target" = "0", Number;
    "c-max-rate" = "61440", Number;
    "c-min-rate" = "4096", Number;
    "c-plan-ahead" = "20", Number;
    "data-stripes" = "1", Number;
    "disk-barriers" = "n", Text;
    "disk-custom" = "", Text;
    "dynamic-resync" = "False", Flag;
    "meta-barriers" = "False", Flag;
    "meta-stripes" = "1", Number;
    "metavg" = "xenvg", Text;
    "net-custom" = "", Text;
    "protocol" = "C", Text;
    "resync-rate" = "61440", Number;
);

const GLUSTER: &[PlainParam] = table!(
    "access" = "kernelspace", Access;
    "host" = "127.0.0.1", Text;
    "port" = "24007", Port;
    "volume" = "gv0", Text;
);

/// The same values of parameters of nodes as JSON has them, of those that are set only.
#[must_use]
pub fn custom_node_parameters(set: &BTreeMap<String, String>) -> Value {
    let of = |param: &&PlainParam| Some((param.name.to_owned(), param.json(set.get(param.name)?)));
    Value::Object(NODE_PARAMETERS.iter().filter_map(|param| of(&param)).collect())
}

/// Parameters of Ganeti's templates (P15), sorted by template; some are of templates that come
/// later.
pub const DISK_PARAMETERS: &[(&str, &[PlainParam])] = &[
    ("blockdev", &[]),
    ("diskless", &[]),
    ("drbd", DRBD),
    ("ext", table!("access" = "kernelspace", Access;)),
    ("file", &[]),
    ("gluster", GLUSTER),
    ("plain", table!("stripes" = "1", Number;)),
    ("rbd", table!("access" = "kernelspace", Access; "pool" = "rbd", Text;)),
    ("sharedfile", &[]),
];

/// Parameters of a template by name; nothing when there is no such template.
#[must_use]
pub fn disk_parameters_of(template: &str) -> Option<&'static [PlainParam]> {
    DISK_PARAMETERS.iter().find_map(|(name, params)| (*name == template).then_some(*params))
}

/// What hypervisors have of a node (P16).
pub const HV_STATE_KEYS: [&str; 5] = ["cpu_node", "cpu_total", "mem_hv", "mem_node", "mem_total"];

/// What storages have of a node (P16).
pub const DISK_STATE_KEYS: [&str; 3] = ["disk_overhead", "disk_reserved", "disk_total"];

/// The compression tools of a new cluster, as in Ganeti.
pub const COMPRESSION_TOOLS: [&str; 3] = ["gzip", "gzip-fast", "gzip-slow"];

#[cfg(test)]
mod tests {
    use super::*;

    // covers: P12 P15
    #[test]
    fn every_default_is_a_value_that_its_parameter_accepts() {
        let of_disks = DISK_PARAMETERS.iter().flat_map(|(_, params)| *params);
        for param in NODE_PARAMETERS.iter().chain(of_disks) {
            assert_eq!(param.read(param.default).as_deref(), Some(param.default), "{}", param.name);
        }
    }

    // covers: P12
    #[test]
    fn what_is_set_stands_in_place_of_the_default() {
        let mut settings = ClusterSettings::default();
        assert_eq!(settings.node_parameters(&BTreeMap::new())["ssh_port"], json!(22));
        let param = |name| NODE_PARAMETERS.iter().find(|p| p.name == name).expect("known");
        for (name, text, value) in [
            ("ssh_port", "2222", json!(2222)),
            ("ovs", "yes", json!(true)),
            ("cpu_speed", "1.50", json!(1.5)),
            ("oob_program", "/bin/oob", json!("/bin/oob")),
        ] {
            let stored = param(name).read(text).expect(name);
            settings.ndparams.insert(name.to_owned(), stored);
            assert_eq!(settings.node_parameters(&BTreeMap::new())[name], value);
        }
        for (name, bad) in [
            ("ssh_port", "x"),
            ("ssh_port", "0"),
            ("ssh_port", "65536"),
            ("ovs", "maybe"),
            ("cpu_speed", "-1"),
        ] {
            assert_eq!(param(name).read(bad), None, "{name}");
        }
    }

    #[test]
    fn nothing_set_is_left_out() {
        assert!(ClusterSettings::default().is_default());
        let wiping = ClusterSettings { prealloc_wipe_disks: true, ..Default::default() };
        assert!(!wiping.is_default());
        assert!(ClusterSettings::default().allows_user_shutdown());
    }
}

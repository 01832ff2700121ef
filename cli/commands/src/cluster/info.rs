//! `gantry cluster info` (C19)
//!
//! Ganeti's sections and keys in its order, all of them, because scripts look for them. A key of
//! something that Gantry does not have says "none" or "no", or has the value that it was given.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::levels::LevelStanding;
use gantry_model::messages::{ClusterInfo, LogHolders};
use gantry_model::objects::{
    Cluster, ClusterSettings, DISK_PARAMETERS, DiskTemplate, InstancePolicy, InstanceSpec,
    NicParams, SpecBounds,
};
use gantry_model::params::ParameterSet;
use gantry_model::search_paths::{EXTSTORAGE_SEARCH_PATH, OS_SEARCH_PATH};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CommandError;
use crate::options::RomanArgs;
use crate::output::info::Info;

/// Show the configuration of the cluster
///
/// Example: gantry cluster info
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    roman: RomanArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let info = client.cluster().await?;
    if ctx.json() {
        ctx.set_document(document(&info));
        return Ok(());
    }
    let zone = ctx.io.time_zone.clone();
    let tree = tree(&info, &zone);
    ctx.print(&args.roman.of(tree).to_text())
}

fn document(info: &ClusterInfo) -> Value {
    json!({
        "cluster": info.cluster,
        "master": info.master,
        "groups": info.groups,
        "reign": info.reign,
        "revision": info.revision,
        "software_version": info.software_version,
        "architecture": info.architecture,
        "versions": info.versions,
        "level": info.level,
        "holders": info.holders,
    })
}

fn tree(info: &ClusterInfo, zone: &TimeZone) -> Info {
    let cluster = &info.cluster;
    // What nodes have where nothing was set for them.
    let node_parameters = Info::json(&cluster.settings.node_parameters(&BTreeMap::new()));
    let kinds: Vec<String> = cluster.enabled_hypervisors.iter().map(ToString::to_string).collect();
    let backend = cluster.beparams.rows().into_iter().map(|(key, value)| (key, Info::text(value)));
    let default = kinds.first().cloned().unwrap_or_default();
    let mut rows = vec![
        ("Cluster name", Info::text(&cluster.name)),
        ("Cluster UUID", Info::text(cluster.uuid)),
        ("Creation time", Info::time(cluster.ctime, zone)),
        ("Modification time", Info::time(cluster.mtime, zone)),
        ("Master node", Info::text(&info.master.name)),
        ("Architecture (this node)", Info::text(architecture(info))),
        ("Tags", Info::words(&cluster.tags)),
        ("Default hypervisor", Info::text(default)),
        ("Enabled hypervisors", Info::text(kinds.join(", "))),
        ("Hypervisor parameters", hypervisor_parameters(cluster)),
        ("OS-specific hypervisor parameters", none()),
        ("OS parameters", none()),
        ("Hidden OSes", none()),
        ("Blacklisted OSes", none()),
        ("Cluster parameters", cluster_parameters(info)),
    ];
    let default = |rows| Info::map(vec![("default", rows)]);
    rows.extend([
        ("Default node parameters", node_parameters),
        ("Default instance parameters", default(Info::map(backend.collect()))),
        ("Default nic parameters", default(interface_parameters(cluster))),
        ("Default disk parameters", disk_parameters(cluster)),
    ]);
    rows.extend(
        cluster
            .policy
            .as_ref()
            .map(|policy| ("Instance policy - limits for instances", instance_policy(policy))),
    );
    rows.push(("Data collectors", none()));
    // Ganeti has nothing like these, so they are there only when they say something.
    let LogHolders { voters, learners } = &info.holders;
    if voters.len() + learners.len() > 1 {
        rows.push(("Nodes that vote on the log", Info::words(voters)));
        rows.push(("Nodes that hold the log without a vote", Info::words(learners)));
    }
    if let Some(held_back) = held_back(&info.level) {
        rows.push(("State level", Info::text(held_back)));
    }
    Info::map(rows)
}

/// Who keeps the state level from rising, if anybody does.
fn held_back(standing: &LevelStanding) -> Option<String> {
    let LevelStanding { level, newest, held_by } = standing;
    if held_by.is_empty() {
        return None;
    }
    let nodes: Vec<String> = held_by.iter().map(ToString::to_string).collect();
    Some(format!("{level}, {newest} is held back by {}", nodes.join(", ")))
}

/// Ganeti's way to say it.
fn architecture(info: &ClusterInfo) -> String {
    let (bits, machine) = info.architecture_words();
    format!("{bits}bits ({machine})")
}

fn hypervisor_parameters(cluster: &Cluster) -> Info {
    let entries = cluster.enabled_hypervisors.iter().map(|kind| {
        let values = cluster.hvparams.values(*kind).into_iter();
        let mut rows: Vec<(&str, Info)> =
            values.map(|(key, value)| (key, Info::text(value.to_text()))).collect();
        rows.sort_by_key(|(key, _)| *key);
        (kind.as_str(), Info::map(rows))
    });
    Info::map(entries.collect())
}

fn cluster_parameters(info: &ClusterInfo) -> Info {
    let cluster = &info.cluster;
    let set = &cluster.settings;
    let of_address = if info.master.address.starts_with('[') { 6 } else { 4 };
    let templates: Vec<String> =
        cluster.enabled_disk_templates.iter().map(ToString::to_string).collect();
    let mut rows = vec![
        ("candidate pool size", Info::text(cluster.candidate_pool_size)),
        ("maximal number of jobs running simultaneously", Info::text(cluster.max_running_jobs)),
        (
            "maximal number of jobs simultaneously tracked by the scheduler",
            Info::text(cluster.max_tracked_jobs),
        ),
        ("mac prefix", Info::text(&cluster.mac_prefix)),
        ("master netdev", or_none(set.master_netdev.as_ref())),
        ("master netmask", or_none(set.master_netmask.as_ref())),
        ("use external master IP address setup script", Info::flag(set.use_external_mip_script)),
        ("lvm volume group", or_none(set.vg_name.as_ref())),
        ("lvm reserved volumes", Info::text("(none)")),
        ("drbd usermode helper", or_none(set.drbd_helper.as_ref())),
        ("file storage path", Info::text(&cluster.file_storage_dir)),
        ("shared file storage path", Info::text(&cluster.shared_file_storage_dir)),
        ("gluster storage path", Info::text(&set.gluster_storage_dir)),
        ("maintenance of node health", Info::flag(set.maintain_node_health)),
        ("uid pool", Info::text(uid_pool(set))),
        ("default instance allocator", Info::text(&set.default_iallocator)),
        ("default instance allocator parameters", texts(&set.default_iallocator_params)),
        ("primary ip version", Info::text(set.primary_ip_version.unwrap_or(of_address))),
        ("preallocation wipe disks", Info::flag(set.prealloc_wipe_disks)),
        ("OS search path", Info::text(OS_SEARCH_PATH.join(", "))),
        ("ExtStorage Providers search path", Info::text(EXTSTORAGE_SEARCH_PATH.join(", "))),
    ];
    rows.extend([
        ("enabled disk templates", Info::text(templates.join(", "))),
        ("install image", Info::text(&set.install_image)),
        ("instance communication network", none()),
        ("zeroing image", Info::text(&set.zeroing_image)),
        ("compression tools", list_or_none(&set.compression_tools)),
        ("enabled user shutdown", Info::flag(set.allows_user_shutdown())),
        // Nodes talk with certificates.
        ("modify ssh setup", Info::flag(false)),
        ("ssh_key_type", Info::text("None")),
        ("ssh_key_bits", Info::text("None")),
    ]);
    Info::map(rows)
}

/// What this cluster has none of, as Ganeti writes it.
fn none() -> Info {
    Info::text("")
}

fn or_none(value: Option<&impl ToString>) -> Info {
    Info::text(value.map_or_else(|| "None".to_owned(), ToString::to_string))
}

fn list_or_none(words: &[String]) -> Info {
    if words.is_empty() { none() } else { Info::List(words.iter().map(Info::text).collect()) }
}

fn texts(values: &BTreeMap<String, String>) -> Info {
    match values.is_empty() {
        true => none(),
        false => Info::map(values.iter().map(|(key, value)| (key, Info::text(value))).collect()),
    }
}

fn uid_pool(settings: &ClusterSettings) -> String {
    let ranges = settings.uid_pool.iter().map(|(lower, higher)| match lower == higher {
        true => lower.to_string(),
        false => format!("{lower}-{higher}"),
    });
    ranges.collect::<Vec<_>>().join(", ")
}

fn interface_parameters(cluster: &Cluster) -> Info {
    let NicParams { mode, link, vlan } = &cluster.nicparams;
    Info::map(vec![
        ("link", Info::text(link)),
        ("mode", Info::text(mode)),
        ("vlan", Info::text(vlan)),
    ])
}

/// Of all templates that Ganeti has, and of our own, which have none.
fn disk_parameters(cluster: &Cluster) -> Info {
    let ours = DiskTemplate::ALL.map(DiskTemplate::as_str).into_iter();
    let names: BTreeSet<&str> = DISK_PARAMETERS.iter().map(|(name, _)| *name).chain(ours).collect();
    let entries = names.into_iter().map(|name| {
        let parameters = cluster.settings.disk_parameters(name);
        let entry = match Info::json(&parameters) {
            Info::Map(entries) if !entries.is_empty() => Info::Map(entries),
            Info::Map(_) | Info::Text(_) | Info::List(_) => none(),
        };
        (name, entry)
    });
    Info::map(entries.collect())
}

fn instance_policy(policy: &InstancePolicy) -> Info {
    let spec = |spec: &InstanceSpec| {
        Info::map(spec.values().map(|(name, value)| (name, Info::text(value))).to_vec())
    };
    let bounds = policy.bounds.iter().enumerate().map(|(idx, SpecBounds { min, max })| {
        Info::map(vec![(format!("min/{idx}"), spec(min)), (format!("max/{idx}"), spec(max))])
    });
    let templates: Vec<&str> = policy.disk_templates.iter().map(|t| t.as_str()).collect();
    Info::map(vec![
        ("bounds specs", Info::List(bounds.collect())),
        ("std", spec(&policy.std)),
        ("allowed disk templates", Info::text(templates.join(", "))),
        ("vcpu-ratio", Info::text(policy.vcpu_ratio)),
        ("spindle-ratio", Info::text(policy.spindle_ratio)),
    ])
}

#[cfg(test)]
mod tests {
    use gantry_model::ids::NodeUuid;
    use gantry_model::levels::{LevelHolder, Levels};
    use gantry_model::names::NodeName;

    use super::*;

    #[test]
    fn who_holds_the_level_back_is_shown_and_otherwise_nothing() {
        let mut standing = LevelStanding { level: 5, newest: 6, held_by: Vec::new() };
        assert_eq!(held_back(&standing), None);
        for (number, knows) in [(2, Some(Levels { lowest: 1, newest: 5 })), (3, None)] {
            let name = NodeName::new(&format!("node{number}")).expect("valid");
            let node = NodeUuid(uuid::Uuid::from_u128(number));
            standing.held_by.push(LevelHolder { node, name: Some(name), knows });
        }
        let text = "5, 6 is held back by node2 (knows 1 to 5), node3 (did not answer)";
        assert_eq!(held_back(&standing).as_deref(), Some(text));
    }
}

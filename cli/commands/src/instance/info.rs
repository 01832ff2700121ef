//! `gantry instance info` (C66)

use std::net::Ipv4Addr;

use gantry_model::query::Resource;
use gantry_model::units::{MiB, Timestamp};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::full_names::in_words;
use crate::options::RomanArgs;
use crate::output::info::Info;
use crate::output::json::table_document;
use crate::output::python::python;
use crate::parse::size::{Unit, format_size};
use crate::records::{Record, filled, filled_with, leaf, records};

/// What the tree is made of, without what the guest does now.
const STATIC_FIELDS: [&str; 33] = [
    "name",
    "uuid",
    "serial_no",
    "ctime",
    "mtime",
    "admin_state",
    "pnode",
    "pnode.group",
    "pnode.group.uuid",
    "snodes",
    "os",
    "osparams",
    "custom_osparams",
    "network_port",
    "hypervisor",
    "hvparams",
    "custom_hvparams",
    "beparams",
    "custom_beparams",
    "nic.macs",
    "nic.uuids",
    "nic.ips",
    "nic.modes",
    "nic.links",
    "nic.vlans",
    "nic.networks.names",
    "nic.names",
    "disk_template",
    "disk.sizes",
    "disk.modes",
    "disk.logical_ids",
    "disk.uuids",
    "disk.names",
];

/// What the guest does now.
const LIVE_FIELDS: [&str; 3] = ["status", "status.fault", "oper_state"];

/// Show everything about instances
///
/// Example: gantry instance info web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "INSTANCE")]
    names: Vec<String>,
    /// Show all instances
    #[arg(long)]
    all: bool,
    /// Show the configuration only, not what the guest does
    #[arg(short = 's', long = "static")]
    is_static: bool,
    #[command(flatten)]
    roman: RomanArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    check(ctx, &args)?;
    ctx.typed(Resource::Instance, &args.names);
    let client = ctx.client().await?;
    let mut fields = STATIC_FIELDS.to_vec();
    if !args.is_static {
        fields.extend(LIVE_FIELDS);
    }
    let table = client.query(Resource::Instance, &fields, &args.names).await;
    let table = table.map_err(|error| in_words(error, &args.names, "not known"))?;
    if ctx.json() {
        ctx.set_document(table_document(&table));
        return Ok(());
    }
    if table.rows.is_empty() {
        ctx.say("No instances.")?;
        return Err(refused());
    }
    let zone = ctx.io.time_zone.clone();
    let instances = records(&table).map(|row| tree(&row, args.is_static, &zone)).collect();
    ctx.print(&args.roman.of(Info::List(instances)).to_text())
}

/// Ganeti's words for what it cannot take, and its exit code.
fn check(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let lines: &[&str] = match (args.names.is_empty(), args.all) {
        (true, false) => &[
            "No instance selected. Please pass in --all if you want to query all instances.",
            "Note that this can take a long time on a big cluster.",
        ],
        (false, true) => &["Cannot use --all if you specify instance names."],
        (true, true) | (false, false) => return Ok(()),
    };
    for line in lines {
        ctx.warn(line)?;
    }
    Err(refused())
}

/// Everything has been said.
fn refused() -> CommandError {
    CommandError::new(CommandErrorKind::Failed, Failure::Declined)
}

fn tree(instance: &Record<'_>, is_static: bool, zone: &TimeZone) -> Info {
    let text = |field: &str| Info::text(instance.text(field));
    let time = |field: &str| match instance.number(field) {
        Some(micros) => Info::time(Timestamp(micros), zone),
        None => Info::text(""),
    };
    let value = |field: &str| Info::json(instance.value(field).unwrap_or(&Value::Null));
    // Title, the field it needs, value. What the cluster does not know is left out, not made up.
    let entries = vec![
        ("Instance name", "name", text("name")),
        ("UUID", "uuid", text("uuid")),
        ("Serial number", "serial_no", text("serial_no")),
        ("Creation time", "ctime", time("ctime")),
        ("Modification time", "mtime", time("mtime")),
        ("State", "admin_state", Info::text(state(instance, is_static))),
        ("Nodes", "pnode", nodes(instance)),
        ("Operating system", "os", text("os")),
        (
            "Operating system parameters",
            "osparams",
            filled(instance, "osparams", "custom_osparams"),
        ),
        ("Allocated network port", "network_port", value("network_port")),
        ("Hypervisor", "hypervisor", text("hypervisor")),
        ("console connection", "hvparams", console(instance)),
        ("Hypervisor parameters", "hvparams", hypervisor_parameters(instance)),
        ("Back-end parameters", "beparams", backend_parameters(instance)),
        ("NICs", "nic.macs", nics(instance)),
        ("Disk template", "disk_template", text("disk_template")),
        ("Disks", "disk.sizes", disks(instance)),
    ];
    let known = entries.into_iter().filter(|(title, field, value)| {
        // Ganeti leaves this one out as well where there is none.
        let missing = *title == "console connection" && *value == Info::text("");
        instance.knows(field) && !missing
    });
    Info::map(known.map(|(title, _, value)| (title, value)).collect())
}

fn state(instance: &Record<'_>, is_static: bool) -> String {
    let configured = format!("configured to be {}", instance.text("admin_state"));
    if is_static {
        return configured;
    }
    let actual = match (instance.flag("oper_state"), instance.text("status").as_str()) {
        (Some(true), _) => "up".to_owned(),
        (Some(false), "USER_down") => "user down".to_owned(),
        (Some(false), "ADMIN_offline") => "offline".to_owned(),
        (Some(false), _) => "down".to_owned(),
        // The node has not said: its status says why, or why it cannot.
        (None, status) => match instance.text("status.fault") {
            fault if fault.is_empty() => format!("unknown ({status})"),
            fault => format!("unknown ({fault})"),
        },
    };
    format!("{configured}, actual state is {actual}")
}

/// How its console is reached; empty where it has none.
fn console(instance: &Record<'_>) -> Info {
    let param = |name: &str| instance.value("hvparams").and_then(|params| params.get(name));
    let bind = param("vnc_bind_address").and_then(Value::as_str).filter(|bind| !bind.is_empty());
    if let (Some(bind), Some(port)) = (bind, instance.number("network_port")) {
        return Info::text(format!("vnc to {}", vnc(&instance.text("pnode"), bind, port)));
    }
    match param("serial_console").and_then(Value::as_bool) {
        Some(true) => {
            Info::text(format!("serial, with `gnt-instance console {}`", instance.text("name")))
        }
        _ => Info::text(""),
    }
}

/// Port of the first display.
const VNC_BASE_PORT: u64 = 5900;

fn vnc(node: &str, bind: &str, port: u64) -> String {
    match (bind.parse(), port.checked_sub(VNC_BASE_PORT)) {
        (Ok(Ipv4Addr::UNSPECIFIED), Some(display @ 1..)) => {
            format!("{node}:{port} (display {display})")
        }
        (Ok(_), Some(display @ 1..)) => format!("{bind}:{port} (node {node}) (display {display})"),
        // A socket in a directory.
        _ => format!("{node}:{bind}"),
    }
}

fn nodes(instance: &Record<'_>) -> Info {
    let secondaries = instance.items("snodes").iter().map(Info::json).collect();
    let mut primary = vec![("primary", Info::text(instance.text("pnode")))];
    if instance.knows("pnode.group") {
        let uuid = instance.text("pnode.group.uuid");
        let group = format!("{} (UUID {uuid})", instance.text("pnode.group"));
        primary.push(("group", Info::text(group)));
    }
    Info::List(vec![Info::map(primary), Info::map(vec![("secondaries", Info::List(secondaries))])])
}

/// Those that an instance can have of its own.
fn hypervisor_parameters(instance: &Record<'_>) -> Info {
    match filled(instance, "hvparams", "custom_hvparams") {
        Info::Map(mut entries) => {
            entries.retain(|(name, _)| !OF_THE_CLUSTER.contains(&name.as_str()));
            Info::Map(entries)
        }
        other => other,
    }
}

/// Hypervisor parameters that are the cluster's alone; Ganeti shows them only there.
const OF_THE_CLUSTER: [&str; 3] = ["migration_bandwidth", "migration_mode", "migration_port"];

/// All backend parameters; and `memory` as Ganeti has it since it was split in two.
fn backend_parameters(instance: &Record<'_>) -> Info {
    let memory = instance.value("beparams").and_then(|params| params.get("maxmem"));
    filled_with(instance, "beparams", "custom_beparams", memory.map(|value| ("memory", value)))
}

fn nics(instance: &Record<'_>) -> Info {
    // Title and field. Of what a cluster does not know of interfaces they have none, or it is left
    // out because they must have something.
    const ROWS: [(&str, &str); 8] = [
        ("MAC", "nic.macs"),
        ("IP", "nic.ips"),
        ("mode", "nic.modes"),
        ("link", "nic.links"),
        ("vlan", "nic.vlans"),
        ("network", "nic.networks.names"),
        ("UUID", "nic.uuids"),
        ("name", "nic.names"),
    ];
    let nics = (0..instance.items("nic.macs").len()).map(|i| {
        let rows = ROWS.into_iter().filter_map(|(title, field)| {
            let text = match (instance.items(field).get(i), title) {
                // Ganeti keeps a VLAN as an empty text where there is none.
                (Some(Value::Null), "vlan") => String::new(),
                (Some(Value::Null), _) | (None, "IP" | "network" | "name") => "None".to_owned(),
                (Some(value), _) => leaf(value),
                (None, _) => return None,
            };
            Some((title.to_owned(), Info::Text(text)))
        });
        Info::Map(std::iter::once((format!("nic/{i}"), Info::text(""))).chain(rows).collect())
    });
    Info::List(nics.collect())
}

fn disks(instance: &Record<'_>) -> Info {
    let template = instance.text("disk_template");
    let disks = instance.items("disk.sizes").iter().enumerate().map(|(i, size)| {
        let size = match size.as_u64() {
            Some(mib) => format_size(MiB(mib), Unit::H),
            None => leaf(size),
        };
        let head = (format!("disk/{i}"), Info::text(format!("{template}, size {size}")));
        let of = |field: &str| instance.items(field).get(i);
        let named = |title: &str, field| of(field).map(|value| (title.to_owned(), value));
        let place = named("logical_id", "disk.logical_ids").filter(|(_, value)| !value.is_null());
        let path = of("disk.logical_ids").and_then(|id| id.get(1)).and_then(Value::as_str);
        // It is there for the guest as long as that runs; a file is no device with numbers.
        let active = path.filter(|_| instance.flag("oper_state") == Some(true));
        let active = active.map(|path| Info::text(format!("{path} (N/A:N/A)")));
        let details = [
            named("access mode", "disk.modes").map(|(title, value)| (title, Info::json(value))),
            place.map(|(title, value)| (title, Info::text(python(value)))),
            active.map(|device| ("on primary".to_owned(), device)),
            named("name", "disk.names").map(|(title, value)| (title, Info::json(value))),
            named("UUID", "disk.uuids").map(|(title, value)| (title, Info::json(value))),
        ];
        Info::Map(std::iter::once(head).chain(details.into_iter().flatten()).collect())
    });
    Info::List(disks.collect())
}

#[cfg(test)]
mod tests {
    use gantry_model::query::{Cell, FieldDef, FieldKind, Table};

    use super::*;

    // covers: C66
    #[test]
    fn graphical_consoles_are_said_as_ganeti_says_them() {
        assert_eq!(vnc("node1", "0.0.0.0", 11000), "node1:11000 (display 5100)");
        let one = "192.0.2.1:11000 (node node1) (display 5100)";
        assert_eq!(vnc("node1", "192.0.2.1", 11000), one);
        assert_eq!(vnc("node1", "/run/vnc", 11000), "node1:/run/vnc");
        assert_eq!(vnc("node1", "0.0.0.0", 5900), "node1:0.0.0.0");
    }

    #[test]
    fn what_a_node_cannot_say_of_a_guest_is_said_with_its_reason() {
        let field = |name: &str| FieldDef {
            name: name.into(),
            title: String::new(),
            kind: FieldKind::Text,
            doc: String::new(),
        };
        let cells = [
            ("admin_state", Cell::Value("up".into())),
            ("status", Cell::NoData),
            ("status.fault", Cell::Value("process 17 runs it".into())),
            ("oper_state", Cell::NoData),
        ];
        let table = Table {
            fields: cells.iter().map(|(name, _)| field(name)).collect(),
            rows: vec![cells.iter().map(|(_, cell)| cell.clone()).collect()],
            unknown_fields: Vec::new(),
            filtered: false,
        };
        let said: Vec<String> = records(&table).map(|row| state(&row, false)).collect();
        let expected = "configured to be up, actual state is unknown (process 17 runs it)";
        assert_eq!(said, [expected]);
    }
}

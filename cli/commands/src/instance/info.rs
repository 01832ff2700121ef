//! `gantry instance info` (C66)

use gantry_model::query::Resource;
use gantry_model::units::{MiB, Timestamp};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::context::Context;
use crate::error::CommandError;
use crate::output::info::{Info, parameters};
use crate::output::json::table_document;
use crate::output::python::python;
use crate::parse::size::{Unit, format_size};
use crate::records::{Record, records};

/// What the tree is made of, without what the guest does now.
const STATIC_FIELDS: [&str; 27] = [
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
    #[arg(value_name = "INSTANCE", required_unless_present = "all")]
    names: Vec<String>,
    /// Show all instances
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Show the configuration only, not what the guest does
    #[arg(short = 's', long = "static")]
    is_static: bool,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    ctx.typed(Resource::Instance, &args.names);
    let client = ctx.client().await?;
    let mut fields = STATIC_FIELDS.to_vec();
    if !args.is_static {
        fields.extend(LIVE_FIELDS);
    }
    let table = client.query(Resource::Instance, &fields, &args.names).await?;
    if ctx.json() {
        ctx.set_document(table_document(&table));
        return Ok(());
    }
    let zone = ctx.io.time_zone.clone();
    let instances = records(&table).map(|row| tree(&row, args.is_static, &zone)).collect();
    ctx.print(&Info::List(instances).to_text())
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
        ("Hypervisor parameters", "hvparams", filled(instance, "hvparams", "custom_hvparams")),
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
    let serial = instance.value("hvparams").and_then(|params| params.get("serial_console"));
    match serial.and_then(Value::as_bool) {
        Some(true) => {
            Info::text(format!("serial, with `gnt-instance console {}`", instance.text("name")))
        }
        _ => Info::text(""),
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

/// All backend parameters; and `memory` as Ganeti has it since it was split in two.
fn backend_parameters(instance: &Record<'_>) -> Info {
    let memory = instance.value("beparams").and_then(|params| params.get("maxmem"));
    with(instance, "beparams", "custom_beparams", memory.map(|value| ("memory", value)))
}

/// All parameters, those of the defaults marked.
fn filled(instance: &Record<'_>, all: &str, set: &str) -> Info {
    with(instance, all, set, None)
}

/// The same with one more.
fn with(instance: &Record<'_>, all: &str, set: &str, more: Option<(&str, &Value)>) -> Info {
    let object = |field: &str| instance.value(field).and_then(Value::as_object);
    let all = object(all).into_iter().flatten().map(|(name, value)| (name.as_str(), value));
    let rows: Vec<(String, String)> =
        all.chain(more).map(|(name, value)| (name.to_owned(), plain(value))).collect();
    parameters(&rows, |name| object(set).is_some_and(|set| set.contains_key(name)))
}

fn plain(value: &Value) -> String {
    match Info::json(value) {
        Info::Text(text) => text,
        Info::List(_) | Info::Map(_) => value.to_string(),
    }
}

fn nics(instance: &Record<'_>) -> Info {
    let uuids = instance.items("nic.uuids");
    let nics = instance.items("nic.macs").iter().enumerate().map(|(i, mac)| {
        // Interfaces have no address, network or name yet; what connects them is left out.
        let mut entries = vec![
            (format!("nic/{i}"), Info::text("")),
            ("MAC".into(), Info::json(mac)),
            ("IP".into(), Info::text("None")),
            ("network".into(), Info::text("None")),
        ];
        entries.extend(uuids.get(i).map(|uuid| ("UUID".into(), Info::json(uuid))));
        entries.push(("name".into(), Info::text("None")));
        Info::Map(entries)
    });
    Info::List(nics.collect())
}

fn disks(instance: &Record<'_>) -> Info {
    let template = instance.text("disk_template");
    let disks = instance.items("disk.sizes").iter().enumerate().map(|(i, size)| {
        let size = match size.as_u64() {
            Some(mib) => format_size(MiB(mib), Unit::H),
            None => plain(size),
        };
        let head = (format!("disk/{i}"), Info::text(format!("{template}, size {size}")));
        let of = |field: &str| instance.items(field).get(i);
        let named = |title: &str, field| of(field).map(|value| (title.to_owned(), value));
        let place = named("logical_id", "disk.logical_ids").filter(|(_, value)| !value.is_null());
        let details = [
            named("access mode", "disk.modes").map(|(title, value)| (title, Info::json(value))),
            place.map(|(title, value)| (title, Info::text(python(value)))),
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

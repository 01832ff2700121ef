//! Which instances a command is about (§T): by their names, their nodes, or tags of either; the
//! last option wins.

use std::collections::BTreeSet;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::names::{InstanceName, NodeName};
use gantry_model::query::{Resource, Table};
use gantry_model::tags::check_tag;
use serde_json::Value;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::error_text::NOTHING_SELECTED;
use crate::records::{Record, records};

/// Every option of the group, each of which takes back all others.
const MODES: [&str; 9] = [
    "instance",
    "all",
    "node",
    "primary",
    "secondary",
    "tags",
    "node_tags",
    "pri_node_tags",
    "sec_node_tags",
];

/// The instances meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ChosenArgs {
    /// Which: names of instances, or of nodes, or tags, as the options say
    #[arg(value_name = "INSTANCE")]
    names: Vec<String>,
    /// Do not ask when several instances are meant
    #[arg(long)]
    pub(super) force_multiple: bool,
    /// The instances with these names; so it is if nothing else is said
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    instance: bool,
    /// All instances of the cluster
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    all: bool,
    /// Those on the nodes with these names, as primary or secondary
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    node: bool,
    /// Those on the nodes with these names, as primary
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    primary: bool,
    /// Those on the nodes with these names, as secondary
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    secondary: bool,
    /// Those with one of these tags
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    tags: bool,
    /// Those on nodes with one of these tags, as primary or secondary
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    node_tags: bool,
    /// Those on nodes with one of these tags, as primary
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    pri_node_tags: bool,
    /// Those on nodes with one of these tags, as secondary
    #[arg(long, overrides_with_all = MODES, help_heading = "Which instances")]
    sec_node_tags: bool,
}

/// What the names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Names,
    All,
    Tags,
    Nodes(Place),
    NodeTags(Place),
}

/// As what a node has an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Either,
    Primary,
    Secondary,
}

/// An instance that is meant.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its whole name.
    pub(super) name: InstanceName,
    /// What runs it.
    pub(super) hypervisor: String,
}

/// The instances that are meant.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    /// In the order in which they are done.
    pub(super) targets: Vec<Target>,
    /// Whether they are to be asked about as several, however many they are.
    pub(super) several: bool,
    /// Whether all of the cluster are meant, so that none is no mistake.
    pub(super) all: bool,
}

impl ChosenArgs {
    fn mode(&self) -> Mode {
        match () {
            () if self.all => Mode::All,
            () if self.tags => Mode::Tags,
            () if self.node => Mode::Nodes(Place::Either),
            () if self.primary => Mode::Nodes(Place::Primary),
            () if self.secondary => Mode::Nodes(Place::Secondary),
            () if self.node_tags => Mode::NodeTags(Place::Either),
            () if self.pri_node_tags => Mode::NodeTags(Place::Primary),
            () if self.sec_node_tags => Mode::NodeTags(Place::Secondary),
            () => Mode::Names,
        }
    }

    /// What can be no name or tag is said with the reason, before anybody is asked.
    fn check_names(&self, mode: Mode) -> Result<(), CommandError> {
        let argument = |text: String| CommandError::argument(text);
        for name in &self.names {
            match mode {
                Mode::Names => {
                    InstanceName::new(name).map_err(|error| argument(error.to_string()))?;
                }
                Mode::Nodes(_) => {
                    NodeName::new(name).map_err(|error| argument(error.to_string()))?;
                }
                Mode::Tags | Mode::NodeTags(_) => check_tag(name).map_err(|error| {
                    CommandError::from(Fault::new(FaultCode::InvalidTag, error.to_string()))
                })?,
                Mode::All => {}
            }
        }
        Ok(())
    }

    /// Asks the cluster for them.
    ///
    /// # Errors
    /// When a name does not exist, none is meant, or there is no answer.
    pub(super) async fn choose(&self, ctx: &mut Context<'_>) -> Result<Chosen, CommandError> {
        let mode = self.mode();
        let missing = match mode {
            Mode::All if !self.names.is_empty() => {
                return Err(CommandError::argument("Cluster filter mode takes no arguments"));
            }
            Mode::All => None,
            Mode::Names => Some("No instance names passed"),
            Mode::Tags => Some("No instance tags passed"),
            Mode::Nodes(_) => Some("No node names passed"),
            Mode::NodeTags(_) => Some("No node tags passed"),
        };
        if let Some(text) = missing.filter(|_| self.names.is_empty()) {
            return Err(CommandError::argument(text));
        }
        self.check_names(mode)?;
        let targets = match mode {
            Mode::Names => by_name(ctx, &self.names).await?,
            Mode::All => matching(ctx, |_| true).await?,
            Mode::Tags => {
                let tags: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
                matching(ctx, |row| has_any(row.items("tags"), &tags)).await?
            }
            Mode::Nodes(place) => {
                ctx.typed(Resource::Node, &self.names);
                let nodes = named(ctx, Resource::Node, &["name"], &self.names).await?;
                let nodes = records(&nodes).map(|row| row.text("name")).collect();
                on_nodes(ctx, &nodes, place).await?
            }
            Mode::NodeTags(place) => {
                let tags: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
                let nodes =
                    ctx.client().await?.query(Resource::Node, &["name", "tags"], &[]).await?;
                let tagged = records(&nodes).filter(|row| has_any(row.items("tags"), &tags));
                let nodes = tagged.map(|row| row.text("name")).collect();
                on_nodes(ctx, &nodes, place).await?
            }
        };
        if targets.is_empty() && mode != Mode::All {
            return Err(CommandError::argument(NOTHING_SELECTED));
        }
        let several = mode != Mode::Names || targets.len() > 1;
        Ok(Chosen { targets, several, all: mode == Mode::All })
    }
}

/// In the order in which they were typed.
async fn by_name(ctx: &mut Context<'_>, names: &[String]) -> Result<Vec<Target>, CommandError> {
    ctx.typed(Resource::Instance, names);
    let table = named(ctx, Resource::Instance, &["name", "hypervisor"], names).await?;
    targets(&table, |_| true)
}

/// What has these names. If the only one is nobody's, nothing is selected, in Ganeti's words. Of
/// several names each must be somebody's: Ganeti leaves out the others without a word, and a
/// misspelt name is then taken for done.
async fn named(
    ctx: &mut Context<'_>,
    resource: Resource,
    fields: &[&str],
    names: &[String],
) -> Result<Table, CommandError> {
    let answer = ctx.client().await?.query(resource, fields, names).await;
    answer.map_err(|error| match error.fault() {
        Some(fault) if names.len() == 1 && fault.code == FaultCode::UnknownEntity => {
            let nothing = Failure::NothingSelected(fault.clone());
            CommandError::new(CommandErrorKind::Failed, nothing)
        }
        _ => error.into(),
    })
}

/// Of all instances those that are wanted, by name.
async fn matching(
    ctx: &mut Context<'_>,
    wanted: impl Fn(&Record<'_>) -> bool,
) -> Result<Vec<Target>, CommandError> {
    let fields = ["name", "hypervisor", "pnode", "snodes", "tags"];
    let table = ctx.client().await?.query(Resource::Instance, &fields, &[]).await?;
    targets(&table, wanted)
}

async fn on_nodes(
    ctx: &mut Context<'_>,
    nodes: &BTreeSet<String>,
    place: Place,
) -> Result<Vec<Target>, CommandError> {
    let names: BTreeSet<&str> = nodes.iter().map(String::as_str).collect();
    matching(ctx, |row| {
        let primary = || nodes.contains(&row.text("pnode"));
        let secondary = || has_any(row.items("snodes"), &names);
        match place {
            Place::Either => primary() || secondary(),
            Place::Primary => primary(),
            Place::Secondary => secondary(),
        }
    })
    .await
}

fn has_any(items: &[Value], wanted: &BTreeSet<&str>) -> bool {
    items.iter().filter_map(Value::as_str).any(|item| wanted.contains(item))
}

fn targets(
    table: &Table,
    wanted: impl Fn(&Record<'_>) -> bool,
) -> Result<Vec<Target>, CommandError> {
    let targets = records(table).filter(|row| wanted(row)).map(|row| {
        let name = InstanceName::new(&row.text("name")).map_err(|error| {
            let bug = Failure::Bug(format!("the cluster has an instance of this name: {error}"));
            CommandError::new(CommandErrorKind::Internal, bug)
        })?;
        Ok(Target { name, hypervisor: row.text("hypervisor") })
    });
    targets.collect()
}

//! `gantry instance add` (C60)

use std::collections::BTreeMap;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::names::InstanceName;
use gantry_model::objects::DiskTemplate;
use gantry_model::opcodes::InstanceCreate;
use gantry_model::params::{BackendOverrides, HvOverrides, PrivateParams};
use gantry_model::query::Resource;
use gantry_model::units::MiB;

use crate::cluster::init::{KeyValuesArgument, hypervisor_help, key_values_argument};
use crate::context::Context;
use crate::error::CommandError;
use crate::jobs::run_one;
use crate::options::{JobArgs, size_argument};
use crate::output::time::format_log_time;
use crate::parse::disk::{DiskOption, collect_disks, parse_disk};
use crate::parse::keyval::{KeyValue, KeyValues, parse_named_key_values};
use crate::parse::nic::{NicOption, collect_nics, parse_nic};
use crate::parse::node_pair::{NodePair, parse_node_pair};
use crate::parse::params::{backend_overrides, hypervisor_overrides};
use crate::parse::template::{TemplateWord, parse_template_word};

/// Create an instance
///
/// An OS must be named, or an image, which is copied onto its first disk. Scripts of an OS are not
/// run yet: without an image say --no-install. It is started, unless nothing was installed. When
/// something fails, everything made so far is taken back.
///
/// Example: gantry instance add -t file -s 4G -n node1 -O os-image=/srv/debian.raw -B memory=1G
/// web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the instance
    instance_name: InstanceName,
    /// Store its disks in this way: diskless, file, sharedfile or fake
    ///
    /// The default is the first that the cluster has enabled.
    #[arg(short = 't', long, value_name = "NAME", value_parser = parse_template_word)]
    disk_template: Option<TemplateWord>,
    /// Make one disk of this size, such as 512, 1.5G or 2T
    #[arg(short = 's', long, value_name = "SIZE", value_parser = size_argument)]
    os_size: Option<MiB>,
    /// Make disk N, with size=SIZE and if wanted mode=ro|rw and name=TEXT
    #[arg(long = "disk", value_name = "N:KEY=VALUE,...", value_parser = parse_disk)]
    disks: Vec<DiskOption>,
    /// Run it on this node; needed, nothing chooses one yet
    ///
    /// A secondary node may stand behind a colon. None of the disk templates is mirrored yet, so it
    /// is not used, which is said.
    #[arg(short, long, value_name = "NODE[:NODE]", value_parser = parse_node_pair)]
    node: Option<NodePair>,
    /// Say which OS it has
    #[arg(short, long, value_name = "NAME")]
    os_type: Option<String>,
    /// Set parameters of its OS; os-image=PATH copies that image onto disk 0
    ///
    /// Others are kept for the OS that -o names. Nothing reads them yet: its scripts are not run.
    #[arg(short = 'O', long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    os_parameters: Option<KeyValuesArgument>,
    /// Set parameters of its OS that nobody is shown afterwards
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    os_parameters_private: Option<KeyValuesArgument>,
    /// Set parameters of its OS for this job alone: kept sealed until it ends, then nowhere
    ///
    /// Nothing reads them yet: the scripts of an OS are not run.
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    os_parameters_secret: Option<KeyValuesArgument>,
    /// Run it under this hypervisor, with these parameters
    #[arg(short = 'H', long, value_name = "HV[:KEY=VALUE,...]",
        value_parser = parse_named_key_values,
        long_help = hypervisor_help("Run it under this hypervisor, with these parameters"))]
    hypervisor_parameters: Option<(String, KeyValues)>,
    /// Set its backend parameters, such as memory=1G,vcpus=2
    #[arg(short = 'B', long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    backend_parameters: Option<KeyValuesArgument>,
    /// Give it these tags
    #[arg(long, value_name = "TAG,...", value_delimiter = ',')]
    tags: Vec<String>,
    /// Install nothing on its disks
    #[arg(long)]
    no_install: bool,
    /// Do not start it
    #[arg(long)]
    no_start: bool,
    /// Make network interface N; without any --net there is one as the cluster's defaults say
    ///
    /// Keys: mac=ADDRESS|auto, ip=ADDRESS|none, mode=bridged|routed|openvswitch, link=NAME,
    /// vlan=ID, name=TEXT.
    #[arg(long, value_name = "N:KEY=VALUE,...", value_parser = parse_nic)]
    net: Vec<NicOption>,
    /// Give it no network interface
    #[arg(long)]
    no_nics: bool,
    /// Take an IP address that another interface on the same link has
    #[arg(long)]
    no_conflicts_check: bool,
    /// Keep its disks in this directory below the cluster's, with template file
    #[arg(long, value_name = "DIR")]
    file_storage_dir: Option<String>,
    /// Attach file disks in this way; loop is the only one
    #[arg(long, value_name = "DRIVER", value_parser = ["loop", "blktap", "blktap2"])]
    file_driver: Option<String>,
    /// Accepted: there is nothing to wait for, disks are whole when they are made
    #[arg(long)]
    no_wait_for_sync: bool,
    /// Accepted: only locks of the node named are taken
    #[arg(long)]
    opportunistic_locking: bool,
    /// Accepted: variants of an OS are not looked at
    #[arg(long)]
    force_variant: bool,
    /// Make it also when the instance policy does not allow it
    #[arg(long)]
    ignore_ipolicy: bool,
    #[command(flatten)]
    later: LaterArgs,
    /// Deprecated: names are not looked up anyway
    #[arg(long)]
    no_name_check: bool,
    /// Deprecated: addresses are not looked for anyway
    #[arg(long)]
    no_ip_check: bool,
    #[command(flatten)]
    job: JobArgs,
}

/// Options of what is not there yet: known, so that whoever uses them is told why and what to do.
#[derive(Clone, Debug, clap::Args)]
struct LaterArgs {
    /// Refused: comes with placement
    #[arg(short = 'I', long, hide = true, value_name = "NAME")]
    iallocator: Option<String>,
    /// Refused: comes with placement
    #[arg(short = 'g', long, hide = true, value_name = "GROUP")]
    node_group: Option<String>,
    /// Refused: names are not looked up
    #[arg(long, hide = true)]
    ip_check: bool,
    /// Refused: names are not looked up
    #[arg(long, hide = true)]
    name_check: bool,
    /// Refused: comes with forthcoming instances
    #[arg(long, hide = true)]
    forthcoming: bool,
    /// Refused: comes with forthcoming instances
    #[arg(long, hide = true)]
    commit: bool,
    /// Refused, unless no: comes with instance communication
    #[arg(short = 'c', long, hide = true, value_name = "yes|no")]
    communication: Option<String>,
    /// Refused: comes with installing in a helper guest
    #[arg(long, hide = true, value_name = "SECONDS")]
    helper_startup_timeout: Option<String>,
    /// Refused: comes with installing in a helper guest
    #[arg(long, hide = true, value_name = "SECONDS")]
    helper_shutdown_timeout: Option<String>,
}

impl LaterArgs {
    /// Refuses what was given.
    fn refuse(&self) -> Result<(), CommandError> {
        let communicates = self.communication.as_deref().is_some_and(|word| word != "no");
        let helper =
            self.helper_startup_timeout.is_some() || self.helper_shutdown_timeout.is_some();
        let given = [
            (self.iallocator.is_some(), "--iallocator", "placement", "name the node with -n"),
            (self.node_group.is_some(), "--node-group", "placement", "name the node with -n"),
            (self.ip_check, "--ip-check", "looking names up", "leave it out"),
            (self.name_check, "--name-check", "looking names up", "leave it out"),
            (self.forthcoming, "--forthcoming", "forthcoming instances", "create it when needed"),
            (self.commit, "--commit", "forthcoming instances", "leave it out"),
            (communicates, "--communication", "instance communication", "say -c no"),
            (helper, "--helper-*-timeout", "installing in a helper guest", "leave it out"),
        ];
        match given.into_iter().find(|(given, ..)| *given) {
            Some((_, option, with, instead)) => {
                let text = format!("{option} is not available yet: it comes with {with}");
                Err(CommandError::argument(text).hint(instead))
            }
            None => Ok(()),
        }
    }
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    args.later.refuse()?;
    for (given, option) in
        [(args.no_name_check, "--no-name-check"), (args.no_ip_check, "--no-ip-check")]
    {
        if given {
            ctx.warn(&format!("Warning: {option} is deprecated: it is so without it"))?;
        }
    }
    if let Some(driver) = args.file_driver.as_deref().filter(|driver| *driver != "loop") {
        let text = format!("--file-driver {driver}: only Xen attaches disks in this way");
        return Err(CommandError::argument(text).hint("say --file-driver loop, or leave it out"));
    }
    let hvparams = match &args.hypervisor_parameters {
        Some((name, pairs)) => Some(hypervisor_overrides(name, pairs)?),
        None => None,
    };
    let beparams = match &args.backend_parameters {
        Some(KeyValuesArgument(pairs)) => backend_overrides(pairs)?,
        None => BackendOverrides::default(),
    };
    let osparams = os_parameters(args.os_parameters.as_ref())?;
    let private = os_parameters(args.os_parameters_private.as_ref())?;
    let secret = os_parameters(args.os_parameters_secret.as_ref())?;
    let osparams = (osparams, private.into_iter().collect(), secret.into_iter().collect());
    let disk_template = match args.disk_template {
        Some(TemplateWord::Known(template)) => template,
        Some(TemplateWord::Later(word)) => return Err(later_template(ctx, word).await?),
        None => default_template(ctx).await?,
    };
    let op = create(args.clone(), disk_template, hvparams, beparams, osparams)?;
    // The instance is new; a name that does not exist can only be the node's.
    let node: Vec<String> = args.node.iter().map(|pair| pair.primary.to_string()).collect();
    ctx.typed(Resource::Node, &node);
    if args.node.as_ref().is_some_and(|pair| pair.secondary.is_some()) {
        let time = format_log_time((ctx.io.now)(), &ctx.io.time_zone);
        let text = "Secondary node will be ignored on non-mirrored disk template";
        // Ganeti's job says it, so it stands with what the job says.
        ctx.say(&format!("{time}  - WARNING: {text}"))?;
    }
    let request = ctx.request(op, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}

/// Public, private and secret ones.
type OsParameters = (BTreeMap<String, String>, PrivateParams, PrivateParams);

fn create(
    args: Args,
    disk_template: DiskTemplate,
    hvparams: Option<HvOverrides>,
    beparams: BackendOverrides,
    (osparams, osparams_private, osparams_secret): OsParameters,
) -> Result<InstanceCreate, CommandError> {
    Ok(InstanceCreate {
        disks: collect_disks(disk_template, args.os_size, &args.disks)?,
        nics: collect_nics(args.no_nics, &args.net)?,
        no_conflicts_check: args.no_conflicts_check,
        file_storage_dir: args.file_storage_dir,
        ignore_ipolicy: args.ignore_ipolicy,
        instance_name: args.instance_name,
        primary_node: args.node.map(|pair| pair.primary),
        disk_template,
        hvparams,
        beparams,
        os: args.os_type.unwrap_or_default(),
        osparams,
        osparams_private,
        osparams_secret: osparams_secret.into(),
        no_install: args.no_install,
        start: !args.no_start,
        tags: args.tags,
    })
}

/// In the words that Ganeti has where a template is not enabled, which one that is not there yet
/// never is.
async fn later_template(ctx: &mut Context<'_>, word: &str) -> Result<CommandError, CommandError> {
    let info = ctx.client().await?.cluster().await?;
    let enabled: Vec<&str> =
        info.cluster.enabled_disk_templates.iter().map(|template| template.as_str()).collect();
    let text = format!(
        "Disk template '{word}' is not enabled in cluster. Enabled disk templates are: {}",
        enabled.join(",")
    );
    let error = CommandError::from(Fault::new(FaultCode::WrongState, text));
    Ok(error.hint(format!("{word} is not available yet: choose one that is enabled")))
}

async fn default_template(ctx: &mut Context<'_>) -> Result<DiskTemplate, CommandError> {
    let info = ctx.client().await?.cluster().await?;
    info.cluster.enabled_disk_templates.first().copied().ok_or_else(|| {
        CommandError::argument("the cluster has no disk template enabled: give --disk-template")
    })
}

pub(super) fn os_parameters(
    given: Option<&KeyValuesArgument>,
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut parameters = BTreeMap::new();
    for (key, value) in given.iter().flat_map(|list| &list.0) {
        let KeyValue::Text(text) = value else {
            let text = format!("OS parameter {key} must be of the form {key}=VALUE");
            return Err(CommandError::argument(text));
        };
        parameters.insert(key.clone(), text.clone());
    }
    Ok(parameters)
}

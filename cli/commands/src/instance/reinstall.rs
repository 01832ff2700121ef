//! `gantry instance reinstall` (C69)

use gantry_model::opcodes::InstanceReinstall;
use gantry_model::params::PrivateParams;

use super::add::os_parameters;
use super::chosen::ChosenArgs;
use super::many::{confirm_all, submit_all};
use crate::cluster::init::{KeyValuesArgument, key_values_argument};
use crate::confirm::confirm;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::options::JobArgs;

/// Install instances anew
///
/// An image is copied onto the first disk of each: the one that the OS parameter os-image names, or
/// the one that it was installed from before. What was there is lost. They must be stopped.
///
/// Example: gantry instance reinstall -O os-image=/srv/debian.raw web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    instances: ChosenArgs,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Say which OS it has from then on
    #[arg(short, long, value_name = "NAME")]
    os_type: Option<String>,
    /// Take the OS also in a variant that it does not have; so far none has variants
    #[arg(long)]
    force_variant: bool,
    /// Choose the OS from a list
    ///
    /// This is refused: there are no OS definitions yet that could be listed.
    #[arg(long)]
    select_os: bool,
    /// Set parameters of its OS; os-image=PATH is the image
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
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    if args.select_os {
        let text = "--select-os cannot be used: there are no OS definitions to choose from yet";
        return Err(CommandError::argument(text).hint("name an image with -O os-image=PATH"));
    }
    let osparams = os_parameters(args.os_parameters.as_ref())?;
    let private = os_parameters(args.os_parameters_private.as_ref())?;
    let osparams_private: PrivateParams = private.into_iter().collect();
    let secret = os_parameters(args.os_parameters_secret.as_ref())?;
    let osparams_secret: PrivateParams = secret.into_iter().collect();
    let chosen = args.instances.choose(ctx).await?;
    let os_text = match &args.os_type {
        Some(os) => format!("change the OS to '{os}'"),
        None => "keep the same OS".to_owned(),
    };
    let asks = !args.instances.force_multiple && !args.job.submit.plan;
    if chosen.several && asks {
        let extra = format!(
            "Note: this will remove *all* data for the below instances! It will {os_text}.\n"
        );
        confirm_all(ctx, "reinstall", &chosen, &extra).await?;
    }
    if !chosen.several && !args.force && asks {
        let name = chosen.targets.first().map(|target| target.name.to_string());
        let question = format!(
            "This will reinstall the instance '{}' (and {os_text}) which removes all data. \
             Continue?",
            name.unwrap_or_default()
        );
        if !confirm(ctx, &question, "Perform the operation").await? {
            let declined = CommandError::new(CommandErrorKind::Declined, Failure::Declined);
            return Err(declined.hint("--force asks no question"));
        }
    }
    let op = |target: &super::chosen::Target| {
        InstanceReinstall {
            instance_name: target.name.clone(),
            os_type: args.os_type.clone(),
            force_variant: args.force_variant,
            osparams: osparams.clone(),
            osparams_private: osparams_private.clone(),
            osparams_secret: osparams_secret.clone().into(),
        }
        .into()
    };
    let ops = chosen.targets.iter().map(op).collect();
    submit_all(ctx, &chosen, ops, args.job).await
}

//! `gantry debug locks` (C38, L23, L74)

use std::time::Duration;

use gantry_model::query::Resource;
use gantry_model::units::Millis;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::{Listing, list};
use crate::options::{ListArgs, UnitsArgs};
use crate::parse::duration::parse_duration;
use crate::parse::filter::Wanted;

const DEFAULT_FIELDS: [&str; 4] = ["name", "mode", "owner", "pending"];

/// List locks that are held or waited for
///
/// Example: gantry debug locks --interval 2
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    list: ListArgs,
    /// List them again and again, with so much time between; 0 lists them once
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    interval: Option<Millis>,
}

/// Shortest interval. Less only keeps the lock actor busy with answers that nobody can read.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    loop {
        let listing = Listing {
            resource: Resource::Lock,
            wanted: Wanted::Names(Vec::new()),
            only: None,
            archived: false,
            default_fields: &DEFAULT_FIELDS,
            args: &args.list,
            units: UnitsArgs::default(),
        };
        list(ctx, listing).await?;
        match args.interval {
            // One document is the answer to one question.
            Some(interval) if interval.0 > 0 && !ctx.json() => {
                tokio::time::sleep(Duration::from(interval).max(INTERVAL_MIN)).await;
                ctx.say("")?;
            }
            _ => return Ok(()),
        }
    }
}

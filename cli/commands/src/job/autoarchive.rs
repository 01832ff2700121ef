//! `gantry job autoarchive` (C88)

use gantry_model::units::Millis;
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::parse::ParseError;
use crate::parse::duration::parse_duration;

/// Take all jobs out of the list that ended some time ago
///
/// Example: gantry job autoarchive 6h
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How long ago, such as 90, 5m, 6h, 1d or 1w; `all` for all that have ended
    #[arg(value_name = "AGE", value_parser = age_argument)]
    age: Age,
}

#[derive(Clone, Copy, Debug)]
enum Age {
    All,
    Since(Millis),
}

fn age_argument(text: &str) -> Result<Age, ParseError> {
    match text {
        "all" => Ok(Age::All),
        text => parse_duration(text).map(Age::Since),
    }
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let age = match args.age {
        Age::All => None,
        Age::Since(age) => Some(age),
    };
    let done = client.auto_archive(age).await?;
    if ctx.json() {
        ctx.set_document(json!({ "archived": done.archived, "left": done.left }));
        return Ok(());
    }
    ctx.say(&format!("Archived {} jobs, {} unchecked left", done.archived, done.left))
}

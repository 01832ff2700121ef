//! `gantry debug locks` (C38, L23, L74)

use std::time::Duration;

use gantry_model::ids::JobId;
use gantry_model::locks::LockRow;
use gantry_model::query::{Cell, FieldDef, FieldKind, Table};
use gantry_model::units::Millis;
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::show;
use crate::options::{ListArgs, UnitsArgs};
use crate::parse::duration::parse_duration;

const FIELDS: [(&str, &str); 4] =
    [("name", "Name"), ("mode", "Mode"), ("owner", "Owner"), ("pending", "Pending")];

/// List locks that are held or waited for
///
/// Example: gantry debug locks --interval 2
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    list: ListArgs,
    /// List them again and again, with so much time between
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    interval: Option<Millis>,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let names = FIELDS.map(|(name, _)| name);
    let fields = match args.list.fields(&names) {
        fields if fields.is_empty() => names.map(str::to_owned).to_vec(),
        fields => fields,
    };
    loop {
        let rows = client.locks().await?;
        show(ctx, &table(&rows, &fields), &args.list, UnitsArgs::default())?;
        match args.interval {
            // One document is the answer to one question.
            Some(interval) if !ctx.json() => {
                tokio::time::sleep(Duration::from(interval).max(INTERVAL_MIN)).await;
                ctx.say("")?;
            }
            _ => return Ok(()),
        }
    }
}

/// Shortest interval. Less only keeps the lock actor busy with answers that nobody can read.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

fn table(rows: &[LockRow], fields: &[String]) -> Table {
    let known = |name: &String| FIELDS.iter().find(|(known, _)| known == name);
    let defs = fields.iter().map(|name| FieldDef {
        name: name.clone(),
        title: known(name).map_or_else(|| name.clone(), |(_, title)| (*title).to_owned()),
        kind: FieldKind::Other,
        doc: String::new(),
    });
    let rows = rows.iter().map(|row| fields.iter().map(|field| cell(row, field)).collect());
    Table {
        fields: defs.collect(),
        rows: rows.collect(),
        unknown_fields: fields.iter().filter(|name| known(name).is_none()).cloned().collect(),
    }
}

fn cell(row: &LockRow, field: &str) -> Cell {
    let job_list = |jobs: &[JobId]| {
        let jobs: Vec<String> = jobs.iter().map(|job| format!("job{job}")).collect();
        jobs.join(",")
    };
    match field {
        "name" => Cell::Value(json!(row.name.to_string())),
        "mode" => row.mode.map_or(Cell::Unavailable, |mode| Cell::Value(json!(mode.as_str()))),
        "owner" if row.owners.is_empty() => Cell::Unavailable,
        "owner" => Cell::Value(json!(job_list(&row.owners))),
        "pending" if row.pending.is_empty() => Cell::Unavailable,
        "pending" => {
            let pending: Vec<String> = row
                .pending
                .iter()
                .map(|(mode, jobs)| format!("{}:{}", mode.as_str(), job_list(jobs)))
                .collect();
            Cell::Value(json!(pending.join(" ")))
        }
        _ => Cell::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::locks::{LockLevel, LockMode, LockName};

    // covers: L23 L74
    #[test]
    fn owners_and_waiters_are_jobs() {
        let row = LockRow {
            name: LockName::set(LockLevel::Node),
            mode: Some(LockMode::Shared),
            owners: vec![JobId(3), JobId(4)],
            pending: vec![(LockMode::Exclusive, vec![JobId(5)])],
        };
        let text = |field| match cell(&row, field) {
            Cell::Value(value) => value.as_str().unwrap_or_default().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text("name"), "node/[lockset]");
        assert_eq!(text("mode"), "shared");
        assert_eq!(text("owner"), "job3,job4");
        assert_eq!(text("pending"), "exclusive:job5");
    }

    #[test]
    fn fields_that_locks_do_not_have_are_told() {
        let table = table(&[], &["name".to_owned(), "colour".to_owned()]);
        assert_eq!(table.unknown_fields, ["colour"]);
        assert_eq!(table.fields.len(), 2);
    }
}

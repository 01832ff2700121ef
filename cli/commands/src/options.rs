//! Options that commands share: how a job is submitted (§S §D §P), how a list is written (§L).

use clap::ValueEnum;
use gantry_model::units::MiB;

use crate::context::Context;
use crate::output::cells::ListStyle;
use crate::output::info::Info;
use crate::parse::size::Unit;

/// Urgency as it is typed (Q30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Priority {
    /// After everything else: 10.
    Low,
    /// As usual: 0.
    Normal,
    /// Before everything else: -10.
    High,
}

impl Priority {
    /// Its number.
    #[must_use]
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Low => 10,
            Self::Normal => 0,
            Self::High => -10,
        }
    }
}

/// Ganeti's way to say whether.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// It is so.
    Yes,
    /// It is not.
    No,
}

/// Whether to wait for a job (§S).
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct SubmitArgs {
    /// Submit the job and return without waiting for it
    #[arg(long)]
    pub submit: bool,
    /// Print the number of the job on standard output
    #[arg(long)]
    pub print_jobid: bool,
    /// Print what the job would do: locks, nodes, steps, changes; and submit nothing
    #[arg(long, conflicts_with_all = ["submit", "print_jobid"])]
    pub plan: bool,
}

/// Whether to act (§D).
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct DryRunArgs {
    /// Check whether it could be done, and stop before doing it
    #[arg(long)]
    pub dry_run: bool,
}

/// How urgent it is (§P).
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PriorityArgs {
    /// Say how urgent the job is
    #[arg(long, value_enum, default_value_t = Priority::Normal)]
    pub priority: Priority,
}

/// All three.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct JobArgs {
    /// §S
    #[command(flatten)]
    pub submit: SubmitArgs,
    /// §D
    #[command(flatten)]
    pub dry_run: DryRunArgs,
    /// §P
    #[command(flatten)]
    pub priority: PriorityArgs,
}

/// What goes into an opcode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpOptions {
    /// Stop after the check.
    pub dry_run: bool,
    /// Urgency.
    pub priority: i8,
}

impl JobArgs {
    /// What goes into an opcode.
    #[must_use]
    pub(crate) fn op(&self) -> OpOptions {
        OpOptions { dry_run: self.dry_run.dry_run, priority: self.priority.priority.number() }
    }
}

/// How a list is written (§L).
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ListArgs {
    /// Leave out the line with the headers
    #[arg(long)]
    pub no_headers: bool,
    /// Separate values by this text in place of aligning them
    #[arg(long, value_name = "TEXT")]
    pub separator: Option<String>,
    /// List these fields, or with + in front these after the default ones
    #[arg(short = 'o', long, value_name = "FIELDS")]
    pub output: Option<String>,
    /// Print words in place of marks for missing values
    #[arg(short, long)]
    pub verbose: bool,
}

/// Which rows are listed: names, or a filter.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct FilterArgs {
    /// Take the argument as a filter, also where it could be a name
    ///
    /// A single argument with a blank, a quote, a parenthesis or an operator is taken as one
    /// anyway. Fields are compared by == != < <= > >= with numbers and quoted texts, by =~ and !~
    /// with regular expressions as in name =~ m/^web/i, by =* and !* with patterns as in name =*
    /// "web*"; "text" in field looks into lists; a field alone must be true; and, or, not and
    /// parentheses join conditions.
    #[arg(short = 'F', long = "filter")]
    pub force_filter: bool,
}

/// How numbers are written in what is shown of one thing.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct RomanArgs {
    /// Write whole numbers as the Romans did
    #[arg(long)]
    pub roman: bool,
}

impl RomanArgs {
    /// The tree with its numbers as wished.
    #[must_use]
    pub(crate) fn of(self, info: Info) -> Info {
        if self.roman { info.in_roman() } else { info }
    }
}

/// How a list of something else than objects is written (§H).
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct HeaderArgs {
    /// Leave out the line with the headers
    #[arg(long)]
    pub no_headers: bool,
    /// Separate values by this text in place of aligning them
    #[arg(long, value_name = "TEXT")]
    pub separator: Option<String>,
}

/// Options of the commands that list fields.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FieldsArgs {
    /// Only these
    #[arg(value_name = "FIELD")]
    pub(crate) fields: Vec<String>,
    #[command(flatten)]
    pub(crate) headers: HeaderArgs,
}

/// In which unit sizes are written.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct UnitsArgs {
    /// Print sizes in MiB (m), GiB (g), TiB (t), or what fits (h)
    ///
    /// The default is h, and m with --separator.
    #[arg(long, value_enum, ignore_case = true)]
    pub units: Option<Unit>,
}

impl ListArgs {
    /// The style that these options ask for.
    #[must_use]
    pub(crate) fn style(&self, units: UnitsArgs, ctx: &Context<'_>) -> ListStyle {
        // As in Ganeti an empty one is none here.
        let machine = self.separator.as_ref().is_some_and(|text| !text.is_empty());
        let usual = if machine { Unit::M } else { Unit::H };
        ListStyle {
            headers: !self.no_headers,
            separator: self.separator.clone(),
            unit: units.units.unwrap_or(usual),
            verbose: self.verbose,
            time_zone: ctx.io.time_zone.clone(),
        }
    }

    /// The fields to ask for: those given, or the default ones with those given after them. `all`
    /// is every field, which a query says by naming none.
    #[must_use]
    pub(crate) fn fields(&self, default: &[&str]) -> Vec<String> {
        let split = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match self.output.as_deref() {
            None => default.iter().map(|&field| field.to_owned()).collect(),
            Some("all") => Vec::new(),
            Some(text) => match text.strip_prefix('+') {
                Some(more) => {
                    let more = split(more);
                    default.iter().map(|&field| field.to_owned()).chain(more).collect()
                }
                None => split(text),
            },
        }
    }
}

/// Reads a disk size for clap.
///
/// # Errors
/// When it is none.
pub(crate) fn size_argument(text: &str) -> Result<MiB, crate::parse::ParseError> {
    crate::parse::disk::disk_size(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C206
    #[test]
    fn a_plus_adds_to_the_default_fields() {
        let fields = |output: Option<&str>| {
            let args = ListArgs { output: output.map(str::to_owned), ..ListArgs::default() };
            args.fields(&["id", "status"])
        };
        assert_eq!(fields(None), ["id", "status"]);
        assert_eq!(fields(Some("a,b")), ["a", "b"]);
        assert_eq!(fields(Some("+a,b")), ["id", "status", "a", "b"]);
        assert_eq!(fields(Some("+all")), ["id", "status", "all"]);
        assert_eq!(fields(Some("all")), Vec::<String>::new());
    }

    // covers: Q30
    #[test]
    fn priorities_have_ganetis_numbers() {
        let numbers: Vec<i8> = Priority::value_variants().iter().map(|p| p.number()).collect();
        assert_eq!(numbers, [10, 0, -10]);
    }
}

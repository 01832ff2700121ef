//! The command line as a whole: global options, nouns, and how arguments become a command.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches as _, Subcommand};

use crate::arity::wrong_arguments;
use crate::cluster::ClusterCommand;
use crate::context::Context;
use crate::debug::DebugCommand;
use crate::error::CommandError;
use crate::instance::InstanceCommand;
use crate::io::Io;
use crate::job::JobCommand;
use crate::node::NodeCommand;
use crate::parse::words::split_words;
use crate::program::Program;
use crate::top::{
    complete, completion, daemon, demo, doctor, install_links, install_man, install_units, join,
};
use crate::usage_list::usage_list;

/// The names of links that make this program behave as a Ganeti command.
pub const LINKS: [Program; 5] =
    [Program::Cluster, Program::Node, Program::Instance, Program::Job, Program::Debug];

/// Columns of help where nobody looks at it: in pipes and tests.
const HELP_COLUMNS: usize = 100;

/// Options that every command has.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Use the credentials and the daemon of this state directory
    ///
    /// The default is the value of GANTRY_STATE_DIR, or else /var/lib/gantry.
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Ask the daemon at HOST:PORT in place of the local one
    ///
    /// Any node of the cluster takes any command.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub endpoint: Option<String>,
    /// Log to standard error what is done; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub debug: u8,
    /// Say why, to be kept with the jobs
    #[arg(long, global = true, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print one JSON document in place of text
    #[arg(long, global = true)]
    pub json: bool,
}

/// All commands.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum GantryCommand {
    /// Manage the cluster itself
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Manage nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Manage instances
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Manage jobs
    #[command(subcommand)]
    Job(JobCommand),
    /// Test and look inside
    #[command(subcommand)]
    Debug(DebugCommand),
    Daemon(daemon::Args),
    Join(join::Args),
    Demo(demo::Args),
    Doctor(doctor::Args),
    InstallLinks(install_links::Args),
    InstallMan(install_man::Args),
    InstallUnits(install_units::Args),
    #[command(hide = true)]
    Complete(complete::Args),
    Completion(completion::Args),
}

impl GantryCommand {
    /// Runs it.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) async fn run(self, ctx: &mut Context<'_>) -> Result<(), CommandError> {
        match self {
            Self::Cluster(command) => command.run(ctx).await,
            Self::Node(command) => command.run(ctx).await,
            Self::Instance(command) => command.run(ctx).await,
            Self::Job(command) => command.run(ctx).await,
            Self::Debug(command) => command.run(ctx).await,
            Self::Daemon(args) => daemon::run(ctx, args).await,
            Self::Join(args) => join::run(ctx, args).await,
            Self::Demo(args) => demo::run(ctx, args).await,
            Self::Doctor(args) => doctor::run(ctx, args).await,
            Self::InstallLinks(args) => install_links::run(ctx, &args),
            Self::InstallMan(args) => install_man::run(ctx, &args),
            Self::InstallUnits(args) => install_units::run(ctx, &args),
            Self::Complete(args) => complete::run(ctx, args).await,
            Self::Completion(args) => completion::run(ctx, &args),
        }
    }

    /// Whether it treats Ctrl-C itself, and logs by itself.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self, Self::Daemon(_) | Self::Demo(_))
    }

    /// Whether it stands in the log of commands: what people run, not what shells ask.
    pub(crate) fn is_logged(&self) -> bool {
        !self.is_daemon() && !matches!(self, Self::Complete(_) | Self::Completion(_))
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "cluster",
            Self::Node(_) => "node",
            Self::Instance(_) => "instance",
            Self::Job(_) => "job",
            Self::Debug(_) => "debug",
            Self::Daemon(_) => "daemon",
            Self::Join(_) => "join",
            Self::Demo(_) => "demo",
            Self::Doctor(_) => "doctor",
            Self::InstallLinks(_) => "install-links",
            Self::InstallMan(_) => "install-man",
            Self::InstallUnits(_) => "install-units",
            Self::Complete(_) => "complete",
            Self::Completion(_) => "completion",
        }
    }
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) globals: GlobalArgs,
    pub(crate) command: GantryCommand,
    /// Noun and verb, for the reason trail.
    pub(crate) name: (&'static str, String),
}

/// Arguments that are no command: a question for help or the version, or an error.
#[derive(Debug)]
pub(crate) enum NoCommand {
    Help(String),
    Version(String),
    /// What is wrong, and which there are.
    NoSubcommand {
        wrong: String,
        list: String,
    },
    Usage(String),
    Arguments(String),
}

/// The definition of a command line, complete.
#[must_use]
pub fn command_of(program: Program) -> Command {
    let base = Command::new(program.name())
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .infer_subcommands(false)
        .subcommand_required(true)
        .arg_required_else_help(true)
        // As with Ganeti's parser the last one counts, so that defaults from the environment can be
        // overridden.
        .args_override_self(true);
    let base = GlobalArgs::augment_args(base);
    let (command, about) = match program {
        Program::Gantry => (
            GantryCommand::augment_subcommands(base),
            "Manage virtual machines on a cluster of nodes",
        ),
        Program::Cluster => (ClusterCommand::augment_subcommands(base), "Manage the cluster"),
        Program::Node => (NodeCommand::augment_subcommands(base), "Manage nodes"),
        Program::Instance => (InstanceCommand::augment_subcommands(base), "Manage instances"),
        Program::Job => (JobCommand::augment_subcommands(base), "Manage jobs"),
        Program::Debug => (DebugCommand::augment_subcommands(base), "Test and look inside"),
    };
    // Last, because the definitions above bring descriptions of their own.
    take_what_follows(command.about(about).long_about(about))
}

/// The value of an option is what follows it, even if it begins with a hyphen, as with Ganeti's
/// parser: `-s -1G` is a size that is refused, not an option that nobody knows.
fn take_what_follows(command: Command) -> Command {
    let one = |arg: &Arg| arg.get_num_args().is_none_or(|range| range == 1.into());
    let take = |arg: Arg| match arg.is_positional() {
        true => arg.allow_negative_numbers(true),
        false if arg.get_action().takes_values() && one(&arg) => arg.allow_hyphen_values(true),
        false => arg,
    };
    command.mut_args(take).mut_subcommands(take_what_follows)
}

/// Reads arguments; the first is the name of the program.
pub(crate) fn parse(args: &[OsString], io: &Io) -> Result<Invocation, NoCommand> {
    let program = args.first().map_or(Program::Gantry, |path| Program::of_path(path));
    let args = &with_list_defaults(program, args, io)?;
    let mut command = command_of(program);
    if !io.stdout_is_terminal {
        command = command.term_width(HELP_COLUMNS);
    }
    // The name in the help is that of the program, not the path that led to it.
    let given = std::iter::once(program.name().into()).chain(args.iter().skip(1).cloned());
    let no_command = |error: clap::Error| no_command(program, args, &error, io);
    let matches = command.try_get_matches_from(given).map_err(no_command)?;
    let globals = GlobalArgs::from_arg_matches(&matches).map_err(no_command)?;
    let command = command_from(program, &matches).map_err(no_command)?;
    let verb = deepest_name(&matches);
    Ok(Invocation { globals, name: (command.noun(), verb), command })
}

/// Puts the words of GNT_INSTANCE_LIST or GNT_NODE_LIST behind `list`, before what was typed
/// (C209).
fn with_list_defaults(
    program: Program,
    args: &[OsString],
    io: &Io,
) -> Result<Vec<OsString>, NoCommand> {
    let (noun, verb_idx) = match program {
        Program::Gantry => (args.get(1).and_then(|noun| noun.to_str()), 2),
        Program::Instance => (Some("instance"), 1),
        Program::Node => (Some("node"), 1),
        Program::Cluster | Program::Job | Program::Debug => (None, 1),
    };
    let variable = match noun {
        Some("instance") => "GNT_INSTANCE_LIST",
        Some("node") => "GNT_NODE_LIST",
        _ => return Ok(args.to_vec()),
    };
    let is_list = args.get(verb_idx).is_some_and(|verb| verb == "list");
    let Some(line) = io.var(variable).filter(|_| is_list) else { return Ok(args.to_vec()) };
    let unreadable = |why: &dyn std::fmt::Display| {
        NoCommand::Usage(format!("error: {variable} cannot be read as options: {why}\n"))
    };
    let line = line.to_str().ok_or_else(|| unreadable(&"it is not text in UTF-8"))?;
    let words = split_words(line).map_err(|error| unreadable(&error))?;
    let (before, after) = args.split_at(verb_idx + 1);
    let words = words.into_iter().map(OsString::from);
    Ok(before.iter().cloned().chain(words).chain(after.iter().cloned()).collect())
}

fn command_from(program: Program, matches: &ArgMatches) -> Result<GantryCommand, clap::Error> {
    Ok(match program {
        Program::Gantry => GantryCommand::from_arg_matches(matches)?,
        Program::Cluster => GantryCommand::Cluster(ClusterCommand::from_arg_matches(matches)?),
        Program::Node => GantryCommand::Node(NodeCommand::from_arg_matches(matches)?),
        Program::Instance => GantryCommand::Instance(InstanceCommand::from_arg_matches(matches)?),
        Program::Job => GantryCommand::Job(JobCommand::from_arg_matches(matches)?),
        Program::Debug => GantryCommand::Debug(DebugCommand::from_arg_matches(matches)?),
    })
}

fn deepest_name(matches: &ArgMatches) -> String {
    match matches.subcommand() {
        Some((_, inner)) if inner.subcommand().is_some() => deepest_name(inner),
        Some((name, _)) => name.to_owned(),
        None => String::new(),
    }
}

/// What clap says of a text that is none, without saying which.
const NO_TEXT: &str = "invalid UTF-8 was detected in one or more arguments";

/// The same with the arguments that are meant.
fn name_no_text(usage: &str, args: &[OsString]) -> String {
    let bad = args.iter().filter(|arg| arg.to_str().is_none());
    let bad: Vec<String> = bad.map(|arg| format!("{arg:?}")).collect();
    usage.replace(NO_TEXT, &format!("{} is not text in UTF-8", bad.join(", ")))
}

fn no_command(program: Program, args: &[OsString], error: &clap::Error, io: &Io) -> NoCommand {
    if let Some(text) = wrong_arguments(&command_of(program), args, error) {
        return NoCommand::Arguments(text);
    }
    let rendered = error.render();
    let text = |coloured: bool| match coloured {
        true => program.in_words_of(&rendered.ansi().to_string()),
        false => program.in_words_of(&rendered.to_string()),
    };
    match error.kind() {
        ErrorKind::DisplayHelp => {
            NoCommand::Help(text(io.stdout_is_terminal && io.var("NO_COLOR").is_none()))
        }
        ErrorKind::DisplayVersion => NoCommand::Version(program.version_line()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::InvalidSubcommand => {
            let (wrong, is_unknown) =
                (text(io.stderr_is_coloured()), error.kind() == ErrorKind::InvalidSubcommand);
            match program {
                Program::Gantry => NoCommand::NoSubcommand { wrong, list: String::new() },
                _ => NoCommand::NoSubcommand {
                    wrong: if is_unknown { wrong } else { String::new() },
                    list: usage_list(&command_of(program)),
                },
            }
        }
        ErrorKind::InvalidUtf8 => {
            NoCommand::Usage(name_no_text(&text(io.stderr_is_coloured()), args))
        }
        _ => NoCommand::Usage(text(io.stderr_is_coloured())),
    }
}

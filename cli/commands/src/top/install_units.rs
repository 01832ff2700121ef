//! `gantry install-units`

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::exit_code::ExitCode;

/// The unit.
const UNIT: &str = "gantry.service";

/// How long the daemon may be silent before systemd takes it for dead. It speaks every half of
/// this, from the thread on which its control actors run: lower kills a daemon on a machine that is
/// only busy, higher leaves a node without its daemon longer.
const WATCHDOG_S: u32 = 60;

/// How long the daemon may take to stop: actors and a reign have 15 s, and the log is closed. Lower
/// kills it in the middle, which costs a recovery; higher delays a shutdown that hangs.
const STOP_S: u32 = 45;

/// Files and sockets of the daemon: three for each guest, and two for each command at work. Lower
/// refuses guests, higher is of no use to it.
const FILES_MAX: u32 = 65_536;

/// Write the unit by which systemd runs the daemon
///
/// The unit is for the state directory of this command and for this very program. It keeps guests
/// running over a restart of the daemon. What is there already under its name and differs is left
/// alone, unless --force is given.
///
/// Example: gantry install-units /etc/systemd/system
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory for the unit; it must exist
    #[arg(default_value = "/etc/systemd/system")]
    dir: PathBuf,
    /// Print the unit and write nothing
    #[arg(long)]
    print: bool,
    /// Replace a unit that differs
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let program = ctx.io.program.clone().ok_or_else(|| {
        CommandError::argument("the path of this program is not known, so no unit can name it")
    })?;
    let unit = unit(&program, &ctx.state_dir())?;
    let path = args.dir.join(UNIT);
    ctx.set_document(json!({"path": path.display().to_string(), "unit": unit}));
    if args.print {
        return if ctx.json() { Ok(()) } else { ctx.print(&unit) };
    }
    write(&path, &unit, args.force)?;
    ctx.say(&format!("{} is written; the daemon is started with", path.display()))?;
    ctx.say("  systemctl daemon-reload && systemctl enable --now gantry")
}

fn write(path: &Path, unit: &str, force: bool) -> Result<(), CommandError> {
    let failed = |action: &'static str| {
        move |source: std::io::Error| {
            let hint = match source.kind() {
                ErrorKind::PermissionDenied => "ask as root, or see it with --print",
                _ => "make the directory first, or name another one",
            };
            let path = path.display().to_string();
            let error = Failure::File { action, path, source };
            CommandError::new(CommandErrorKind::Failed, error).hint(hint)
        }
    };
    match std::fs::read_to_string(path) {
        Ok(there) if there == unit => return Ok(()),
        Ok(_) if !force => {
            let text = format!("{} exists and is another one", path.display());
            return Err(CommandError::argument(text).hint("replace it with --force"));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("read")(error)),
        Ok(_) | Err(_) => {}
    }
    std::fs::write(path, unit).map_err(failed("write"))
}

/// A path as a word of a unit.
fn word(path: &Path) -> Result<String, CommandError> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or_else(|| {
        CommandError::argument(format!("the path {path:?} cannot be written into a unit"))
    })?;
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    // A percent sign begins a specifier, a dollar sign a variable.
    let escaped = escaped.replace('%', "%%").replace('$', "$$");
    match escaped.contains(char::is_whitespace) || escaped != text {
        true => Ok(format!("\"{escaped}\"")),
        false => Ok(escaped),
    }
}

fn unit(program: &Path, state_dir: &Path) -> Result<String, CommandError> {
    let (program, state_dir) = (word(program)?, word(state_dir)?);
    let no_cluster = ExitCode::NOT_A_CLUSTER.0;
    Ok(format!(
        "\
# Written by `gantry install-units`.
[Unit]
Description=Gantry, the daemon of this node
Documentation=man:gantry-daemon(8)
Wants=network-online.target
After=network-online.target time-sync.target

[Service]
Type=notify
ExecStart={program} daemon --state-dir {state_dir}
Restart=on-failure
RestartSec=1
# A machine that is in no cluster is in none a second later.
RestartPreventExitStatus={no_cluster}
WatchdogSec={WATCHDOG_S}
TimeoutStopSec={STOP_S}

# Guests outlive the daemon: only the daemon itself is ended, and what is left of its cgroup stays.
KillMode=process
Delegate=yes
TasksMax=infinity
# A guest that the kernel kills for its memory is one guest less, not the end of the daemon.
OOMPolicy=continue

# One heap for all threads: what one has freed is of use to the others. Guests do not inherit it.
Environment=MALLOC_ARENA_MAX=1

LimitNOFILE={FILES_MAX}
# Guests with devices of the host, or with locked memory, lock all of theirs.
LimitMEMLOCK=infinity
UMask=0077

# What is forbidden here is forbidden to guests, too, which inherit it. So there is no file system
# of its own (disks and bridges would be missing in it), no list of devices and no dropped
# capability; only what neither the daemon nor an emulator ever does.
LockPersonality=yes
SystemCallArchitectures=native
RestrictSUIDSGID=yes
KeyringMode=private

[Install]
WantedBy=multi-user.target
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        for (path, expected) in [
            ("/usr/bin/gantry", "/usr/bin/gantry"),
            ("/srv/my state", "\"/srv/my state\""),
            ("/srv/100%", "\"/srv/100%%\""),
            ("/srv/$HOME", "\"/srv/$$HOME\""),
            ("/srv/a\"b", "\"/srv/a\\\"b\""),
        ] {
            assert_eq!(word(Path::new(path)).expect("a word"), expected);
        }
        word(Path::new("/srv/a\nExecStart=/bin/evil")).expect_err("a line of its own");
    }

    #[test]
    fn guests_outlive_the_service() {
        let unit = unit(Path::new("/usr/bin/gantry"), Path::new("/var/lib/gantry"));
        let unit = unit.expect("a unit");
        let lines: Vec<&str> = unit.lines().collect();
        for line in ["Type=notify", "KillMode=process", "Delegate=yes"] {
            assert!(lines.contains(&line), "{line}");
        }
        // Each of these would be the guests', too, and take something from them.
        for key in ["PrivateTmp", "ProtectSystem", "DevicePolicy", "NoNewPrivileges", "MemoryMax"] {
            assert!(!lines.iter().any(|line| line.starts_with(key)), "{key}");
        }
    }
}

//! Limits: of the daemon if it runs, otherwise of this process, which has those of a daemon that is
//! started the same way.

use gantry_commands::machine::Finding;
use gantry_host::{ProcessError, ProcessLimits, limits_of};
use gantry_wire::ErrorChain;

use super::{ok, warning};

/// Files for a node with some hundred guests: three for each, and two for each command.
const FILES_MIN: u64 = 4096;

/// Of no limit.
const UNLIMITED: u64 = u64::MAX;

/// Whose limits are looked at, and what they are.
pub(super) struct Limits {
    of: &'static str,
    found: Result<Option<ProcessLimits>, ProcessError>,
}

impl Limits {
    /// Those of the daemon, where its process is known.
    pub(super) fn of(daemon_pid: Option<u32>) -> Self {
        match daemon_pid {
            Some(pid) => Self { of: "of the daemon", found: limits_of(pid) },
            None => Self { of: "of this shell", found: limits_of(std::process::id()) },
        }
    }

    /// Whether enough files can be open.
    pub(super) fn open_files(&self) -> Finding {
        let advice = format!(
            "LimitNOFILE= in the unit of the daemon (`gantry install-units` writes one), or \
             `ulimit -n {FILES_MIN}` before it is started by hand"
        );
        let of = |limits: ProcessLimits| (limits.open_files, FILES_MIN);
        self.judge("open files", of, "guests and commands", &advice)
    }

    /// Whether memory can be locked.
    pub(super) fn locked_memory(&self) -> Finding {
        let advice = "LimitMEMLOCK=infinity in the unit of the daemon (`gantry install-units` \
                      writes one), or `ulimit -l unlimited` before it is started by hand";
        let of = |limits: ProcessLimits| (limits.locked_memory_bytes, UNLIMITED);
        self.judge("locked memory", of, "guests that lock theirs", advice)
    }

    fn judge(
        &self,
        check: &'static str,
        of: impl Fn(ProcessLimits) -> (u64, u64),
        whom: &str,
        advice: &str,
    ) -> Finding {
        let (soft, wanted) = match &self.found {
            Ok(Some(limits)) => of(*limits),
            Ok(None) => return warning(check, "the daemon has just ended", "look again"),
            Err(error) => {
                let why = ErrorChain(error);
                return warning(check, format!("the limit is not known: {why}"), advice);
            }
        };
        let shown = match soft {
            UNLIMITED => format!("unlimited, {}", self.of),
            limit => format!("{limit} {}", self.of),
        };
        match soft >= wanted {
            true => ok(check, shown),
            false => warning(check, format!("{shown}, too few for {whom}"), advice),
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_commands::machine::Verdict;

    use super::*;

    fn limits(open_files: u64, locked_memory_bytes: u64) -> Limits {
        let found = Ok(Some(ProcessLimits { open_files, locked_memory_bytes }));
        Limits { of: "of the daemon", found }
    }

    #[test]
    fn a_limit_below_what_is_wanted_is_a_warning_with_advice() {
        let low = limits(1024, 8 << 20);
        assert_eq!(low.open_files().verdict, Verdict::Warning);
        assert_eq!(low.open_files().found, "1024 of the daemon, too few for guests and commands");
        assert!(low.locked_memory().advice.expect("advice").contains("LimitMEMLOCK"));
        for enough in [limits(FILES_MIN, UNLIMITED), limits(UNLIMITED, UNLIMITED)] {
            for fine in [enough.open_files(), enough.locked_memory()] {
                assert_eq!((fine.verdict, fine.advice), (Verdict::Ok, None), "{}", fine.found);
            }
        }
    }

    #[test]
    fn without_a_daemon_the_limits_are_ours() {
        let found = Limits::of(None).open_files().found;
        assert!(found.contains("of this shell"), "{found}");
    }
}

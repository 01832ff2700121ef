//! Limits of this process, which are those of a daemon that is started the same way.

use gantry_commands::machine::Finding;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::{ok, warning};

/// Files for a node with some hundred guests: three for each, and two for each command.
const FILES_MIN: u64 = 4096;

/// Whether enough files can be open.
pub(super) fn open_files() -> Finding {
    const CHECK: &str = "open files";
    let advice = format!("`ulimit -n {FILES_MIN}`, or LimitNOFILE= in the unit of the daemon");
    judge(CHECK, Resource::RLIMIT_NOFILE, FILES_MIN, "guests and commands", &advice)
}

/// Whether memory can be locked.
pub(super) fn locked_memory() -> Finding {
    const CHECK: &str = "locked memory";
    let advice = "`ulimit -l unlimited`, or LimitMEMLOCK=infinity in the unit of the daemon";
    judge(CHECK, Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, "guests that lock theirs", advice)
}

fn judge(
    check: &'static str,
    resource: Resource,
    wanted: u64,
    whom: &str,
    advice: &str,
) -> Finding {
    let (soft, _) = match getrlimit(resource) {
        Ok(limits) => limits,
        Err(error) => return warning(check, format!("the limit is not known: {error}"), advice),
    };
    verdict(check, (soft, wanted), whom, advice)
}

fn verdict(check: &'static str, (soft, wanted): (u64, u64), whom: &str, advice: &str) -> Finding {
    let shown = match soft {
        RLIM_INFINITY => "unlimited".to_owned(),
        limit => limit.to_string(),
    };
    match soft >= wanted {
        true => ok(check, shown),
        false => warning(check, format!("{shown}, too few for {whom}"), advice),
    }
}

#[cfg(test)]
mod tests {
    use gantry_commands::machine::Verdict;

    use super::*;

    #[test]
    fn a_limit_below_what_is_wanted_is_a_warning_with_advice() {
        let low = verdict("open files", (1024, 4096), "guests", "raise it");
        assert_eq!((low.verdict, low.advice.as_deref()), (Verdict::Warning, Some("raise it")));
        assert!(low.found.starts_with("1024"), "{low:?}");
        for enough in [4096, RLIM_INFINITY] {
            let fine = verdict("open files", (enough, 4096), "guests", "raise it");
            assert_eq!((fine.verdict, fine.advice), (Verdict::Ok, None));
        }
    }
}

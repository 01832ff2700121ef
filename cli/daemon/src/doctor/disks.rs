//! The state directory, and the disk below it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use gantry_commands::machine::Finding;
use gantry_host::DiskSpace;
use gantry_storage::AllowedPaths;
use gantry_wire::ErrorChain;

use super::{Patient, failed, ok, show, warning};

/// Flushes that are measured. Fewer say little about a disk with a cache, more take too long on one
/// that is slow.
const FLUSHES: usize = 32;

/// What each flush has to bring to the disk: about an entry of the log.
const FLUSHED_BYTES: usize = 4096;

/// Every change of the cluster waits for some flushes; beyond this people notice.
const FLUSH_SLOW: Duration = Duration::from_millis(20);

/// Beyond this elections take the disk for dead.
const FLUSH_TOO_SLOW: Duration = Duration::from_millis(500);

/// Room for some days of log and history of a small cluster.
const SPACE_WANTED_BYTES: u64 = 1 << 30;

/// Below this the log cannot be compacted.
const SPACE_NEEDED_BYTES: u64 = 100 << 20;

/// The directory that there is: the given one, or the nearest above it.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"))
}

/// Whether a file can be made there; it does not stay.
fn try_write(dir: &Path) -> io::Result<File> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Whether the state directory can be used, by this user alone.
pub(super) fn state_dir(patient: &Patient) -> Finding {
    const CHECK: &str = "state directory";
    let path = patient.state_dir.path();
    let shown = show(path);
    if !path.is_dir() {
        let advice = "`gantry cluster init` or `gantry join` makes it";
        return warning(CHECK, format!("{shown} is not there yet"), advice);
    }
    if let Err(error) = try_write(path) {
        let advice = "run it as the user of the daemon, often root";
        return failed(CHECK, format!("{shown} cannot be written: {error}"), advice);
    }
    let mode = std::fs::metadata(path).map(|found| found.permissions().mode() & 0o7777);
    match mode {
        Ok(mode) if mode & 0o066 != 0 => failed(
            CHECK,
            format!("{shown} is open to others (mode {mode:o})"),
            format!("`chmod 700 {shown}`: it holds the keys of this node"),
        ),
        Ok(_) => ok(CHECK, shown),
        Err(error) => failed(CHECK, format!("{shown} cannot be examined: {error}"), "see above"),
    }
}

/// Whether there is room for the log.
pub(super) fn space(patient: &Patient) -> Finding {
    const CHECK: &str = "free space";
    let dir = nearest(patient.state_dir.path());
    let shown = show(dir);
    let free = match DiskSpace::of(dir) {
        Ok(space) => space.free_bytes,
        Err(error) => return warning(CHECK, ErrorChain(&error).to_string(), "see with `df`"),
    };
    let text = format!("{} MiB on the file system of {shown}", free >> 20);
    let advice = "make room: the daemon stops taking changes when the disk of its log is full";
    match free {
        0..SPACE_NEEDED_BYTES => failed(CHECK, text, advice),
        SPACE_NEEDED_BYTES..SPACE_WANTED_BYTES => warning(CHECK, text, advice),
        SPACE_WANTED_BYTES.. => ok(CHECK, text),
    }
}

/// How long the disk takes to keep something.
pub(super) fn speed(patient: &Patient) -> Finding {
    const CHECK: &str = "disk flush";
    let dir = nearest(patient.state_dir.path());
    match measure(dir) {
        Ok(times) => judge_speed(times),
        Err(error) => {
            let text = format!("could not be measured in {}: {error}", show(dir));
            warning(CHECK, text, "run it as the user of the daemon, often root")
        }
    }
}

fn judge_speed(mut times: Vec<Duration>) -> Finding {
    const CHECK: &str = "disk flush";
    times.sort();
    let median = times[times.len() / 2];
    let worst = times[times.len() - 1];
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let text = format!("{:.1} ms in the middle, {:.1} ms at worst", ms(median), ms(worst));
    let advice = "put the state directory on a faster disk, or one with a protected cache: every \
                  change of the cluster waits for it";
    if median >= FLUSH_TOO_SLOW {
        failed(CHECK, text, advice)
    } else if median >= FLUSH_SLOW {
        warning(CHECK, text, advice)
    } else {
        ok(CHECK, text)
    }
}

#[expect(clippy::disallowed_methods, reason = "measures the real disk of this machine")]
fn measure(dir: &Path) -> io::Result<Vec<Duration>> {
    let mut file = try_write(dir)?;
    file.write_all(&[0; FLUSHED_BYTES])?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(FLUSHES);
    for number in 0..FLUSHES {
        let began = std::time::Instant::now();
        file.write_all_at(&[number as u8; FLUSHED_BYTES], 0)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Whether disks can be made as files.
pub(super) fn file_storage(patient: &Patient) -> Finding {
    const CHECK: &str = "file storage";
    let Some(node) = &patient.node else {
        return ok(CHECK, "not known before this machine is a node");
    };
    let dir = Path::new(&node.file_storage_dir);
    if !dir.is_dir() {
        let advice = format!("`mkdir -p {}`, if disks are to be files", show(dir));
        return warning(CHECK, format!("{} is missing", show(dir)), advice);
    }
    match try_write(dir) {
        Ok(_) => ok(CHECK, show(dir)),
        Err(error) => {
            let text = format!("{} cannot be written: {error}", show(dir));
            failed(CHECK, text, "give it to the user of the daemon")
        }
    }
}

/// Whether the node's own list lets files be made where the cluster wants them.
pub(super) fn allowed_paths(patient: &Patient) -> Finding {
    const CHECK: &str = "allowed paths";
    let Some(node) = &patient.node else {
        return ok(CHECK, "not known before this machine is a node");
    };
    let (dir, list) = (&node.file_storage_dir, patient.state_dir.storage_paths());
    match AllowedPaths::new(&list).check(&Path::new(dir).join("disk")) {
        Ok(()) => ok(CHECK, format!("{dir} stands in {}", show(&list))),
        Err(error) => {
            let advice =
                format!("add the line `{dir}` to {}, if disks are to be files", show(&list));
            warning(CHECK, ErrorChain(&error).to_string(), advice)
        }
    }
}

/// A node, for tests, that keeps its image files there.
#[cfg(test)]
pub(super) fn node_with_files_in(dir: &str) -> crate::state_dir::NodeFile {
    use gantry_model::ids::{ClusterUuid, NodeUuid};
    use gantry_model::names::{ClusterName, NodeName};
    use uuid::Uuid;
    crate::state_dir::NodeFile {
        version: crate::state_dir::NodeFile::VERSION,
        cluster: ClusterUuid(Uuid::from_u128(1)),
        cluster_name: ClusterName::new("cluster.example").expect("valid"),
        node: NodeUuid(Uuid::from_u128(2)),
        name: NodeName::new("node1.example").expect("valid"),
        address: "127.0.0.1:1811".to_owned(),
        file_storage_dir: dir.to_owned(),
        shared_file_storage_dir: String::new(),
        storage_paths_written: true,
        holds_log: true,
        master: NodeUuid(Uuid::from_u128(2)),
        master_address: "127.0.0.1:1811".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use gantry_commands::machine::Verdict;

    use super::*;

    #[test]
    fn the_middle_flush_decides_and_one_slow_one_does_not() {
        let times = |middle: u64| {
            let mut times = vec![Duration::from_millis(middle); 31];
            times.push(Duration::from_secs(3));
            times
        };
        for (middle, expected) in [(1, Verdict::Ok), (25, Verdict::Warning), (600, Verdict::Failed)]
        {
            assert_eq!(judge_speed(times(middle)).verdict, expected, "{middle} ms");
        }
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(measure(dir.path()).expect("measured").len(), FLUSHES);
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    }
}

//! What the machine has: memory, processors, boot time, disk space.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Why a resource could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// A file of /proc cannot be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of /proc lacks something.
    #[error("{path} has no {field}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it should have.
        field: &'static str,
    },
    /// A file system does not say.
    #[error("could not measure the file system of {path}")]
    FileSystem {
        /// A path on it.
        path: PathBuf,
        /// Why.
        #[source]
        source: nix::errno::Errno,
    },
}

/// Resources of this machine, measured now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeResources {
    /// All memory.
    pub memory_total_bytes: u64,
    /// Memory that is free or can be freed.
    pub memory_available_bytes: u64,
    /// Processors that are online.
    pub cpus: u32,
    /// When it was booted, in seconds since 1970.
    pub boot_time_seconds: u64,
    /// What the kernel calls this run of it, as the number of a UUID; 0 when it does not say.
    pub boot_id: u128,
    /// Processor sockets; 0 when the kernel does not say, as on many virtual machines.
    pub cpu_sockets: u32,
    /// NUMA domains; 0 when the kernel knows of none.
    pub numa_nodes: u32,
}

impl NodeResources {
    /// Measures.
    ///
    /// # Errors
    /// When /proc does not say.
    pub fn measure() -> Result<Self, ResourceError> {
        let meminfo = read("/proc/meminfo")?;
        let stat = read("/proc/stat")?;
        let measured = Self::parse(&meminfo, &stat)?;
        // Not every kernel and container has these.
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Ok(Self {
            boot_id: boot_id(&text("/proc/sys/kernel/random/boot_id")),
            cpu_sockets: cpu_sockets(&text("/proc/cpuinfo")),
            numa_nodes: numa_nodes(Path::new("/sys/devices/system/node")),
            ..measured
        })
    }

    fn parse(meminfo: &str, stat: &str) -> Result<Self, ResourceError> {
        let missing =
            |path: &str, field| ResourceError::Missing { path: PathBuf::from(path), field };
        let memory = |field: &'static str| {
            kib(meminfo, field).map(|kib| kib * 1024).ok_or_else(|| missing("/proc/meminfo", field))
        };
        let is_cpu = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let boot_time_seconds = stat
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
            .ok_or_else(|| missing("/proc/stat", "btime"))?;
        Ok(Self {
            memory_total_bytes: memory("MemTotal")?,
            memory_available_bytes: memory("MemAvailable")?,
            cpus: u32::try_from(stat.lines().filter(is_cpu).count()).unwrap_or(u32::MAX),
            boot_time_seconds,
            ..Self::default()
        })
    }
}

fn boot_id(text: &str) -> u128 {
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or_default()
}

fn cpu_sockets(cpuinfo: &str) -> u32 {
    let id = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "physical id").then(|| value.trim().to_owned())
    };
    let ids: BTreeSet<String> = cpuinfo.lines().filter_map(id).collect();
    u32::try_from(ids.len()).unwrap_or(u32::MAX)
}

fn numa_nodes(directory: &Path) -> u32 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let is_node =
        |name: &str| name.strip_prefix("node").is_some_and(|rest| rest.parse::<u32>().is_ok());
    let nodes = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(is_node));
    u32::try_from(nodes.count()).unwrap_or(u32::MAX)
}

fn kib(meminfo: &str, field: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn read(path: &str) -> Result<String, ResourceError> {
    std::fs::read_to_string(path)
        .map_err(|source| ResourceError::Read { path: PathBuf::from(path), source })
}

/// Space of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub total_bytes: u64,
    /// What we may use of it.
    pub free_bytes: u64,
}

/// The resident memory of this process, as the kernel counts it.
///
/// # Errors
/// When /proc does not say.
pub fn own_memory_bytes() -> Result<u64, ResourceError> {
    const STATUS: &str = "/proc/self/status";
    let missing = || ResourceError::Missing { path: STATUS.into(), field: "VmRSS" };
    kib(&read(STATUS)?, "VmRSS").map(|kib| kib * 1024).ok_or_else(missing)
}

impl DiskSpace {
    /// Measures the file system that holds `path`.
    ///
    /// # Errors
    /// When there is no such path, or the file system does not say.
    pub fn of(path: &Path) -> Result<Self, ResourceError> {
        let stat = nix::sys::statvfs::statvfs(path)
            .map_err(|source| ResourceError::FileSystem { path: path.to_owned(), source })?;
        let bytes = |n_blocks: u64| n_blocks.saturating_mul(stat.fragment_size());
        Ok(Self { total_bytes: bytes(stat.blocks()), free_bytes: bytes(stat.blocks_available()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       2000 kB\nMemFree:  5 kB\nMemAvailable:   1000 kB\n";
    const STAT: &str = "cpu  1 2 3\ncpu0 1 2\ncpu1 1 2\nintr 5\nbtime 1700000000\n";

    #[test]
    fn proc_files_are_understood() {
        assert_eq!(
            NodeResources::parse(MEMINFO, STAT).expect("complete"),
            NodeResources {
                memory_total_bytes: 2000 * 1024,
                memory_available_bytes: 1000 * 1024,
                cpus: 2,
                boot_time_seconds: 1_700_000_000,
                ..NodeResources::default()
            }
        );
    }

    #[test]
    fn what_only_some_kernels_say_is_understood_or_nothing() {
        assert_eq!(boot_id("00000000-0000-4000-8000-0000000000ff\n"), 0x4000_8000_0000_0000_00ff);
        assert_eq!(boot_id(""), 0);
        let cpuinfo = "processor\t: 0\nphysical id\t: 0\n\nprocessor\t: 1\nphysical id\t: 1\n\n\
                       processor\t: 2\nphysical id\t: 1\n";
        assert_eq!(cpu_sockets(cpuinfo), 2);
        assert_eq!(cpu_sockets("processor\t: 0\n"), 0);
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["node0", "node1", "nodes", "has_cpu"] {
            std::fs::create_dir(directory.path().join(name)).expect("made");
        }
        assert_eq!(numa_nodes(directory.path()), 2);
        assert_eq!(numa_nodes(&directory.path().join("none")), 0);
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = NodeResources::parse("MemTotal: 1 kB\n", STAT).expect_err("no MemAvailable");
        assert_eq!(error.to_string(), "/proc/meminfo has no MemAvailable");
    }

    #[test]
    fn this_machine_has_resources() {
        let here = NodeResources::measure().expect("proc");
        assert!(here.cpus > 0 && here.memory_available_bytes <= here.memory_total_bytes);
        let space = DiskSpace::of(Path::new("/")).expect("root");
        assert!(space.free_bytes <= space.total_bytes && space.total_bytes > 0);
    }
}

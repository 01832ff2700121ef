//! What is kept on disk of a running guest, so that a later daemon finds it.
//!
//! ```text
//! <base>/run/kvm/<instance uuid>/   mode 0700: its sockets control the guest
//!   spec      the start: written before QEMU runs
//!   process   QEMU's identity: written before the guest's first instruction
//!   reset     the last reset: written before QEMU is told, and again when it has done it
//!   ended     written when the guest is gone; it stays until the next start
//!   pid log qmp serial qga          QEMU's own
//! ```
//!
//! So `spec` alone means: whatever runs here has not executed anything and may be taken back. These
//! functions block; [`super::hypervisor`] calls them on the blocking pool.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use gantry_host::{ProcessIdentity, durable, find_by_arguments};
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::objects::GuestSpec;
use gantry_model::params::HypervisorKind;
use gantry_model::report::{GuestReport, GuestState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::HvError;
use crate::kvm::probe::Accelerator;

/// Longest path of a unix socket: `sun_path` has 108 bytes, the last is zero (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Most that an error repeats of QEMU's log.
const LOG_TAIL_BYTES: u64 = 2048;

/// Directories of ended guests that are kept, so that a start older than what was here is noticed
/// and an interrupted one can be resolved. Lower forgets sooner; higher costs a few KiB each.
pub(super) const ENDED_KEPT: usize = 1024;

/// A start of a guest, as it must be known after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRecord {
    /// What was to be started.
    pub spec: GuestSpec,
    /// Its disks, attached.
    pub disks: Vec<PathBuf>,
    /// How it executes.
    pub accelerator: Accelerator,
    /// What was said at its start.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether it was to stay before its first instruction.
    #[serde(default)]
    pub paused: bool,
}

impl GuestRecord {
    /// The guest as it is reported.
    pub(super) fn report(&self, pid: u32, state: GuestState) -> GuestReport {
        GuestReport {
            instance: self.spec.instance,
            name: self.spec.name.clone(),
            hypervisor: HypervisorKind::Kvm,
            state,
            epoch: self.spec.epoch,
            memory: self.spec.memory,
            vcpus: self.spec.vcpus,
            pid: Some(pid),
            accelerator: self.accelerator.as_str().to_owned(),
        }
    }
}

/// The end of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// Which start of it.
    pub(super) epoch: RunEpoch,
    /// Whether it may have executed an instruction.
    pub(super) executed: bool,
}

/// A reset of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResetRecord {
    /// Which.
    pub(super) mark: Uuid,
    /// Whether QEMU has said that it did it.
    pub(super) done: bool,
}

/// The directory of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    instance: InstanceUuid,
    path: PathBuf,
}

impl RunDir {
    /// Of this guest under `base`; nothing is made.
    #[must_use]
    pub fn new(base: &Path, instance: InstanceUuid) -> Self {
        Self { instance, path: root(base).join(instance.to_string()) }
    }

    /// Of all guests that have one under `base`, by instance.
    pub(super) fn all(base: &Path) -> Result<Vec<Self>, HvError> {
        let root = root(base);
        let entries = match std::fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io_error("list", &root)(source)),
        };
        let mut dirs = Vec::new();
        for entry in entries {
            let name = entry.map_err(io_error("list", &root))?.file_name();
            if let Some(instance) = name.to_str().and_then(|name| name.parse().ok()) {
                dirs.push(Self::new(base, instance));
            }
        }
        dirs.sort_by_key(|dir| dir.instance);
        Ok(dirs)
    }

    /// Whose it is.
    #[must_use]
    pub fn instance(&self) -> InstanceUuid {
        self.instance
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Socket of the monitor.
    #[must_use]
    pub fn qmp(&self) -> PathBuf {
        self.path.join("qmp")
    }

    /// Socket of the serial console.
    #[must_use]
    pub fn serial(&self) -> PathBuf {
        self.path.join("serial")
    }

    /// Socket of the agent in the guest.
    #[must_use]
    pub fn guest_agent(&self) -> PathBuf {
        self.path.join("qga")
    }

    /// QEMU's pid file.
    #[must_use]
    pub fn pid(&self) -> PathBuf {
        self.path.join("pid")
    }

    /// QEMU's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    fn spec(&self) -> PathBuf {
        self.path.join("spec")
    }

    fn process(&self) -> PathBuf {
        self.path.join("process")
    }

    fn reset_path(&self) -> PathBuf {
        self.path.join("reset")
    }

    /// The last reset that had a mark.
    pub(super) fn reset(&self) -> Result<Option<ResetRecord>, HvError> {
        self.read(&self.reset_path())
    }

    /// A reset begins, or is done.
    pub(super) fn mark_reset(&self, reset: &ResetRecord) -> Result<(), HvError> {
        self.write(&self.reset_path(), reset)
    }

    fn ended_path(&self) -> PathBuf {
        self.path.join("ended")
    }

    /// Whether its sockets can have the paths that they would have.
    ///
    /// # Errors
    /// When one is longer than a socket address.
    pub fn check_socket_paths(&self) -> Result<(), HvError> {
        for path in [self.qmp(), self.serial()] {
            let bytes = path.as_os_str().len();
            if bytes > SOCKET_PATH_BYTES_MAX {
                return Err(HvError::SocketPathTooLong { path, bytes, max: SOCKET_PATH_BYTES_MAX });
            }
        }
        Ok(())
    }

    /// Begins a start: what an earlier one left goes, the record is on disk when this returns.
    pub(super) fn begin(&self, record: &GuestRecord) -> Result<(), HvError> {
        if let Some(parent) = self.path.parent() {
            durable::create_dir(parent).map_err(io_error("create", parent))?;
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Ok(()) => durable::sync_parent(&self.path).map_err(io_error("flush", &self.path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(io_error("create", &self.path)(source)),
        }
        // Its end is forgotten last: until the new record is there, the old start counts.
        self.remove_volatile()?;
        self.write(&self.spec(), record)?;
        let ended = self.ended_path();
        durable::remove(&ended).map_err(io_error("remove", &ended))
    }

    /// The start on record.
    pub(super) fn record(&self) -> Result<Option<GuestRecord>, HvError> {
        self.read(&self.spec())
    }

    /// From now on the guest may execute.
    pub(super) fn mark_executing(&self, process: &ProcessIdentity) -> Result<(), HvError> {
        self.write(&self.process(), process)
    }

    /// The guest will not execute: its start is taken back.
    pub(super) fn unmark_executing(&self) -> Result<(), HvError> {
        let process = self.process();
        durable::remove(&process).map_err(io_error("remove", &process))
    }

    /// How the guest ended, if it did.
    pub(super) fn ended(&self) -> Result<Option<Ended>, HvError> {
        self.read(&self.ended_path())
    }

    /// The guest is gone.
    pub(super) fn mark_ended(&self, epoch: RunEpoch) -> Result<Ended, HvError> {
        let executed = self.process().exists();
        let ended = Ended { epoch, executed };
        self.write(&self.ended_path(), &ended)?;
        self.remove_volatile()?;
        Ok(ended)
    }

    /// When its end was noted, for ordering ends. `None` if it did not end, or cannot be read.
    pub(super) fn ended_at(&self) -> Option<std::time::SystemTime> {
        std::fs::metadata(self.ended_path()).and_then(|metadata| metadata.modified()).ok()
    }

    /// The processes of this guest that live: by the identity on record, and by their command
    /// line, where a crash came before the record. While QEMU daemonizes itself it is several.
    pub(super) fn locate(&self) -> Result<Vec<ProcessIdentity>, HvError> {
        let failed =
            |source| HvError::Process { attempt: "look for", instance: self.instance, source };
        let recorded: Option<ProcessIdentity> = self.read(&self.process())?;
        if let Some(process) = recorded
            && process.is_alive().map_err(failed)?
        {
            return Ok(vec![process]);
        }
        let pid_file = self.pid();
        let pid_file = pid_file.to_string_lossy();
        find_by_arguments(&["-pidfile", &pid_file]).map_err(failed)
    }

    /// The last lines of QEMU's log; empty if there is none.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// Removes all of it.
    pub(super) fn remove(&self) -> Result<(), HvError> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn remove_volatile(&self) -> Result<(), HvError> {
        let volatile =
            [self.process(), self.reset_path(), self.qmp(), self.serial(), self.guest_agent()];
        for path in volatile.into_iter().chain([self.pid(), self.log()]) {
            durable::remove(&path).map_err(io_error("remove", &path))?;
        }
        Ok(())
    }

    fn write<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), HvError> {
        let bytes = gantry_wire::encode(value)
            .map_err(|error| io_error("encode", path)(io::Error::other(error)))?;
        durable::write(path, &bytes).map_err(io_error("write", path))
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, HvError> {
        let Some(bytes) = durable::read(path).map_err(io_error("read", path))? else {
            return Ok(None);
        };
        gantry_wire::decode(&bytes)
            .map(Some)
            .map_err(|error| io_error("decode", path)(io::Error::other(error)))
    }
}

fn root(base: &Path) -> PathBuf {
    base.join("run").join("kvm")
}

pub(super) fn io_error(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HvError {
    let path = path.to_owned();
    move |source| HvError::Io { attempt, path, source }
}

//! Starting a guest: refuse what must not be, write down, run, begin.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_host::{CommandError, ProcessIdentity, run_blocking};
use gantry_model::ids::InstanceUuid;
use gantry_model::objects::GuestSpec;
use gantry_model::params::KvmParams;
use serde_json::json;
use tokio::net::UnixStream;

use crate::contract::{DiskSource, Started};
use crate::error::HvError;
use crate::kvm::command_line::{DiskPath, LaunchPlan, check, command, invalid, kvm_params};
use crate::kvm::display::{Display, Wanted, wanted};
use crate::kvm::hypervisor::{KvmHypervisor, MONITOR_TIME_MAX};
use crate::kvm::network::Cable;
use crate::kvm::probe::{Accelerator, Probed, QEMU_PACKAGE, check_program};
use crate::kvm::qmp::QmpClient;
use crate::kvm::run_dir::{GuestRecord, RunDir, io_error};
use crate::kvm::watch::{Attached, Monitor};

/// How long QEMU may take to daemonize. It needs 50 ms; with much memory to reserve on a busy node,
/// seconds. Lower fails starts that would succeed; higher delays noticing one that hangs.
const LAUNCH_TIME_MAX: Duration = Duration::from_secs(60);

/// How long a killed QEMU may take to be gone: the kernel frees its memory, up to a terabyte.
const GONE_TIME_MAX: Duration = Duration::from_secs(30);

impl KvmHypervisor {
    pub(super) async fn start_guest(
        &self,
        spec: &GuestSpec,
        disks: &[DiskSource],
        paused: bool,
    ) -> Result<Started, HvError> {
        check(spec)?;
        let params = kvm_params(spec)?;
        let program = PathBuf::from(&params.kvm_path);
        check_program(&program)?;
        let dir = self.dir(spec.instance);
        dir.check_socket_paths()?;
        // Before anything happens: a guest must not run as anybody else.
        let run_as = self.run_as(&dir, spec, params).await?;
        let disks = disk_paths(spec, disks)?;
        let probed = accelerated(params, self.probed(&program).await?)?;
        let planned = self.taps().plan(spec, params)?;
        let display = self.display(spec, params).await?;

        let slot = self.slot(spec.instance);
        let mut slot = slot.lock().await;
        if let Some(running) = self.current(&dir, &mut slot).await? {
            return self.already_running(running, spec, paused).await;
        }
        self.refuse_stale(&dir, spec).await?;
        let record = record_of(spec, &disks, &probed, planned.notes, paused);
        let run_as_options = &run_as.options;
        let (cables, display) = (&planned.cables, &display);
        let outside = Outside { disks: &disks, cables, display, run_as: run_as_options };
        let error = match self.launch(&dir, &record, outside).await {
            Ok(attached) => match self.begin(&dir, slot.insert(attached), paused).await {
                Ok(started) => return Ok(started),
                Err(error) => error,
            },
            Err(error) => error,
        };
        // If it has begun to execute, its end is told as that of any guest.
        if let Some(attached) = slot.take() {
            self.end(&attached).await?;
        }
        self.take_back(&dir, spec).await?;
        Err(error)
    }

    /// The same start again is no start; another one must not be.
    async fn already_running(
        &self,
        running: &Attached,
        spec: &GuestSpec,
        paused: bool,
    ) -> Result<Started, HvError> {
        let (instance, asked) = (spec.instance, spec.epoch);
        if running.record().spec.epoch != asked {
            let running = running.record().spec.epoch;
            return Err(HvError::OtherEpochRuns { instance, asked, running });
        }
        let before_first = running.run_state().await.is_ok_and(|state| state == "prelaunch");
        if before_first && !paused {
            let dir = self.dir(instance);
            let started = self.begin(&dir, running, false).await?;
            return Ok(started);
        }
        let report = self.report(running).await?.ok_or(HvError::NotRunning { instance })?;
        Ok(Started { report, notes: running.record().notes.clone() })
    }

    async fn refuse_stale(&self, dir: &RunDir, spec: &GuestSpec) -> Result<(), HvError> {
        match self.on_disk(dir, RunDir::ended).await? {
            Some(ended) if ended.epoch > spec.epoch => Err(HvError::StaleEpoch {
                instance: spec.instance,
                asked: spec.epoch,
                seen: ended.epoch,
            }),
            _ => Ok(()),
        }
    }

    /// Runs QEMU up to before the guest's first instruction.
    async fn launch(
        &self,
        dir: &RunDir,
        record: &GuestRecord,
        outside: Outside<'_>,
    ) -> Result<Attached, HvError> {
        let Outside { disks, cables, display, run_as } = outside;
        let spec = &record.spec;
        let params = kvm_params(spec)?;
        let to_write = record.clone();
        self.on_disk(dir, move |dir| dir.begin(&to_write)).await?;

        self.taps().make(spec, params, cables).await?;
        let accelerator = record.accelerator;
        let plan = LaunchPlan { spec, params, disks, cables, display, dir, accelerator };
        let command = command(&plan).args(run_as.iter().cloned()).timeout(LAUNCH_TIME_MAX);
        let command = self.config.scopes.wrap(command, spec);
        match self.config.runner.run(command).await {
            Ok(_) => {}
            Err(CommandError::NotFound { program }) => {
                return Err(HvError::ProgramMissing { program, package: QEMU_PACKAGE });
            }
            Err(source) => return Err(self.start_failed(dir, Some(source)).await),
        }
        let Some(process) = self.on_disk(dir, RunDir::locate).await?.pop() else {
            return Err(self.start_failed(dir, None).await);
        };
        let monitor = connect_monitor(dir).await?;
        // Connected before the guest begins, so that nothing it says is lost.
        let serial = if params.serial_console {
            let path = dir.serial();
            Some(UnixStream::connect(&path).await.map_err(io_error("connect to", &path))?)
        } else {
            None
        };
        let attached = self.attach(dir, record.clone(), process, Some(monitor), serial, false);
        if *display != Display::None && !params.vnc_password_file.is_empty() {
            self.set_vnc_password(&attached, &params.vnc_password_file).await?;
        }
        self.pin(&attached, params).await?;
        Ok(attached)
    }

    /// Where the display of a guest will be.
    async fn display(&self, spec: &GuestSpec, params: &KvmParams) -> Result<Display, HvError> {
        match wanted(params, spec.name.as_str(), spec.network_port)? {
            Wanted::Known(display) => Ok(display),
            Wanted::Interface(interface, port) => {
                Ok(Display::Vnc(self.taps().address_of(interface).await?, port))
            }
        }
    }

    /// Through the monitor, because a command line is read by everybody on the node.
    async fn set_vnc_password(&self, attached: &Attached, file: &str) -> Result<(), HvError> {
        let path = PathBuf::from(file);
        let read = run_blocking(&*self.config.blocking, move || {
            std::fs::read_to_string(&path).map_err(io_error("read", &path))
        });
        let password = read.await.map_err(|source| HvError::NoThread { source })??;
        // As in Ganeti, the first line is the password.
        let password = password.lines().next().unwrap_or_default();
        let arguments = json!({ "protocol": "vnc", "password": password });
        attached.tell("set_password", Some(arguments)).await.map(|_| ())
    }

    /// Lets the guest execute, unless it shall stay paused.
    async fn begin(
        &self,
        dir: &RunDir,
        attached: &Attached,
        paused: bool,
    ) -> Result<Started, HvError> {
        let process: ProcessIdentity = attached.process().clone();
        self.on_disk(dir, move |dir| dir.mark_executing(&process)).await?;
        if !paused {
            attached.execute("cont").await?;
        }
        let instance = attached.instance();
        match self.report(attached).await? {
            Some(report) => Ok(Started { report, notes: attached.record().notes.clone() }),
            None => {
                let log_tail = self.on_disk(dir, |dir| Ok(dir.log_tail())).await?;
                Err(HvError::StartFailed { instance, log_tail, source: None })
            }
        }
    }

    async fn start_failed(&self, dir: &RunDir, source: Option<CommandError>) -> HvError {
        let log_tail = self.on_disk(dir, |dir| Ok(dir.log_tail())).await.unwrap_or_default();
        let instance = dir.instance();
        HvError::StartFailed { instance, log_tail, source: source.map(Box::new) }
    }

    /// Removes what a start has left that did not get through.
    pub(super) async fn take_back(&self, dir: &RunDir, spec: &GuestSpec) -> Result<(), HvError> {
        let instance = dir.instance();
        for process in self.on_disk(dir, RunDir::locate).await? {
            self.kill_process(instance, &process).await?;
        }
        self.taps().remove(&spec.nics).await?;
        let epoch = spec.epoch;
        self.on_disk(dir, move |dir| {
            dir.unmark_executing()?;
            dir.mark_ended(epoch)
        })
        .await
        .map(|_| ())
    }

    pub(super) async fn kill_process(
        &self,
        instance: InstanceUuid,
        process: &ProcessIdentity,
    ) -> Result<(), HvError> {
        let failed = |attempt| move |source| HvError::Process { attempt, instance, source };
        process.kill().map_err(failed("kill"))?;
        if process.wait_gone(GONE_TIME_MAX).await.map_err(failed("wait for"))? {
            return Ok(());
        }
        Err(HvError::CannotKill { instance, pid: process.pid })
    }
}

async fn connect_monitor(dir: &RunDir) -> Result<Monitor, HvError> {
    QmpClient::connect(&dir.qmp(), MONITOR_TIME_MAX).await.map_err(|source| HvError::Qmp {
        instance: dir.instance(),
        command: "qmp_capabilities".to_owned(),
        source,
    })
}

/// What of the node a guest is connected to.
#[derive(Clone, Copy)]
struct Outside<'a> {
    disks: &'a [DiskPath],
    cables: &'a [Cable],
    display: &'a Display,
    /// Options that make it run as somebody else.
    run_as: &'a [String],
}

/// How a guest executes, as it wants and as the node can.
fn accelerated(params: &KvmParams, mut probed: Probed) -> Result<Probed, HvError> {
    match params.kvm_flag.as_str() {
        "enabled" if probed.accelerator != Accelerator::Kvm => {
            let why = probed.note.unwrap_or_default();
            Err(invalid("kvm_flag", "enabled", &format!("nothing or disabled here: {why}")))
        }
        "disabled" => {
            probed.accelerator = Accelerator::Tcg;
            probed.note = Some("emulated by tcg: its parameter kvm_flag is disabled".to_owned());
            Ok(probed)
        }
        _ => Ok(probed),
    }
}

fn record_of(
    spec: &GuestSpec,
    disks: &[DiskPath],
    probed: &Probed,
    notes: Vec<String>,
    paused: bool,
) -> GuestRecord {
    GuestRecord {
        spec: spec.clone(),
        disks: disks.iter().map(|disk| disk.path.clone()).collect(),
        accelerator: probed.accelerator,
        notes: probed.note.iter().cloned().chain(notes).collect(),
        paused,
    }
}

/// The paths of the disks, which must be there.
fn disk_paths(spec: &GuestSpec, disks: &[DiskSource]) -> Result<Vec<DiskPath>, HvError> {
    if disks.len() != spec.disks.len() {
        return Err(HvError::Invalid {
            field: "attached disks",
            value: disks.len().to_string(),
            accepted: format!("{}, as many as the guest has", spec.disks.len()),
        });
    }
    let path = |source: &DiskSource| match source {
        DiskSource::Path(path) => disk_path(path),
        DiskSource::Record => Err(HvError::Invalid {
            field: "disk",
            value: "a fake disk".to_owned(),
            accepted: "a file or block device".to_owned(),
        }),
    };
    disks.iter().map(path).collect()
}

fn disk_path(path: &Path) -> Result<DiskPath, HvError> {
    let kind = std::fs::metadata(path).map_err(io_error("use disk", path))?.file_type();
    if !path.is_absolute() || !(kind.is_file() || kind.is_block_device()) {
        return Err(HvError::Invalid {
            field: "disk",
            value: path.display().to_string(),
            accepted: "the absolute path of a file or block device".to_owned(),
        });
    }
    Ok(DiskPath { path: path.to_owned(), block_device: kind.is_block_device() })
}

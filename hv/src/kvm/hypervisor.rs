//! The KVM hypervisor of a node: what it knows, and the doors to what it does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use gantry_host::{Blocking, CommandRunner, Pool, RealRunner, run_blocking};
use gantry_model::ids::InstanceUuid;
use gantry_model::node_calls::Recovery;
use gantry_model::objects::{GuestSpec, Nic};
use gantry_model::params::{HypervisorKind, KvmParams, is_url};
use gantry_model::report::{GuestReport, GuestState};
use tokio::sync::{Mutex as AsyncMutex, broadcast};
use uuid::Uuid;

use crate::contract::{
    Capabilities, ConsoleStream, DiskSource, EVENTS_KEPT, GuestChange, GuestIntent, HvEvent,
    HvFacts, Hypervisor, Listing, Started, StoppedBy,
};
use crate::error::HvError;
use crate::kvm::command_line::{check, kvm_params};
use crate::kvm::probe::{AcceleratorChoice, Probed, check_program, probe};
use crate::kvm::run_as::Reserved;
use crate::kvm::run_dir::{ENDED_KEPT, ResetRecord, RunDir};
use crate::kvm::scope::GuestScopes;
use crate::kvm::taps::{self, Taps};
use crate::kvm::watch::Attached;

/// How long QEMU may take to answer a question on its monitor. Lower and a guest on a machine that
/// swaps is reported without its state; higher and one hung QEMU delays every list that long.
pub(super) const MONITOR_TIME_MAX: Duration = Duration::from_secs(5);

/// How long one guest may take to answer while all are listed. A monitor answers in a millisecond.
/// Lower and the guests of a machine that swaps are listed without their state; higher and the
/// start of a daemon, which lists its guests first, waits that long for one hung QEMU.
const LISTED_TIME_MAX: Duration = Duration::from_secs(2);

/// How many guests are asked at once for a list: enough to hide single slow ones, few enough not to
/// open hundreds of files at once.
const ASKED_AT_ONCE: usize = 32;

/// How a [`KvmHypervisor`] is made.
#[derive(Clone)]
pub struct KvmConfig {
    /// The node's state directory; absolute. Guests are under `run/kvm` in it, and their sockets
    /// make it at most 55 bytes long.
    pub base: PathBuf,
    /// Which accelerator guests get.
    pub accelerator: AcceleratorChoice,
    /// Where the processes of guests belong.
    pub scopes: GuestScopes,
    /// What runs programs.
    pub runner: Arc<dyn CommandRunner>,
    /// Where files are read and written.
    pub blocking: Arc<dyn Blocking>,
    /// Connects interfaces, with Ganeti's environment; without one they are connected by us.
    pub network_script: Option<PathBuf>,
}

impl KvmConfig {
    /// For a real node: programs are run, KVM is probed.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            base: base.into(),
            accelerator: AcceleratorChoice::Probe,
            scopes: GuestScopes::of_this_machine(),
            runner: Arc::new(RealRunner),
            blocking: Arc::new(Pool),
            network_script: taps::script(),
        }
    }
}

type Slot = Arc<AsyncMutex<Option<Attached>>>;

/// Runs guests under QEMU. One per state directory at a time.
pub struct KvmHypervisor {
    pub(super) config: KvmConfig,
    pub(super) events: broadcast::Sender<HvEvent>,
    /// One lock per guest: starts, stops and adoptions of the same guest do not overlap.
    slots: Mutex<BTreeMap<InstanceUuid, Slot>>,
    /// Users that guests will run as whose starts are not through yet.
    pub(super) reserved_uids: Reserved,
    probed: AsyncMutex<BTreeMap<PathBuf, Probed>>,
}

impl KvmHypervisor {
    /// Nothing is touched yet; [`Hypervisor::list`] adopts what runs.
    #[must_use]
    pub fn new(config: KvmConfig) -> Self {
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let slots = Mutex::new(BTreeMap::new());
        let probed = AsyncMutex::new(BTreeMap::new());
        Self { config, events, slots, reserved_uids: Reserved::default(), probed }
    }

    pub(super) fn dir(&self, instance: InstanceUuid) -> RunDir {
        RunDir::new(&self.config.base, instance)
    }

    /// What connects interfaces of guests.
    pub(super) fn taps(&self) -> Taps<'_> {
        Taps { runner: &*self.config.runner, script: self.config.network_script.as_deref() }
    }

    pub(super) fn slot(&self, instance: InstanceUuid) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(instance).or_default())
    }

    /// Forgets the locks of guests that are neither running nor being handled.
    fn forget_idle_slots(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().map_or(true, |slot| slot.is_some())
        });
    }

    /// Works on a run directory, on a thread that may block.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        dir: &RunDir,
        work: impl FnOnce(&RunDir) -> Result<T, HvError> + Send + 'static,
    ) -> Result<T, HvError> {
        on_disk(&*self.config.blocking, dir, work).await
    }

    pub(super) fn push(&self, event: HvEvent) {
        // Without a receiver there is nobody to tell.
        let _nobody = self.events.send(event);
    }

    pub(super) async fn probed(&self, program: &Path) -> Result<Probed, HvError> {
        // Held while probing, so that it is done once.
        let mut probed = self.probed.lock().await;
        if let Some(known) = probed.get(program) {
            return Ok(known.clone());
        }
        let scratch = self.config.base.join("run").join("kvm-probe");
        let choice = self.config.accelerator;
        let found = probe(&*self.config.runner, program, choice, &scratch).await?;
        probed.insert(program.to_owned(), found.clone());
        Ok(found)
    }

    /// The guest in this slot, asked of the world: attached to if it lives, its end noted if it
    /// died unseen.
    pub(super) async fn current<'slot>(
        &self,
        dir: &RunDir,
        slot: &'slot mut Option<Attached>,
    ) -> Result<Option<&'slot Attached>, HvError> {
        if let Some(attached) = slot {
            if attached.is_alive()? {
                return Ok(slot.as_ref());
            }
            // Its own task notes the end and tells it; nobody else may before.
            if attached.wait_ended().await {
                *slot = None;
                return Ok(None);
            }
            tracing::error!(instance = %dir.instance(), "the task of a guest did not note its end");
            *slot = None;
        }
        let Some(found) = self.on_disk(dir, look).await? else { return Ok(None) };
        match found {
            Found::Alive { record, process } => {
                *slot = Some(self.adopt(dir, *record, process).await);
            }
            Found::Died { event, nics } => {
                if let Err(error) = self.taps().remove(&nics).await {
                    tracing::warn!(instance = %dir.instance(), %error, "a tap stays");
                }
                tracing::info!(instance = %dir.instance(), "a guest ended while nobody watched");
                self.push(event);
            }
        }
        Ok(slot.as_ref())
    }

    /// The report of a guest that is attached to; `None` if it ended meanwhile.
    pub(super) async fn report(&self, attached: &Attached) -> Result<Option<GuestReport>, HvError> {
        let state = match attached.run_state().await {
            Ok(state) => guest_state(&state),
            Err(_) if !attached.is_alive()? => return Ok(None),
            Err(error) => {
                // It exists: never say that it does not because it would not talk.
                let instance = attached.instance();
                tracing::warn!(%instance, %error, "a guest's monitor does not answer");
                GuestState::Running
            }
        };
        Ok(Some(attached.report(state)))
    }

    async fn query_one(&self, instance: InstanceUuid) -> Result<Option<GuestReport>, HvError> {
        let slot = self.slot(instance);
        let mut slot = slot.lock().await;
        match self.current(&self.dir(instance), &mut slot).await? {
            Some(attached) => self.report(attached).await,
            None => Ok(None),
        }
    }

    /// One guest of a list: what is known of it without its monitor, if that hangs. Whoever asks
    /// for it alone waits longer, and attaches to it.
    async fn list_one(&self, instance: InstanceUuid) -> Result<Option<GuestReport>, HvError> {
        match tokio::time::timeout(LISTED_TIME_MAX, self.query_one(instance)).await {
            Ok(answer) => answer,
            Err(_) => {
                tracing::warn!(%instance, "a guest does not say how it is: its monitor hangs");
                let on_record = |dir: &RunDir| Ok((dir.record()?, dir.locate()?.pop()));
                match self.on_disk(&self.dir(instance), on_record).await? {
                    // It exists: never say that it does not because it would not talk.
                    (Some(record), Some(process)) => {
                        Ok(Some(record.report(process.pid, GuestState::Running)))
                    }
                    (None, Some(process)) => {
                        Err(HvError::Unrecorded { instance, pid: process.pid, source: None })
                    }
                    (_, None) => Ok(None),
                }
            }
        }
    }

    async fn list_all(&self) -> Result<Listing, HvError> {
        let base = self.config.base.clone();
        let dirs = run_blocking(&*self.config.blocking, move || RunDir::all(&base))
            .await
            .map_err(|source| HvError::NoThread { source })??;
        let instances: Vec<InstanceUuid> = dirs.iter().map(RunDir::instance).collect();
        let asked = futures_util::stream::iter(instances)
            .map(|instance| async move { (instance, self.list_one(instance).await) })
            .buffered(ASKED_AT_ONCE);
        let answers: Vec<(InstanceUuid, Result<_, HvError>)> = asked.collect().await;
        let mut listing = Listing::default();
        for (instance, answer) in answers {
            match answer {
                Ok(found) => listing.guests.extend(found),
                // Nothing can be read any more: this process ends.
                Err(error @ HvError::NoThread { .. }) => return Err(error),
                Err(error) => drop(listing.unreadable.insert(instance, error)),
            }
        }
        if dirs.len() > ENDED_KEPT {
            self.forget_oldest(&dirs).await?;
        }
        self.forget_idle_slots();
        Ok(listing)
    }

    /// Removes the directories of guests that ended longest ago, beyond those that are kept.
    async fn forget_oldest(&self, dirs: &[RunDir]) -> Result<(), HvError> {
        let mut ended = Vec::new();
        for dir in dirs {
            if let Some(at) = self.on_disk(dir, |dir| Ok(dir.ended_at())).await? {
                ended.push((at, dir));
            }
        }
        ended.sort_by_key(|(at, dir)| (*at, dir.instance()));
        let excess = ended.len().saturating_sub(ENDED_KEPT);
        for (_, dir) in ended.into_iter().take(excess) {
            let slot = self.slot(dir.instance());
            let _held = slot.lock().await;
            self.on_disk(dir, |dir| match dir.ended() {
                Ok(Some(_)) => dir.remove(),
                Ok(None) => Ok(()),
                // Whatever it was, it is not forgotten before somebody has looked at it.
                Err(error) => {
                    let instance = dir.instance();
                    tracing::warn!(%instance, %error, "the end of a guest cannot be read");
                    Ok(())
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn check_here(&self, spec: &GuestSpec) -> Result<Vec<String>, HvError> {
        let mut warnings = check(spec)?;
        let params = kvm_params(spec)?;
        check_program(Path::new(&params.kvm_path))?;
        self.dir(spec.instance).check_socket_paths()?;
        check_places(params)?;
        // What is said of it is said at the start, which finds out again.
        self.taps().plan(spec, params)?;
        warnings.extend(self.probed(Path::new(&params.kvm_path)).await?.note);
        Ok(warnings)
    }

    async fn facts(&self) -> HvFacts {
        let program = PathBuf::from(KvmParams::default().kvm_path);
        let unusable = |why: String| HvFacts {
            usable: false,
            version: why,
            accelerator: String::new(),
            notes: Vec::new(),
        };
        let sockets = self.dir(InstanceUuid(Uuid::nil())).check_socket_paths();
        if let Err(error) = sockets.and_then(|()| check_program(&program)) {
            return unusable(error.to_string());
        }
        match self.probed(&program).await {
            Ok(probed) => HvFacts {
                usable: true,
                version: probed.version,
                accelerator: probed.accelerator.as_str().to_owned(),
                notes: probed.note.into_iter().collect(),
            },
            Err(error) => unusable(error.to_string()),
        }
    }

    async fn reset(&self, instance: InstanceUuid, mark: Option<Uuid>) -> Result<(), HvError> {
        let slot = self.slot(instance);
        let mut slot = slot.lock().await;
        let dir = self.dir(instance);
        let Some(attached) = self.current(&dir, &mut slot).await? else {
            return Err(HvError::NotRunning { instance });
        };
        let note = |done| {
            let record = mark.map(|mark| ResetRecord { mark, done });
            self.on_disk(&dir, move |dir| record.map_or(Ok(()), |record| dir.mark_reset(&record)))
        };
        note(false).await?;
        attached.execute("system_reset").await?;
        note(true).await
    }

    async fn open_console(
        &self,
        instance: InstanceUuid,
    ) -> Result<Box<dyn ConsoleStream>, HvError> {
        let slot = self.slot(instance);
        let mut slot = slot.lock().await;
        match self.current(&self.dir(instance), &mut slot).await? {
            Some(attached) => Ok(Box::new(attached.console()?)),
            None => Err(HvError::NotRunning { instance }),
        }
    }
}

pub(super) async fn on_disk<T: Send + 'static>(
    blocking: &dyn Blocking,
    dir: &RunDir,
    work: impl FnOnce(&RunDir) -> Result<T, HvError> + Send + 'static,
) -> Result<T, HvError> {
    let dir = dir.clone();
    run_blocking(blocking, move || work(&dir))
        .await
        .map_err(|source| HvError::NoThread { source })?
}

/// That files and directories are there which the parameters name.
fn check_places(params: &KvmParams) -> Result<(), HvError> {
    let refuse = |field, path: &str, accepted: &str| {
        let (value, accepted) = (path.to_owned(), accepted.to_owned());
        Err(HvError::Invalid { field, value, accepted })
    };
    let files = [
        ("kernel_path", &params.kernel_path),
        ("initrd_path", &params.initrd_path),
        ("cdrom_image_path", &params.cdrom_image_path),
        ("cdrom2_image_path", &params.cdrom2_image_path),
        ("floppy_image_path", &params.floppy_image_path),
        ("vnc_password_file", &params.vnc_password_file),
    ];
    for (field, path) in files {
        // Where CDs come from may be a device, too.
        if !path.is_empty() && !is_url(path) && (!Path::new(path).exists() || is_dir(path)) {
            return refuse(field, path, "a file on this node");
        }
    }
    let mut directories = vec![
        ("mem_path", params.mem_path.as_str()),
        ("vnc_x509_path", params.vnc_x509_path.as_str()),
    ];
    if params.vnc_bind_address.starts_with('/') {
        directories.push(("vnc_bind_address", &params.vnc_bind_address));
    }
    for (field, path) in directories {
        if !path.is_empty() && !is_dir(path) {
            return refuse(field, path, "a directory on this node");
        }
    }
    Ok(())
}

fn is_dir(path: &str) -> bool {
    Path::new(path).is_dir()
}

enum Found {
    Alive { record: Box<super::GuestRecord>, process: gantry_host::ProcessIdentity },
    Died { event: HvEvent, nics: Vec<Nic> },
}

/// What a run directory and the process table say of a guest. Notes the end of one that died.
fn look(dir: &RunDir) -> Result<Option<Found>, HvError> {
    let process = dir.locate()?.pop();
    let instance = dir.instance();
    let record = match (dir.record(), &process) {
        (Ok(record), _) => record,
        // Nothing runs: an unreadable record hurts nobody.
        (Err(error), None) => {
            tracing::warn!(%instance, %error, "the record of a guest is unreadable");
            None
        }
        (Err(error), Some(process)) => {
            let source = Some(Box::new(error));
            return Err(HvError::Unrecorded { instance, pid: process.pid, source });
        }
    };
    match (record, process) {
        (Some(record), Some(process)) => {
            Ok(Some(Found::Alive { record: Box::new(record), process }))
        }
        (None, Some(process)) => {
            Err(HvError::Unrecorded { instance, pid: process.pid, source: None })
        }
        (None, None) => Ok(None),
        (Some(record), None) => {
            if dir.ended()?.is_some() {
                return Ok(None);
            }
            let detail = dir.log_tail();
            let epoch = record.spec.epoch;
            let ended = dir.mark_ended(epoch)?;
            let change = GuestChange::Exited { detail };
            let event = HvEvent { instance: dir.instance(), epoch, change };
            // One that never executed was never announced.
            Ok(ended.executed.then_some(Found::Died { event, nics: record.spec.nics }))
        }
    }
}

/// QEMU's words for what a virtual machine does. An unknown one exists and may execute.
fn guest_state(run_state: &str) -> GuestState {
    match run_state {
        "shutdown" | "guest-panicked" | "internal-error" => GuestState::Shutdown,
        "debug" | "inmigrate" | "io-error" | "paused" | "postmigrate" | "prelaunch"
        | "finish-migrate" | "restore-vm" | "save-vm" | "suspended" | "watchdog" | "colo" => {
            GuestState::Paused
        }
        _ => GuestState::Running,
    }
}

impl Hypervisor for KvmHypervisor {
    fn kind(&self) -> HypervisorKind {
        HypervisorKind::Kvm
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { user_shutdown: true, executes: true, ..Capabilities::default() }
    }

    fn node_facts(&self) -> BoxFuture<'_, HvFacts> {
        Box::pin(self.facts())
    }

    fn validate<'a>(&'a self, spec: &'a GuestSpec) -> BoxFuture<'a, Result<Vec<String>, HvError>> {
        Box::pin(self.check_here(spec))
    }

    fn start<'a>(
        &'a self,
        spec: &'a GuestSpec,
        disks: &'a [DiskSource],
        paused: bool,
    ) -> BoxFuture<'a, Result<Started, HvError>> {
        Box::pin(self.start_guest(spec, disks, paused))
    }

    fn stop(
        &self,
        instance: InstanceUuid,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<StoppedBy, HvError>> {
        Box::pin(self.stop_guest(instance, timeout))
    }

    fn reboot(
        &self,
        instance: InstanceUuid,
        mark: Option<Uuid>,
    ) -> BoxFuture<'_, Result<(), HvError>> {
        Box::pin(self.reset(instance, mark))
    }

    fn query(&self, instance: InstanceUuid) -> BoxFuture<'_, Result<Option<GuestReport>, HvError>> {
        Box::pin(self.query_one(instance))
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing, HvError>> {
        Box::pin(self.list_all())
    }

    fn events(&self) -> broadcast::Receiver<HvEvent> {
        self.events.subscribe()
    }

    fn console(
        &self,
        instance: InstanceUuid,
    ) -> BoxFuture<'_, Result<Box<dyn ConsoleStream>, HvError>> {
        Box::pin(self.open_console(instance))
    }

    fn recover<'a>(&'a self, intent: GuestIntent<'a>) -> BoxFuture<'a, Recovery> {
        Box::pin(self.recover_intent(intent))
    }
}

#[cfg(test)]
#[path = "hypervisor_tests.rs"]
mod tests;

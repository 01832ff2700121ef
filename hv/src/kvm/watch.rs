//! A running guest while we are attached to it: its monitor, its console, its end.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_host::{Blocking, CommandRunner, ProcessIdentity};
use gantry_model::ids::InstanceUuid;
use gantry_model::report::{GuestReport, GuestState};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::AbortHandle;

use crate::console::{Console, ConsoleHub};
use crate::contract::{GuestChange, HvEvent};
use crate::error::HvError;
use crate::kvm::hypervisor::{KvmHypervisor, MONITOR_TIME_MAX, on_disk};
use crate::kvm::qmp::{QmpClient, QmpError, QmpEvent};
use crate::kvm::run_dir::{GuestRecord, RunDir};
use crate::kvm::taps::Taps;

/// How long after its monitor closed a QEMU may take to be gone. It closes the monitor in its last
/// milliseconds. Higher only delays the first attempt to talk to one that lives on.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// How long we wait before we connect again to a guest that lives. Higher is longer without events
/// and console; lower is load for nothing.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// How long the task of a guest that is gone may take to note it: it may be in the middle of an
/// attempt to connect ([`MONITOR_TIME_MAX`]), then it writes one file. Lower and an end is told
/// twice; higher and a bug there is noticed later.
const NOTED_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of console output taken at once.
const CONSOLE_READ_BYTES: usize = 4096;

/// The monitor of a guest with its events.
pub(super) type Monitor = (QmpClient, mpsc::Receiver<QmpEvent>);

/// What the owner and the tasks of a guest share.
struct Shared {
    record: GuestRecord,
    process: ProcessIdentity,
    dir: RunDir,
    monitor: Mutex<Option<QmpClient>>,
    console: Option<Arc<ConsoleHub>>,
    /// It was asked to shut down.
    asked: AtomicBool,
    events: broadcast::Sender<HvEvent>,
    ended: watch::Sender<bool>,
}

/// A guest that we are attached to. Dropping it detaches; the guest goes on.
pub(super) struct Attached {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl KvmHypervisor {
    /// Attaches to a guest that an earlier daemon left. If its monitor does not answer now, its
    /// task goes on trying: the guest exists all the same.
    pub(super) async fn adopt(
        &self,
        dir: &RunDir,
        record: GuestRecord,
        process: ProcessIdentity,
    ) -> Attached {
        let instance = dir.instance();
        let monitor = match QmpClient::connect(&dir.qmp(), MONITOR_TIME_MAX).await {
            Ok(monitor) => Some(monitor),
            Err(error) => {
                tracing::warn!(%instance, %error, "could not talk to an adopted guest");
                None
            }
        };
        let state = match &monitor {
            Some((client, _)) => client.run_state(MONITOR_TIME_MAX).await.unwrap_or_default(),
            None => String::new(),
        };
        tracing::info!(%instance, pid = process.pid, state, "adopted a running guest");
        let began = state != "prelaunch";
        let change = if state == "running" { GuestChange::Started } else { GuestChange::Stopped };
        let epoch = record.spec.epoch;
        let attached = self.attach(dir, record, process, monitor, None, began);
        if began {
            self.push(HvEvent { instance, epoch, change });
        }
        attached
    }

    /// Attaches. `serial` is its console, if it is connected to already; `began` says whether its
    /// first instruction is past.
    pub(super) fn attach(
        &self,
        dir: &RunDir,
        record: GuestRecord,
        process: ProcessIdentity,
        monitor: Option<Monitor>,
        serial: Option<UnixStream>,
        began: bool,
    ) -> Attached {
        let has_console =
            super::command_line::kvm_params(&record.spec).is_ok_and(|params| params.serial_console);
        let (client, monitor_events) = monitor.unzip();
        let shared = Arc::new(Shared {
            record,
            process,
            dir: dir.clone(),
            monitor: Mutex::new(client),
            console: has_console.then(ConsoleHub::new),
            asked: AtomicBool::new(false),
            events: self.events.clone(),
            ended: watch::Sender::new(false),
        });
        let watcher = Watcher {
            shared: Arc::clone(&shared),
            blocking: Arc::clone(&self.config.blocking),
            runner: Arc::clone(&self.config.runner),
            began,
            shut_down: false,
        };
        let mut tasks = vec![tokio::spawn(watcher.run(monitor_events)).abort_handle()];
        if let Some(hub) = &shared.console {
            let pump = pump_console(Arc::clone(hub), shared.dir.serial().clone(), serial);
            tasks.push(tokio::spawn(pump).abort_handle());
        }
        Attached { shared, tasks }
    }
}

impl Attached {
    pub(super) fn instance(&self) -> InstanceUuid {
        self.shared.dir.instance()
    }

    pub(super) fn record(&self) -> &GuestRecord {
        &self.shared.record
    }

    pub(super) fn process(&self) -> &ProcessIdentity {
        &self.shared.process
    }

    pub(super) fn is_alive(&self) -> Result<bool, HvError> {
        self.shared.process.is_alive().map_err(|source| HvError::Process {
            attempt: "look for",
            instance: self.instance(),
            source,
        })
    }

    /// A handle on the end of the guest that can be awaited without holding it.
    pub(super) fn ended(&self) -> watch::Receiver<bool> {
        self.shared.ended.subscribe()
    }

    /// Waits until its end is noted and told. False if that takes too long.
    pub(super) async fn wait_ended(&self) -> bool {
        let mut ended = self.ended();
        let noted = ended.wait_for(|ended| *ended);
        tokio::time::timeout(NOTED_TIME_MAX, noted).await.is_ok()
    }

    /// From now on a shutdown is what we asked for.
    pub(super) fn note_asked(&self) {
        self.shared.asked.store(true, Ordering::Relaxed);
    }

    pub(super) async fn run_state(&self) -> Result<String, QmpError> {
        self.monitor()?.run_state(MONITOR_TIME_MAX).await
    }

    pub(super) async fn execute(&self, command: &'static str) -> Result<(), HvError> {
        self.tell(command, None).await.map(|_| ())
    }

    /// Asks its monitor.
    pub(super) async fn ask(&self, command: &'static str) -> Result<Value, HvError> {
        self.tell(command, None).await
    }

    /// Tells its monitor something with arguments.
    pub(super) async fn tell(
        &self,
        command: &'static str,
        arguments: Option<Value>,
    ) -> Result<Value, HvError> {
        let executed =
            async { self.monitor()?.execute(command, arguments, MONITOR_TIME_MAX).await };
        executed.await.map_err(|source| {
            let command = command.to_owned();
            HvError::Qmp { instance: self.instance(), command, source }
        })
    }

    pub(super) fn console(&self) -> Result<Console, HvError> {
        let instance = self.instance();
        self.shared.console.as_ref().map(ConsoleHub::open).ok_or(HvError::NoConsole { instance })
    }

    pub(super) fn report(&self, state: GuestState) -> GuestReport {
        self.shared.record.report(self.shared.process.pid, state)
    }

    fn monitor(&self) -> Result<QmpClient, QmpError> {
        let monitor = self.shared.monitor.lock().unwrap_or_else(PoisonError::into_inner);
        let unconnected = || QmpError::Closed { reason: "not connected now".into() };
        monitor.clone().ok_or_else(unconnected)
    }
}

/// The task that turns what QEMU says into events, and notes the end of the guest.
struct Watcher {
    shared: Arc<Shared>,
    blocking: Arc<dyn Blocking>,
    runner: Arc<dyn CommandRunner>,
    began: bool,
    shut_down: bool,
}

impl Watcher {
    async fn run(mut self, mut monitor_events: Option<mpsc::Receiver<QmpEvent>>) {
        let instance = self.shared.dir.instance();
        loop {
            if let Some(mut events) = monitor_events.take() {
                while let Some(event) = events.recv().await {
                    self.take(&event);
                }
                self.set_monitor(None);
                if self.gone_within(LAST_BREATH).await {
                    break;
                }
                tracing::warn!(%instance, "the monitor of a running guest closed");
            }
            match QmpClient::connect(&self.shared.dir.qmp(), MONITOR_TIME_MAX).await {
                Ok((client, events)) => {
                    tracing::info!(%instance, "connected to the monitor of a guest again");
                    self.set_monitor(Some(client));
                    monitor_events = Some(events);
                }
                Err(error) => {
                    tracing::debug!(%instance, %error, "still no monitor");
                    if self.gone_within(RECONNECT_PAUSE).await {
                        break;
                    }
                }
            }
        }
        self.finish().await;
    }

    async fn gone_within(&self, time: Duration) -> bool {
        match self.shared.process.wait_gone(time).await {
            Ok(gone) => gone,
            Err(error) => {
                let pid = self.shared.process.pid;
                tracing::warn!(pid, %error, "could not look for the process of a guest");
                // Not a proof of its end, and no reason to ask without a pause.
                tokio::time::sleep(time).await;
                false
            }
        }
    }

    fn set_monitor(&self, client: Option<QmpClient>) {
        *self.shared.monitor.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    fn take(&mut self, event: &QmpEvent) {
        let change = match event.name.as_str() {
            "RESUME" if !self.began => {
                self.began = true;
                GuestChange::Started
            }
            "RESUME" => GuestChange::Resumed,
            // A shutdown stops the processor too; it has been told.
            "STOP" if self.shut_down => return,
            "STOP" => GuestChange::Stopped,
            "RESET" => GuestChange::Reset,
            "SHUTDOWN" => {
                self.shut_down = true;
                let requested = self.shared.asked.load(Ordering::Relaxed);
                GuestChange::Shutdown { guest: event.flag("guest"), requested }
            }
            name => {
                tracing::debug!(instance = %self.shared.dir.instance(), name, "event of a guest");
                return;
            }
        };
        self.push(change);
    }

    fn push(&self, change: GuestChange) {
        let instance = self.shared.dir.instance();
        let epoch = self.shared.record.spec.epoch;
        // Without a receiver there is nobody to tell.
        let _nobody = self.shared.events.send(HvEvent { instance, epoch, change });
    }

    async fn finish(self) {
        let taps = Taps { runner: &*self.runner, script: None };
        if let Err(error) = taps.remove(&self.shared.record.spec.nics).await {
            // The next start of the guest removes them.
            tracing::warn!(instance = %self.shared.dir.instance(), %error, "a tap stays");
        }
        let epoch = self.shared.record.spec.epoch;
        let noted = on_disk(&*self.blocking, &self.shared.dir, move |dir| {
            let detail = dir.log_tail();
            dir.mark_ended(epoch).map(|_| detail)
        });
        let detail = noted.await.unwrap_or_else(|error| {
            // The next who looks finds no process and notes it then.
            tracing::warn!(instance = %self.shared.dir.instance(), %error, "could not note an end");
            String::new()
        });
        if self.began {
            self.push(GuestChange::Exited { detail });
        }
        if let Some(hub) = &self.shared.console {
            hub.close();
        }
        self.shared.ended.send_replace(true);
    }
}

/// Moves bytes between the console's socket and its hub until it is aborted.
async fn pump_console(
    hub: Arc<ConsoleHub>,
    path: impl AsRef<Path>,
    mut connected: Option<UnixStream>,
) {
    loop {
        let socket = match connected.take() {
            Some(socket) => Ok(socket),
            None => UnixStream::connect(path.as_ref()).await,
        };
        if let Ok(socket) = socket {
            let (mut from_guest, mut to_guest) = socket.into_split();
            let mut piece = [0; CONSOLE_READ_BYTES];
            let reading = async {
                while let Ok(n_bytes) = from_guest.read(&mut piece).await {
                    if n_bytes == 0 {
                        break;
                    }
                    hub.push_output(&piece[..n_bytes]);
                }
            };
            let writing = async {
                loop {
                    let input = hub.take_input().await;
                    if to_guest.write_all(&input).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                biased;
                () = reading => {}
                () = writing => {}
            }
        }
        // The guest has ended, and then this task soon will; or its QEMU will listen again.
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

//! What every hypervisor promises; the conformance suite checks it of each.
//!
//! - A guest never runs twice on a node: [`Hypervisor::start`] of an epoch that runs already
//!   changes nothing and succeeds; while another epoch runs, or after a newer one ran here, it is
//!   refused.
//! - Guests outlive the daemon: dropping the hypervisor touches no guest, and one made later over
//!   the same place finds them all ([`Hypervisor::list`] adopts them).
//! - `query`, `list` and `recover` ask the world now; nothing is answered from memory.
//! - Changes are pushed as [`HvEvent`]s, the end of a guest included, whoever ended it.
//! - A future may be dropped at any point: the effect is then there or not, and asking tells which.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::node_calls::{InstanceReboot, InstanceStart, InstanceStop, Recovery};
use gantry_model::objects::GuestSpec;
use gantry_model::params::HypervisorKind;
use gantry_model::report::GuestReport;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::error::HvError;

/// Most events kept for a receiver that does not keep up. A start or a stop makes three to five, so
/// this is a storm of several hundred guests at once. Lower makes receivers list again after such a
/// storm; higher costs memory (some 64 bytes each).
pub const EVENTS_KEPT: usize = 4096;

/// Where the bytes of a guest's disk are, as the storage that holds it has attached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskSource {
    /// A file or a block device.
    Path(PathBuf),
    /// No bytes: a record of the fake storage. Only the fake hypervisor runs on it.
    Record,
}

/// What a hypervisor on this node is and can do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HvFacts {
    /// Whether guests can be started.
    pub usable: bool,
    /// Name and version, for people; if not usable, why and what to do.
    pub version: String,
    /// How guests are executed, such as `kvm` or `tcg`; empty if not usable.
    pub accelerator: String,
    /// What the operator should know, such as: emulated, because /dev/kvm is not usable.
    pub notes: Vec<String>,
}

/// Optional abilities. What is false here is refused with a typed error, never imitated. Each
/// comes with a trait of its own when it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// A running guest can move to another node.
    pub live_migration: bool,
    /// Disks and interfaces can be added to a running guest.
    pub hotplug: bool,
    /// Memory of a running guest can be changed.
    pub balloon: bool,
    /// A guest that shuts itself down is told apart from one that crashed.
    pub user_shutdown: bool,
    /// Guests run real programs. False where a guest is only a record.
    pub executes: bool,
}

/// A guest was started, or ran already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The guest, asked after the start.
    pub report: GuestReport,
    /// Lines for the job's log, such as: emulated, because /dev/kvm is not usable.
    pub notes: Vec<String>,
}

/// How a guest came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// It did not run.
    AlreadyDown,
    /// It was asked and shut itself down.
    Guest,
    /// Killed: it was not to be asked (no ACPI, no time given, paused).
    KilledUnasked,
    /// Killed: it was asked and did not obey in time.
    KilledAfterTimeout,
}

/// All guests of a hypervisor, as far as each could be read.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that could, by instance.
    pub guests: Vec<GuestReport>,
    /// Those that are there, or may be, and of which it could not be found out. Never absent: who
    /// takes one of these for gone may start it twice.
    pub unreadable: BTreeMap<InstanceUuid, HvError>,
}

/// A change of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HvEvent {
    /// Which guest.
    pub instance: InstanceUuid,
    /// Which start of it.
    pub epoch: RunEpoch,
    /// What happened.
    pub change: GuestChange,
}

/// What happened to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestChange {
    /// It executes its first instruction, or is there again after a restart of the daemon.
    Started,
    /// It has shut down; `Exited` follows.
    Shutdown {
        /// By its own doing. False: the hypervisor was told to end it.
        guest: bool,
        /// After a stop asked for it. `guest` without `requested` is a shutdown by its user.
        requested: bool,
    },
    /// Its processor was reset.
    Reset,
    /// It no longer executes but exists.
    Stopped,
    /// It executes again.
    Resumed,
    /// Nothing of it is left on this node.
    Exited {
        /// Last words of its hypervisor, for people; may be empty.
        detail: String,
    },
}

/// Both directions of a serial console. Reading begins with what is retained of the past and ends
/// with the guest. Several may be open at once.
pub trait ConsoleStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ConsoleStream for T {}

/// An intent whose result was not recorded.
#[derive(Clone, Copy, Debug)]
pub enum GuestIntent<'a> {
    /// A start.
    Start(&'a InstanceStart),
    /// A stop.
    Stop(&'a InstanceStop),
    /// A reboot.
    Reboot(&'a InstanceReboot),
}

/// A hypervisor on one node.
pub trait Hypervisor: Send + Sync + 'static {
    /// Which one.
    fn kind(&self) -> HypervisorKind;

    /// Its optional abilities.
    fn capabilities(&self) -> Capabilities;

    /// What it is and can do on this node. Never fails: what is wrong is in the answer.
    fn node_facts(&self) -> BoxFuture<'_, HvFacts>;

    /// Whether it could run this guest here: program there, parameters understood. Gives warnings.
    ///
    /// # Errors
    /// When a start would certainly be refused; names the field, the value and what is accepted.
    fn validate<'a>(&'a self, spec: &'a GuestSpec) -> BoxFuture<'a, Result<Vec<String>, HvError>>;

    /// Starts a guest on `disks`, which are those of `spec` in the same order; `paused` leaves it
    /// before its first instruction.
    ///
    /// # Errors
    /// When it is refused (see the contract above) or fails; then nothing of it is left.
    fn start<'a>(
        &'a self,
        spec: &'a GuestSpec,
        disks: &'a [DiskSource],
        paused: bool,
    ) -> BoxFuture<'a, Result<Started, HvError>>;

    /// Stops a guest: asks it, asks again, kills it when `timeout` has passed; zero kills at once.
    /// Returns when it is gone.
    ///
    /// # Errors
    /// When it could not even be killed.
    fn stop(
        &self,
        instance: InstanceUuid,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<StoppedBy, HvError>>;

    /// Resets a guest's processor; what runs it stays. `mark` is kept with the guest, so that
    /// [`Hypervisor::recover`] finds it when this has happened.
    ///
    /// # Errors
    /// When it does not run.
    fn reboot(
        &self,
        instance: InstanceUuid,
        mark: Option<Uuid>,
    ) -> BoxFuture<'_, Result<(), HvError>>;

    /// The guest, if it is there.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn query(&self, instance: InstanceUuid) -> BoxFuture<'_, Result<Option<GuestReport>, HvError>>;

    /// All guests, by instance; those that an earlier daemon left are adopted: from then on their
    /// events are pushed. Guests that ended unseen are cleaned up, with an `Exited` event each. One
    /// that cannot be read is named beside the others and does not hide them.
    ///
    /// # Errors
    /// When not even which guests there are can be found out.
    fn list(&self) -> BoxFuture<'_, Result<Listing, HvError>>;

    /// Changes from now on. A receiver that lags misses the oldest; it must then list.
    fn events(&self) -> broadcast::Receiver<HvEvent>;

    /// The serial console of a running guest.
    ///
    /// # Errors
    /// When it does not run or has no serial console.
    fn console(
        &self,
        instance: InstanceUuid,
    ) -> BoxFuture<'_, Result<Box<dyn ConsoleStream>, HvError>>;

    /// How an intent ended, asked of the world. A start that got no further than before the first
    /// instruction is taken back and not started.
    fn recover<'a>(&'a self, intent: GuestIntent<'a>) -> BoxFuture<'a, Recovery>;

    /// Kills a guest at once.
    ///
    /// # Errors
    /// When it could not be killed.
    fn kill(&self, instance: InstanceUuid) -> BoxFuture<'_, Result<StoppedBy, HvError>> {
        self.stop(instance, Duration::ZERO)
    }
}

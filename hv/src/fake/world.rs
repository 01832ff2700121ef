//! The world of the fake guests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gantry_host::{Blocking, Injector, Inline, RecordStore, Records, run_blocking};
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::objects::GuestSpec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::console::ConsoleHub;
use crate::contract::{GuestChange, HvEvent};
use crate::error::HvError;
use crate::guest::TINY_GUEST_UP;

/// The effects that a fake hypervisor has; each can be made to fail, to crash or to take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FakeEffect {
    /// A guest is made, before its first instruction.
    Create,
    /// It begins to execute.
    Begin,
    /// Its power button is pressed.
    PowerButton,
    /// It is killed.
    Kill,
    /// It is reset.
    Reset,
}

/// A guest that exists on a node of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeRunning {
    /// The node.
    pub node: String,
    /// The guest.
    pub instance: InstanceUuid,
    /// Its start.
    pub epoch: RunEpoch,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FakeGuest {
    pub(super) spec: GuestSpec,
    /// Past its first instruction.
    pub(super) began: bool,
    /// Ignores its power button.
    pub(super) deaf: bool,
    /// Its power button was pressed, or its end was ordered.
    pub(super) asked: bool,
    /// The last reset that had a mark.
    #[serde(default)]
    pub(super) reset_mark: Option<Uuid>,
    /// It is there, and nothing can be found out of it.
    #[serde(default)]
    pub(super) unreadable: bool,
}

/// The last guest of an instance that ended on a node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct FakeEnd {
    pub(super) epoch: RunEpoch,
    /// It had begun to execute.
    pub(super) executed: bool,
    /// Somebody who watched was told.
    pub(super) told: bool,
}

/// The newest start of an instance that has executed anywhere.
#[derive(Serialize, Deserialize)]
struct Begun {
    epoch: RunEpoch,
    node: String,
}

/// A hypervisor's ear; gone when its agent is.
pub(super) struct Watch {
    pub(super) events: broadcast::Sender<HvEvent>,
    pub(super) attached: Mutex<BTreeSet<InstanceUuid>>,
}

impl Watch {
    pub(super) fn attach(&self, instance: InstanceUuid) -> bool {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).insert(instance)
    }

    fn detach(&self, instance: InstanceUuid) -> bool {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).remove(&instance)
    }

    fn is_attached(&self, instance: InstanceUuid) -> bool {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).contains(&instance)
    }

    pub(super) fn push(&self, instance: InstanceUuid, epoch: RunEpoch, change: GuestChange) {
        // Without a receiver there is nobody to tell.
        let _nobody = self.events.send(HvEvent { instance, epoch, change });
    }
}

struct Inner {
    store: RecordStore,
    blocking: Arc<dyn Blocking>,
    injector: Injector<FakeEffect>,
    watches: Mutex<BTreeMap<String, Weak<Watch>>>,
    consoles: Mutex<BTreeMap<(String, InstanceUuid), Arc<ConsoleHub>>>,
}

/// Where fake guests live; clones are the same world.
#[derive(Clone)]
pub struct FakeWorld {
    inner: Arc<Inner>,
}

impl FakeWorld {
    /// A world in memory, for nodes of one process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::over(RecordStore::in_memory(), Arc::new(Inline))
    }

    /// A world in a directory, for daemons that share a machine. Blocks. What another process does
    /// to a guest is seen when it is asked for, not pushed.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn in_directory(path: &Path, blocking: Arc<dyn Blocking>) -> Result<Self, HvError> {
        let store = RecordStore::in_directory(path).map_err(|source| HvError::Io {
            attempt: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::over(store, blocking))
    }

    fn over(store: RecordStore, blocking: Arc<dyn Blocking>) -> Self {
        let inner = Inner {
            store,
            blocking,
            injector: Injector::default(),
            watches: Mutex::default(),
            consoles: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What goes wrong in it.
    #[must_use]
    pub fn injector(&self) -> &Injector<FakeEffect> {
        &self.inner.injector
    }

    /// Everything that must never happen and did, in order.
    ///
    /// # Errors
    /// When the world cannot be read.
    pub async fn violations(&self) -> Result<Vec<String>, HvError> {
        self.work(|view| {
            let names = view.records.names("violation.")?;
            names.iter().map(|name| Ok(view.get(name)?.unwrap_or_default())).collect()
        })
        .await
    }

    /// All guests that exist, by instance and node.
    ///
    /// # Errors
    /// When the world cannot be read.
    pub async fn running(&self) -> Result<Vec<FakeRunning>, HvError> {
        self.work(|view| {
            let names = view.records.names("guest.")?;
            let running = names.iter().filter_map(|name| {
                let (instance, node) = split_guest_name(name)?;
                let guest: io::Result<Option<FakeGuest>> = view.get(name);
                Some(guest.map(|guest| {
                    let epoch = guest.map_or(RunEpoch::default(), |guest| guest.spec.epoch);
                    FakeRunning { node: node.to_owned(), instance, epoch }
                }))
            });
            running.collect()
        })
        .await
    }

    /// The guest dies, wherever it is.
    ///
    /// # Errors
    /// When the world cannot be changed.
    pub async fn die(&self, instance: InstanceUuid) -> Result<(), HvError> {
        self.work(move |view| {
            for node in view.nodes_with(instance)? {
                view.end(&node, instance, None)?;
            }
            Ok(())
        })
        .await
    }

    /// The guest's user shuts it down from inside, wherever it is.
    ///
    /// # Errors
    /// When the world cannot be changed.
    pub async fn user_shutdown(&self, instance: InstanceUuid) -> Result<(), HvError> {
        self.work(move |view| {
            for node in view.nodes_with(instance)? {
                view.end(&node, instance, Some(Shutdown::ByGuest))?;
            }
            Ok(())
        })
        .await
    }

    /// A node loses its power: all its guests die, nobody there is told.
    ///
    /// # Errors
    /// When the world cannot be changed.
    pub async fn power_cut(&self, node: &str) -> Result<(), HvError> {
        let node = node.to_owned();
        self.inner.watches.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
        self.work(move |view| {
            for name in view.records.names("guest.")? {
                if let Some((instance, _)) = split_guest_name(&name).filter(|(_, at)| *at == node) {
                    view.end(&node, instance, None)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Makes the guests of an instance that exist now ignore their power button, or obey again.
    ///
    /// # Errors
    /// When the world cannot be changed.
    pub async fn set_deaf(&self, instance: InstanceUuid, deaf: bool) -> Result<(), HvError> {
        self.work(move |view| {
            for node in view.nodes_with(instance)? {
                view.change(&node, instance, |guest| guest.deaf = deaf)?;
            }
            Ok(())
        })
        .await
    }

    /// Makes the records of the guests of an instance that exist now unreadable, or readable again.
    /// Whoever watches is not told.
    ///
    /// # Errors
    /// When the world cannot be changed.
    pub async fn set_unreadable(
        &self,
        instance: InstanceUuid,
        unreadable: bool,
    ) -> Result<(), HvError> {
        self.work(move |view| {
            for node in view.nodes_with(instance)? {
                view.change(&node, instance, |guest| guest.unreadable = unreadable)?;
            }
            Ok(())
        })
        .await
    }

    pub(super) fn watch(&self, node: &str, watch: &Arc<Watch>) {
        let mut watches = self.inner.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.insert(node.to_owned(), Arc::downgrade(watch));
    }

    fn watcher(&self, node: &str) -> Option<Arc<Watch>> {
        let watches = self.inner.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.get(node)?.upgrade()
    }

    /// The console of a guest. What was said before this process saw the guest is lost, as it is
    /// with a real one.
    pub(super) fn console(&self, node: &str, instance: InstanceUuid) -> Arc<ConsoleHub> {
        let mut consoles = self.inner.consoles.lock().unwrap_or_else(PoisonError::into_inner);
        let hub = consoles.entry((node.to_owned(), instance)).or_insert_with(|| {
            // Weak, or the world would hold itself.
            let (world, node) = (Arc::downgrade(&self.inner), node.to_owned());
            ConsoleHub::with_handler(Arc::new(move |keys: &[u8]| {
                if let Some(inner) = world.upgrade() {
                    FakeWorld { inner }.press_keys(&node, instance, keys);
                }
            }))
        });
        Arc::clone(hub)
    }

    fn press_keys(&self, node: &str, instance: InstanceUuid, keys: &[u8]) {
        let pressed = self.inner.store.exclusive(|records| {
            let mut view = View { world: self, records };
            keys.iter().try_for_each(|key| view.press(node, instance, *key))
        });
        if let Err(error) = pressed {
            tracing::warn!(%instance, %error, "a key did not reach a fake guest");
        }
    }

    /// Works on the world while nobody else does.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut View<'_, '_>) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HvError> {
        let world = self.clone();
        run_blocking(&*self.inner.blocking, move || {
            world.inner.store.exclusive(|records| work(&mut View { world: &world, records }))
        })
        .await
        .map_err(|source| HvError::NoThread { source })?
        .map_err(|source| HvError::Io {
            attempt: "change",
            path: "the fake world".into(),
            source,
        })
    }
}

/// How a guest shut down, if it did not just die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    ByGuest,
    ByHypervisor,
}

/// Exclusive access to the world.
pub(super) struct View<'w, 'r> {
    world: &'w FakeWorld,
    records: &'w mut Records<'r>,
}

impl View<'_, '_> {
    fn get<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        let Some(bytes) = self.records.get(name)? else { return Ok(None) };
        gantry_wire::decode(&bytes).map(Some).map_err(io::Error::other)
    }

    fn put<T: Serialize>(&mut self, name: &str, value: &T) -> io::Result<()> {
        let bytes = gantry_wire::encode(value).map_err(io::Error::other)?;
        self.records.put(name, &bytes)
    }

    pub(super) fn guest(
        &self,
        node: &str,
        instance: InstanceUuid,
    ) -> io::Result<Option<FakeGuest>> {
        self.get(&guest_name(node, instance))
    }

    pub(super) fn guests_of(&self, node: &str) -> io::Result<Vec<InstanceUuid>> {
        let mut instances = BTreeSet::new();
        for prefix in ["guest.", "end."] {
            for name in self.records.names(prefix)? {
                let name = name.replacen(prefix, "guest.", 1);
                let here = split_guest_name(&name).filter(|(_, at)| *at == node);
                instances.extend(here.map(|(instance, _)| instance));
            }
        }
        Ok(instances.into_iter().collect())
    }

    fn nodes_with(&self, instance: InstanceUuid) -> io::Result<Vec<String>> {
        let names = self.records.names(&format!("guest.{instance}."))?;
        let nodes = names.iter().filter_map(|name| split_guest_name(name));
        Ok(nodes.map(|(_, node)| node.to_owned()).collect())
    }

    pub(super) fn change(
        &mut self,
        node: &str,
        instance: InstanceUuid,
        change: impl FnOnce(&mut FakeGuest),
    ) -> io::Result<Option<FakeGuest>> {
        let Some(mut guest) = self.guest(node, instance)? else { return Ok(None) };
        change(&mut guest);
        self.put(&guest_name(node, instance), &guest)?;
        Ok(Some(guest))
    }

    pub(super) fn last_end(
        &self,
        node: &str,
        instance: InstanceUuid,
    ) -> io::Result<Option<FakeEnd>> {
        self.get(&end_name(node, instance))
    }

    /// The end has been told.
    pub(super) fn mark_told(&mut self, node: &str, instance: InstanceUuid) -> io::Result<()> {
        let Some(end) = self.last_end(node, instance)? else { return Ok(()) };
        self.put(&end_name(node, instance), &FakeEnd { told: true, ..end })
    }

    fn violate(&mut self, text: &str) -> io::Result<()> {
        let number = self.records.names("violation.")?.len();
        tracing::error!(text, "a violation in the fake world");
        self.put(&format!("violation.{number:08}"), &text.to_owned())
    }

    /// Makes a guest. The world lets it happen also where it must not.
    pub(super) fn create(&mut self, node: &str, spec: &GuestSpec) -> io::Result<()> {
        let instance = spec.instance;
        for other in self.nodes_with(instance)? {
            let here = spec.epoch;
            self.violate(&format!(
                "guest {instance} (epoch {here}) made on {node} while it exists on {other}"
            ))?;
        }
        let guest = FakeGuest {
            spec: spec.clone(),
            began: false,
            deaf: false,
            asked: false,
            reset_mark: None,
            unreadable: false,
        };
        self.put(&guest_name(node, instance), &guest)?;
        let mut consoles = self.world.inner.consoles.lock().unwrap_or_else(PoisonError::into_inner);
        consoles.remove(&(node.to_owned(), instance));
        Ok(())
    }

    /// Lets a guest begin.
    pub(super) fn begin(&mut self, node: &str, instance: InstanceUuid) -> io::Result<()> {
        let Some(guest) = self.change(node, instance, |guest| guest.began = true)? else {
            return Ok(());
        };
        let epoch = guest.spec.epoch;
        let begun_name = format!("begun.{instance}");
        let before: Option<Begun> = self.get(&begun_name)?;
        if let Some(before) = before.as_ref().filter(|before| before.epoch >= epoch) {
            let (old_node, old_epoch) = (&before.node, before.epoch);
            self.violate(&format!(
                "guest {instance} began epoch {epoch} on {node} after epoch {old_epoch} on \
                 {old_node}"
            ))?;
        }
        if before.is_none_or(|before| before.epoch < epoch) {
            self.put(&begun_name, &Begun { epoch, node: node.to_owned() })?;
        }
        self.tell(node, instance, epoch, GuestChange::Started);
        self.boot(node, instance)
    }

    fn boot(&mut self, node: &str, instance: InstanceUuid) -> io::Result<()> {
        let name = format!("boots.{instance}");
        let boots = self.get::<u64>(&name)?.unwrap_or(0) + 1;
        self.put(&name, &boots)?;
        self.say(node, instance, &format!("{TINY_GUEST_UP}{boots}"));
        Ok(())
    }

    fn say(&self, node: &str, instance: InstanceUuid, line: &str) {
        self.world.console(node, instance).push_output(format!("{line}\r\n").as_bytes());
    }

    pub(super) fn reset(
        &mut self,
        node: &str,
        instance: InstanceUuid,
        mark: Option<Uuid>,
    ) -> io::Result<()> {
        let marked = self.change(node, instance, |guest| {
            guest.reset_mark = mark.or(guest.reset_mark);
        })?;
        let Some(guest) = marked else { return Ok(()) };
        self.tell(node, instance, guest.spec.epoch, GuestChange::Reset);
        self.boot(node, instance)
    }

    /// Presses the power button.
    pub(super) fn power_button(&mut self, node: &str, instance: InstanceUuid) -> io::Result<()> {
        match self.change(node, instance, |guest| guest.asked = true)? {
            Some(guest) if guest.began && !guest.deaf => {
                self.say(node, instance, "POWERDOWN");
                self.end(node, instance, Some(Shutdown::ByGuest))
            }
            _ => Ok(()),
        }
    }

    fn press(&mut self, node: &str, instance: InstanceUuid, key: u8) -> io::Result<()> {
        match key {
            b'q' => self.end(node, instance, Some(Shutdown::ByGuest)),
            b'r' => self.reset(node, instance, None),
            b'i' => {
                let changed = self.change(node, instance, |guest| guest.deaf = !guest.deaf)?;
                if let Some(guest) = changed {
                    self.say(node, instance, &format!("IGNORE {}", u8::from(guest.deaf)));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The guest is gone.
    pub(super) fn end(
        &mut self,
        node: &str,
        instance: InstanceUuid,
        shutdown: Option<Shutdown>,
    ) -> io::Result<()> {
        let Some(guest) = self.guest(node, instance)? else { return Ok(()) };
        let (epoch, executed) = (guest.spec.epoch, guest.began);
        let watcher = self.world.watcher(node);
        let told = watcher.as_ref().is_some_and(|watch| watch.is_attached(instance));
        self.put(&end_name(node, instance), &FakeEnd { epoch, executed, told })?;
        self.records.remove(&guest_name(node, instance))?;
        if let Some(shutdown) = shutdown.filter(|_| executed) {
            let by_guest = shutdown == Shutdown::ByGuest;
            let change = GuestChange::Shutdown { guest: by_guest, requested: guest.asked };
            self.tell(node, instance, epoch, change);
        }
        if executed {
            self.tell(node, instance, epoch, GuestChange::Exited { detail: String::new() });
        }
        if let Some(watch) = watcher {
            watch.detach(instance);
        }
        let mut consoles = self.world.inner.consoles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = consoles.remove(&(node.to_owned(), instance)) {
            hub.close();
        }
        Ok(())
    }

    fn tell(&self, node: &str, instance: InstanceUuid, epoch: RunEpoch, change: GuestChange) {
        if let Some(watch) = self.world.watcher(node).filter(|watch| watch.is_attached(instance)) {
            watch.push(instance, epoch, change);
        }
    }
}

fn guest_name(node: &str, instance: InstanceUuid) -> String {
    format!("guest.{instance}.{node}")
}

fn end_name(node: &str, instance: InstanceUuid) -> String {
    format!("end.{instance}.{node}")
}

fn split_guest_name(name: &str) -> Option<(InstanceUuid, &str)> {
    let (instance, node) = name.strip_prefix("guest.")?.split_once('.')?;
    Some((instance.parse().ok()?, node))
}

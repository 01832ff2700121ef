//! The fake hypervisor of one node: a view of the world.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_model::errors::Fault;
use gantry_model::ids::InstanceUuid;
use gantry_model::node_calls::{CallOutcome, InstanceStart, Recovery};
use gantry_model::objects::GuestSpec;
use gantry_model::params::{HvParams, HypervisorKind};
use gantry_model::report::{GuestReport, GuestState};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::contract::{
    Capabilities, ConsoleStream, DiskSource, EVENTS_KEPT, GuestChange, GuestIntent, HvEvent,
    HvFacts, Hypervisor, Listing, Started, StoppedBy,
};
use crate::epoch::{other_epoch, unmarked_reboot};
use crate::error::HvError;
use crate::fake::world::{FakeEffect, FakeEnd, FakeGuest, FakeWorld, Shutdown, View, Watch};

/// How a fake guest "executes".
const ACCELERATOR: &str = "fake";

/// The hypervisor of one node in a [`FakeWorld`].
pub struct FakeHypervisor {
    world: FakeWorld,
    node: String,
    watch: Arc<Watch>,
}

/// What the world has of a guest on this node.
struct Here {
    guest: Option<FakeGuest>,
    end: Option<FakeEnd>,
}

impl FakeHypervisor {
    /// Of this node; the name is any that distinguishes it in the world. A later one of the same
    /// node replaces it.
    #[must_use]
    pub fn new(world: &FakeWorld, node: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let node: String = node.chars().map(plain).collect();
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let watch = Arc::new(Watch { events, attached: Mutex::default() });
        world.watch(&node, &watch);
        Self { world: world.clone(), node, watch }
    }

    /// Asks the world, and begins to watch what is found.
    async fn look(&self, instance: InstanceUuid) -> Result<Here, HvError> {
        let (node, watch) = (self.node.clone(), Arc::clone(&self.watch));
        let here = self
            .world
            .work(move |view| {
                let guest = view.guest(&node, instance)?;
                if guest.as_ref().is_some_and(|guest| guest.unreadable) {
                    return Ok(None);
                }
                let end = view.last_end(&node, instance)?;
                if let Some(guest) = &guest {
                    if watch.attach(instance) && guest.began {
                        watch.push(instance, guest.spec.epoch, GuestChange::Started);
                    }
                } else if let Some(end) = end.filter(|end| !end.told) {
                    view.mark_told(&node, instance)?;
                    if end.executed {
                        let change = GuestChange::Exited { detail: String::new() };
                        watch.push(instance, end.epoch, change);
                    }
                }
                Ok(Some(Here { guest, end }))
            })
            .await?;
        here.ok_or(HvError::Injected { attempt: "reading the record", instance })
    }

    /// One effect on the world, with everything that can be made to go wrong with it.
    async fn effect(
        &self,
        effect: FakeEffect,
        instance: InstanceUuid,
        act: impl FnOnce(&mut View<'_, '_>, &str) -> io::Result<()> + Send + 'static,
    ) -> Result<(), HvError> {
        if self.world.injector().before(effect).await {
            return Err(HvError::Injected { attempt: attempt(effect), instance });
        }
        let node = self.node.clone();
        self.world.work(move |view| act(view, &node)).await?;
        self.world.injector().after(effect).await;
        Ok(())
    }

    async fn start_guest(
        &self,
        spec: &GuestSpec,
        disks: &[DiskSource],
        paused: bool,
    ) -> Result<Started, HvError> {
        check(spec)?;
        if disks.len() != spec.disks.len() {
            return Err(HvError::Invalid {
                field: "attached disks",
                value: disks.len().to_string(),
                accepted: format!("{}, as many as the guest has", spec.disks.len()),
            });
        }
        let (instance, asked) = (spec.instance, spec.epoch);
        let here = self.look(instance).await?;
        match (&here.guest, here.end) {
            (Some(guest), _) if guest.spec.epoch != asked => {
                let running = guest.spec.epoch;
                return Err(HvError::OtherEpochRuns { instance, asked, running });
            }
            (None, Some(end)) if end.epoch > asked => {
                return Err(HvError::StaleEpoch { instance, asked, seen: end.epoch });
            }
            (Some(_), _) => {}
            (None, _) => self.create(spec).await?,
        }
        let began = here.guest.is_some_and(|guest| guest.began);
        if !began && !paused {
            let begin = self
                .effect(FakeEffect::Begin, instance, move |view, node| view.begin(node, instance));
            if let Err(error) = begin.await {
                // As with a real one: a start that fails leaves nothing.
                self.kill_guest(instance).await?;
                return Err(error);
            }
        }
        let guest = self.look(instance).await?.guest.ok_or(HvError::NotRunning { instance })?;
        Ok(Started { report: report(&guest), notes: Vec::new() })
    }

    async fn create(&self, spec: &GuestSpec) -> Result<(), HvError> {
        let (instance, spec) = (spec.instance, spec.clone());
        let watch = Arc::clone(&self.watch);
        self.effect(FakeEffect::Create, instance, move |view, node| {
            view.create(node, &spec)?;
            watch.attach(instance);
            Ok(())
        })
        .await
    }

    async fn stop_guest(
        &self,
        instance: InstanceUuid,
        timeout: Duration,
    ) -> Result<StoppedBy, HvError> {
        let Some(guest) = self.look(instance).await?.guest else {
            return Ok(StoppedBy::AlreadyDown);
        };
        if timeout.is_zero() || !guest.began {
            self.kill_guest(instance).await?;
            return Ok(StoppedBy::KilledUnasked);
        }
        let mut events = self.watch.events.subscribe();
        self.effect(FakeEffect::PowerButton, instance, move |view, node| {
            view.power_button(node, instance)
        })
        .await?;
        let ended = async {
            while self.look(instance).await?.guest.is_some() {
                // Anything that happens is a reason to look again, also what was missed.
                let _any = events.recv().await;
            }
            Ok(())
        };
        match tokio::time::timeout(timeout, ended).await {
            Ok(ended) => ended.map(|()| StoppedBy::Guest),
            Err(_) => {
                self.kill_guest(instance).await?;
                Ok(StoppedBy::KilledAfterTimeout)
            }
        }
    }

    async fn kill_guest(&self, instance: InstanceUuid) -> Result<(), HvError> {
        self.effect(FakeEffect::Kill, instance, move |view, node| {
            view.change(node, instance, |guest| guest.asked = true)?;
            view.end(node, instance, Some(Shutdown::ByHypervisor))
        })
        .await
    }

    async fn list_all(&self) -> Result<Listing, HvError> {
        let node = self.node.clone();
        let instances = self.world.work(move |view| view.guests_of(&node)).await?;
        let mut listing = Listing::default();
        for instance in instances {
            match self.look(instance).await {
                Ok(here) => listing.guests.extend(here.guest.as_ref().map(report)),
                Err(error @ HvError::Injected { .. }) => {
                    listing.unreadable.insert(instance, error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }

    async fn recover_start(&self, start: &InstanceStart) -> Result<Recovery, HvError> {
        let (instance, asked) = (start.spec.instance, start.spec.epoch);
        let done = |notes| Recovery::Done(CallOutcome::with_notes(notes));
        let here = self.look(instance).await?;
        Ok(match (here.guest, here.end) {
            (Some(guest), _) if guest.spec.epoch != asked => other_epoch(asked, guest.spec.epoch),
            (Some(guest), _) if guest.began || start.paused => done(Vec::new()),
            (Some(_), _) => {
                self.kill_guest(instance).await?;
                Recovery::NotStarted
            }
            (None, Some(end)) if end.epoch > asked => other_epoch(asked, end.epoch),
            (None, Some(end)) if end.epoch == asked && end.executed => {
                done(vec!["the guest was started and has ended since".to_owned()])
            }
            (None, _) => Recovery::NotStarted,
        })
    }

    async fn recover_intent(&self, intent: GuestIntent<'_>) -> Result<Recovery, HvError> {
        match intent {
            GuestIntent::Start(start) => self.recover_start(start).await,
            GuestIntent::Stop(stop) => match self.look(stop.instance).await?.guest {
                Some(_) => Ok(Recovery::NotStarted),
                None => Ok(Recovery::Done(CallOutcome::default())),
            },
            GuestIntent::Reboot(reboot) => {
                let instance = reboot.instance;
                if let Some(guest) = self.look(instance).await?.guest {
                    return Ok(match reboot.mark {
                        None => unmarked_reboot(instance),
                        mark if mark == guest.reset_mark => Recovery::Done(CallOutcome::default()),
                        Some(_) => Recovery::NotStarted,
                    });
                }
                let error = HvError::NotRunning { instance };
                Ok(Recovery::Failed(Fault::new(error.code(), error.to_string())))
            }
        }
    }
}

fn attempt(effect: FakeEffect) -> &'static str {
    match effect {
        FakeEffect::Create => "creation",
        FakeEffect::Begin => "beginning",
        FakeEffect::PowerButton => "power button",
        FakeEffect::Kill => "killing",
        FakeEffect::Reset => "reset",
    }
}

fn check(spec: &GuestSpec) -> Result<(), HvError> {
    let invalid = |field, value: String, accepted: &str| {
        Err(HvError::Invalid { field, value, accepted: accepted.to_owned() })
    };
    let HvParams::Fake(params) = &spec.hvparams else {
        return invalid("hypervisor", spec.hvparams.kind().to_string(), "fake");
    };
    if !matches!(params.migration_mode.as_str(), "live" | "non-live") {
        return invalid("migration_mode", params.migration_mode.clone(), "live, non-live");
    }
    if spec.memory.0 == 0 {
        return invalid("memory", spec.memory.to_string(), "at least 1 MiB");
    }
    if spec.vcpus == 0 {
        return invalid("vcpus", spec.vcpus.to_string(), "at least 1");
    }
    Ok(())
}

fn report(guest: &FakeGuest) -> GuestReport {
    GuestReport {
        instance: guest.spec.instance,
        name: guest.spec.name.clone(),
        hypervisor: HypervisorKind::Fake,
        state: if guest.began { GuestState::Running } else { GuestState::Paused },
        epoch: guest.spec.epoch,
        memory: guest.spec.memory,
        vcpus: guest.spec.vcpus,
        pid: None,
        accelerator: ACCELERATOR.to_owned(),
    }
}

impl Hypervisor for FakeHypervisor {
    fn kind(&self) -> HypervisorKind {
        HypervisorKind::Fake
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { user_shutdown: true, ..Capabilities::default() }
    }

    fn node_facts(&self) -> BoxFuture<'_, HvFacts> {
        Box::pin(async {
            HvFacts {
                usable: true,
                version: "fake hypervisor: guests are records".to_owned(),
                accelerator: ACCELERATOR.to_owned(),
                notes: Vec::new(),
            }
        })
    }

    fn validate<'a>(&'a self, spec: &'a GuestSpec) -> BoxFuture<'a, Result<Vec<String>, HvError>> {
        Box::pin(async { check(spec).map(|()| Vec::new()) })
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
        Box::pin(async move {
            if self.look(instance).await?.guest.is_none() {
                return Err(HvError::NotRunning { instance });
            }
            self.effect(FakeEffect::Reset, instance, move |view, node| {
                view.reset(node, instance, mark)
            })
            .await
        })
    }

    fn query(&self, instance: InstanceUuid) -> BoxFuture<'_, Result<Option<GuestReport>, HvError>> {
        Box::pin(async move { Ok(self.look(instance).await?.guest.as_ref().map(report)) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing, HvError>> {
        Box::pin(self.list_all())
    }

    fn events(&self) -> broadcast::Receiver<HvEvent> {
        self.watch.events.subscribe()
    }

    fn console(
        &self,
        instance: InstanceUuid,
    ) -> BoxFuture<'_, Result<Box<dyn ConsoleStream>, HvError>> {
        Box::pin(async move {
            if self.look(instance).await?.guest.is_none() {
                return Err(HvError::NotRunning { instance });
            }
            let console = self.world.console(&self.node, instance).open();
            Ok(Box::new(console) as Box<dyn ConsoleStream>)
        })
    }

    fn recover<'a>(&'a self, intent: GuestIntent<'a>) -> BoxFuture<'a, Recovery> {
        Box::pin(async move {
            self.recover_intent(intent).await.unwrap_or_else(|error| {
                let fault = Fault::from_error(error.code(), "ask what became of a guest", &error);
                Recovery::Unknown(fault.one_line())
            })
        })
    }
}

//! The node's list of guests: kept true by looking again whenever something may have changed.
//!
//! Events say *look*, they are not believed: an event may be late, lost or about a guest that has
//! been started again. One look per guest is at work at a time; a change meanwhile means one more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_hv::{GuestChange, HvError, HvEvent};
use gantry_model::errors::Fault;
use gantry_model::ids::InstanceUuid;
use gantry_model::params::HypervisorKind;
use gantry_model::report::{GuestReport, GuestState, UnreadableGuest};
use gantry_runtime::Context;
use gantry_wire::ErrorChain;

use super::activate;
use super::node::NodeActor;
use crate::calls::guest_fault;
use crate::env::NodeEnv;
use crate::feed::{FeedEvent, FeedState};

/// How often all guests are listed without a cause. Events tell everything sooner; this bounds how
/// long a lost one matters. Lower asks each guest's monitor more often for nothing; higher leaves a
/// wrong picture standing that long.
const RELIST_INTERVAL: Duration = Duration::from_secs(60);

/// The looks at work.
#[derive(Debug, Default)]
pub(super) struct GuestLooks {
    /// Guests that are looked at; whether to look once more.
    at_work: BTreeMap<InstanceUuid, bool>,
    /// While all guests are listed: those that changed meanwhile.
    changed_since_list: Option<BTreeSet<InstanceUuid>>,
    list_again: bool,
}

/// All guests of all hypervisors.
#[derive(Debug, Default)]
pub(super) struct AllGuests {
    pub(super) guests: Vec<GuestReport>,
    pub(super) unreadable: Vec<UnreadableGuest>,
}

/// Lists them. One that cannot be read hides no other; a hypervisor that cannot even say which
/// guests it has is a failure of the whole list.
pub(super) async fn list_all(env: &NodeEnv) -> Result<AllGuests, Fault> {
    let mut all = AllGuests::default();
    for hypervisor in env.hypervisors.iter() {
        let kind = hypervisor.kind();
        let attempted = || format!("list the guests of hypervisor {kind}");
        let listing = hypervisor.list().await;
        let listing = listing.map_err(|error| guest_fault(&error, &attempted()))?;
        all.guests.extend(listing.guests);
        let unreadable = listing.unreadable.iter();
        all.unreadable.extend(unreadable.map(|(id, error)| unreadable_guest(*id, kind, error)));
    }
    Ok(all)
}

fn unreadable_guest(
    instance: InstanceUuid,
    hypervisor: HypervisorKind,
    error: &HvError,
) -> UnreadableGuest {
    let reason = ErrorChain(error).to_string();
    UnreadableGuest { instance, hypervisor, reason }
}

impl NodeActor {
    /// Something happened to a guest.
    pub(super) fn guest_changed(
        &mut self,
        kind: HypervisorKind,
        event: &HvEvent,
        ctx: &mut Context<Self>,
    ) {
        if let GuestChange::Shutdown { guest: true, requested: false } = event.change {
            self.note_shutdown(event, ctx);
        }
        self.look_at(kind, event.instance, ctx);
    }

    /// The guest ended itself. That is kept until it is started again or a job stops it: its user
    /// wanted it down, which is no error.
    fn note_shutdown(&mut self, event: &HvEvent, ctx: &mut Context<Self>) {
        let Some(known) = self.feed.as_ref().and_then(|feed| feed.guest(event.instance)) else {
            return;
        };
        if known.epoch == event.epoch {
            let report = GuestReport { state: GuestState::Shutdown, ..known.clone() };
            self.feed(FeedEvent::Guest(report), ctx);
        }
    }

    /// Looks at a guest now, or once more when the look at work is over.
    pub(super) fn look_at(
        &mut self,
        kind: HypervisorKind,
        instance: InstanceUuid,
        ctx: &mut Context<Self>,
    ) {
        if let Some(changed) = &mut self.looks.changed_since_list {
            changed.insert(instance);
        }
        if let Some(again) = self.looks.at_work.get_mut(&instance) {
            *again = true;
            return;
        }
        self.looks.at_work.insert(instance, false);
        let env = Arc::clone(&self.env);
        let look = async move {
            let hypervisor = env.hypervisors.get(kind)?;
            hypervisor.query(instance).await
        };
        ctx.spawn_then(look, move |actor, found, ctx| {
            let again = actor.looks.at_work.remove(&instance).unwrap_or(false);
            match found {
                Ok(found) => actor.guest_seen(kind, instance, found, ctx),
                // The next event or the next list will tell.
                Err(error) => actor.unreadable(unreadable_guest(instance, kind, &error), ctx),
            }
            if again {
                actor.look_at(kind, instance, ctx);
            }
        });
    }

    /// A guest could not be found out: whatever was known of it stands, and the leader is told.
    fn unreadable(&mut self, guest: UnreadableGuest, ctx: &mut Context<Self>) {
        self.log_unreadable(std::slice::from_ref(&guest));
        self.feed(FeedEvent::Unreadable(guest), ctx);
    }

    /// Each once, until it changes: they are looked at every minute.
    pub(super) fn log_unreadable(&self, now: &[UnreadableGuest]) {
        let known = self.feed.as_ref().map(FeedState::unreadable);
        let is_new = |guest: &&UnreadableGuest| {
            known.and_then(|known| known.get(&guest.instance)) != Some(*guest)
        };
        for UnreadableGuest { instance, hypervisor, reason } in now.iter().filter(is_new) {
            tracing::error!(%instance, %hypervisor, reason, "a guest cannot be found out");
        }
    }

    fn guest_seen(
        &mut self,
        kind: HypervisorKind,
        instance: InstanceUuid,
        found: Option<GuestReport>,
        ctx: &mut Context<Self>,
    ) {
        let runs = found.is_some();
        match found {
            Some(report) => {
                let known = self.feed.as_ref().and_then(|feed| feed.guest(instance));
                // In its last milliseconds it is still there, and nobody asks it how it is.
                if !known.is_some_and(|known| is_kept(known) && known.epoch == report.epoch) {
                    self.feed(FeedEvent::Guest(report), ctx);
                }
            }
            None => {
                let known = self.feed.as_ref().and_then(|feed| feed.guest(instance));
                let hidden = self.feed.as_ref().and_then(|feed| feed.unreadable().get(&instance));
                // It may run under another hypervisor by now.
                if known.is_some_and(|known| known.hypervisor == kind && !is_kept(known))
                    || hidden.is_some_and(|hidden| hidden.hypervisor == kind)
                {
                    self.feed(FeedEvent::Gone(instance), ctx);
                }
            }
        }
        self.tell_instance(instance, runs, ctx);
    }

    /// A job has stopped a guest: from now on it is down because of that.
    pub(crate) fn guest_stopped(&mut self, instance: InstanceUuid, ctx: &mut Context<Self>) {
        let known = self.feed.as_ref().and_then(|feed| feed.guest(instance));
        if known.is_some_and(is_kept) {
            self.feed(FeedEvent::Gone(instance), ctx);
        }
    }

    /// Lists all guests once in a while, whatever the events said.
    pub(super) fn relist_later(&mut self, ctx: &mut Context<Self>) {
        self.relist = Some(ctx.after(RELIST_INTERVAL, |actor, ctx| {
            actor.list_guests(ctx);
            actor.relist_later(ctx);
        }));
    }

    /// Lists all guests now, or once more when the list at work is over.
    pub(super) fn list_guests(&mut self, ctx: &mut Context<Self>) {
        if self.looks.changed_since_list.is_some() {
            self.looks.list_again = true;
            return;
        }
        self.looks.changed_since_list = Some(BTreeSet::new());
        let env = Arc::clone(&self.env);
        ctx.spawn_then(async move { list_all(&env).await }, |actor, listed, ctx| {
            let changed = actor.looks.changed_since_list.take().unwrap_or_default();
            match listed {
                Ok(all) => actor.guests_listed(all, &changed, ctx),
                Err(fault) => {
                    let why = fault.one_line();
                    tracing::warn!(why, "the guests could not be listed");
                }
            }
            if std::mem::take(&mut actor.looks.list_again) {
                actor.list_guests(ctx);
            }
        });
    }

    /// Takes a list; of guests that changed while it was made, it may be older than what is known.
    fn guests_listed(
        &mut self,
        listed: AllGuests,
        changed: &BTreeSet<InstanceUuid>,
        ctx: &mut Context<Self>,
    ) {
        let AllGuests { guests, mut unreadable } = listed;
        unreadable.retain(|guest| !changed.contains(&guest.instance));
        self.log_unreadable(&unreadable);
        let Some(feed) = &self.feed else { return };
        unreadable.extend(changed.iter().filter_map(|id| feed.unreadable().get(id).cloned()));
        let known: BTreeMap<_, _> = feed.guests().map(|g| (g.instance, g.clone())).collect();
        let mut now: BTreeMap<_, _> = guests.into_iter().map(|g| (g.instance, g)).collect();
        // Whatever was known of one that could not be read stands.
        for guest in &unreadable {
            now.extend(known.get(&guest.instance).map(|known| (guest.instance, known.clone())));
        }
        for kept in known.values().filter(|report| is_kept(report)) {
            let listed = now.get(&kept.instance);
            if listed.is_none_or(|listed| listed.epoch == kept.epoch) {
                now.insert(kept.instance, kept.clone());
            }
        }
        for instance in changed {
            match known.get(instance) {
                Some(report) => drop(now.insert(*instance, report.clone())),
                None => drop(now.remove(instance)),
            }
        }
        let differs: BTreeSet<_> = known
            .keys()
            .chain(now.keys())
            .filter(|instance| known.get(instance) != now.get(instance))
            .copied()
            .collect();
        let runs =
            |instance: &InstanceUuid| now.get(instance).is_some_and(|report| !is_kept(report));
        for instance in &differs {
            self.tell_instance(*instance, runs(instance), ctx);
        }
        let guests = now.into_values().collect();
        self.feed(FeedEvent::Listed { guests, unreadable }, ctx);
    }

    /// Tells the actor of a guest to look again. One that runs has an actor, so that its console is
    /// read from the beginning.
    pub(super) fn tell_instance(
        &self,
        instance: InstanceUuid,
        runs: bool,
        ctx: &mut Context<Self>,
    ) {
        if let Some(actor) = self.env.instance(instance) {
            match actor.act(|actor, ctx| actor.look(ctx)) {
                Ok(()) => return,
                // Passivated, or about to be made again: forgotten, so that a new one is made.
                Err(why) => {
                    tracing::debug!(%instance, %why, "an instance actor was not told");
                    self.env.instance_ended(instance);
                }
            }
        }
        if runs && let Err(why) = activate(ctx.system(), &self.env, instance) {
            tracing::warn!(%instance, %why, "a running guest has no actor");
        }
    }
}

/// Whether a report is the memory of a guest that ended itself.
fn is_kept(report: &GuestReport) -> bool {
    report.state == GuestState::Shutdown
}

//! What a service manager is told: that the daemon is ready, stops, and lives.
//!
//! The protocol is systemd's (`sd_notify`); without a manager in the environment nothing is told to
//! anybody.

use gantry_runtime::System;
use sd_notify::NotifyState;

/// The daemon answers.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The daemon ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping; guests go on")]);
}

/// Says that the daemon lives, as often as the manager wants to hear it, from the thread of the
/// control actors: while that does nothing, nothing is said.
pub(crate) fn keep_alive(system: &System) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let clock = system.platform().clock().clone();
    drop(system.spawn_task(async move {
        loop {
            tell(&[NotifyState::Watchdog]);
            clock.sleep(patience / 2).await;
        }
    }));
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

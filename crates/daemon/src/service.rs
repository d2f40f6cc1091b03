//! What a service manager is told: that we are ready, that we stop, and that we are alive.
//!
//! Without a service manager every one of these does nothing.

use std::io;

use sd_notify::NotifyState;

/// Everything that was asked for is open and served.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// We were asked to stop, and do.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// We make progress. Said at least twice in the time the service manager waits before it starts us anew.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Being told nothing is no reason for a daemon to stop working.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(state)
        && err.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(error = %err, "the service manager could not be told");
    }
}

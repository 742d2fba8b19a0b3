//! What the operating system and systemd tell us, and what we tell them.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To read the policy again.
    Reload,
    /// To let another process take over.
    Upgrade,
    /// To stop; by which signal.
    End(&'static str),
}

/// Signals that are listened to.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    upgrade: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// What the next signal asks for.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.upgrade.recv() => Asked::Upgrade,
            _ = self.terminate.recv() => Asked::End("SIGTERM"),
            _ = self.interrupt.recv() => Asked::End("SIGINT"),
        }
    }
}

/// Tells systemd; without it nothing happens.
pub(crate) fn tell(states: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        tracing::warn!(error = %why, "systemd");
    }
}

pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// "RELOADING=1" needs the time beside it (sd_notify(3)).
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Another process is the one to look after from now on.
pub(crate) fn handed_over(process: u32) {
    // Its own sign of life counts only from now on, and our last one may be old.
    tell(&[NotifyState::MainPid(process), NotifyState::Watchdog]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often systemd's watchdog wants to hear from us, if it does: half of its patience.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

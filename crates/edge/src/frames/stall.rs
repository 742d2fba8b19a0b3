//! How long a client has kept a window shut behind which an answer waits.

use gateway_policy::{Pace, Patience};
use tokio::time::Instant;

/// The patience with one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    patience: Patience,
    /// Since when it has been shut.
    since: Option<Instant>,
}

impl Stall {
    pub(super) fn new(pace: Pace) -> Self {
        Self { patience: Patience::new(pace), since: None }
    }

    /// The window is shut.
    pub(super) fn begun(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// It is open, or nothing waits for it any more.
    pub(super) fn over(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.patience.waited(now.saturating_duration_since(since));
        }
    }

    /// Nothing waited for it.
    pub(super) fn forgive(&mut self) {
        self.since = None;
    }

    /// So much has been sent.
    #[inline]
    pub(super) fn moved(&mut self, bytes: u32) {
        self.patience.moved(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Until when it may be shut, if it is.
    pub(super) fn until(&self) -> Option<Instant> {
        self.since.map(|since| since + self.patience.left())
    }
}

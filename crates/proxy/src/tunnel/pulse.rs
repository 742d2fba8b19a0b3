//! Who has spoken when, and whether a client that says nothing is still there.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// A ping without a payload (RFC 6455 5.5.2). Browsers answer it by themselves.
pub(super) const PING: [u8; 2] = [0x89, 0];

/// When either side last spoke.
#[derive(Debug)]
pub(super) struct Pulse {
    since: Instant,
    /// In milliseconds since then.
    anybody: AtomicU64,
    client: AtomicU64,
    asked: AtomicBool,
}

impl Pulse {
    pub(super) fn now() -> Self {
        let (anybody, client) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { since: Instant::now(), anybody, client, asked: AtomicBool::new(false) }
    }

    fn elapsed(&self) -> u64 {
        self.since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }

    fn at(&self, moment: &AtomicU64) -> Instant {
        self.since + Duration::from_millis(moment.load(Ordering::Relaxed))
    }

    /// n8n has spoken.
    pub(super) fn n8n(&self) {
        self.anybody.store(self.elapsed(), Ordering::Relaxed);
    }

    /// The client has spoken. An answer to our own question tells only that it is there.
    pub(super) fn client(&self, bytes: &[u8]) {
        let now = self.elapsed();
        self.client.store(now, Ordering::Relaxed);
        if !(self.asked.swap(false, Ordering::Relaxed) && is_pong(bytes)) {
            self.anybody.store(now, Ordering::Relaxed);
        }
    }

    /// When somebody last spoke.
    pub(super) fn last(&self) -> Instant {
        self.at(&self.anybody)
    }

    /// When the client last spoke, or was asked to.
    pub(super) fn client_last(&self) -> Instant {
        self.at(&self.client)
    }

    /// Asks the client whether it is there; false if it has been asked before and said nothing.
    pub(super) fn ask(&self) -> bool {
        self.client.store(self.elapsed(), Ordering::Relaxed);
        !self.asked.swap(true, Ordering::Relaxed)
    }
}

/// Whether these are one whole pong without a payload; a client's is masked.
fn is_pong(bytes: &[u8]) -> bool {
    matches!(bytes, [0x8a, 0x80, _, _, _, _] | [0x8a, 0])
}

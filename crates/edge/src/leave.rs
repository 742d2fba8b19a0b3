//! How a listener comes to its end: at once as far as that can be done in order, or little by
//! little while another process takes what is new.

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// What a listener and its connections are told of their end.
#[derive(Clone, Debug)]
pub struct Leave {
    retire: CancellationToken,
    stop: CancellationToken,
}

impl Leave {
    /// Until `stop`: then no more connections are taken, and those that wait for a request end.
    #[must_use]
    pub fn new(stop: &CancellationToken) -> Self {
        Self { retire: stop.child_token(), stop: stop.clone() }
    }

    /// No more connections are taken, and each answer is the last of its connection. Those that
    /// wait for a request go on waiting: whoever is about to send one must not find them closed.
    pub fn retire(&self) {
        self.retire.cancel();
    }

    /// When nothing new is taken any more.
    pub fn retired(&self) -> WaitForCancellationFuture<'_> {
        self.retire.cancelled()
    }

    /// Whether nothing new is taken any more.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retire.is_cancelled()
    }

    /// Cancelled when nothing new is taken any more.
    #[must_use]
    pub fn retirement(&self) -> &CancellationToken {
        &self.retire
    }

    /// Cancelled when everything is to end.
    #[must_use]
    pub fn end(&self) -> &CancellationToken {
        &self.stop
    }
}

//! A clock that tests move.

use std::time::Duration;

use gateway_certs::{Clock, SystemClock};
use tokio::time::Instant;

/// The time it was when the clock was made, and as much more as tokio's time has moved since: a
/// test that pauses or advances tokio's time moves both.
#[derive(Debug)]
pub struct MovedClock {
    began: i64,
    since: Instant,
}

impl Default for MovedClock {
    fn default() -> Self {
        Self { began: SystemClock.now(), since: Instant::now() }
    }
}

impl Clock for MovedClock {
    fn now(&self) -> i64 {
        let moved: Duration = self.since.elapsed();
        self.began.saturating_add(moved.as_secs().try_into().unwrap_or(i64::MAX))
    }
}

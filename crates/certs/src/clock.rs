//! The wall clock.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// What time it is, for certificates.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Seconds since 1970.
    fn now(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the wall clock")]
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs().try_into().unwrap_or(i64::MAX)
    }
}

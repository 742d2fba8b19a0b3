//! When the gateway asks n8n something for itself: when n8n is there and nobody else asks, or when it has
//! waited for that for long enough.

use std::time::Duration;

use gateway_proxy::Upstream;
use tokio::time::Instant;

/// How often it is looked whether something is to be asked.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// How long others go first.
const OTHERS_FIRST: Duration = Duration::from_secs(90);

/// Something that n8n is asked now and then, and anew when it comes back.
#[derive(Debug)]
pub(crate) struct Asking {
    due: Instant,
    was_up: bool,
}

impl Asking {
    /// Due at once.
    pub(crate) fn new() -> Self {
        Self { due: Instant::now(), was_up: false }
    }

    /// Whether it is asked now.
    pub(crate) fn is_now(&mut self, n8n: &Upstream) -> bool {
        self.is_at(Instant::now(), n8n.is_up(), n8n.is_busy())
    }

    fn is_at(&mut self, now: Instant, is_up: bool, is_busy: bool) -> bool {
        if is_up && !self.was_up {
            self.due = now;
        }
        self.was_up = is_up;
        is_up && now >= self.due && (!is_busy || now >= self.due + OTHERS_FIRST)
    }

    /// It is asked again after `pause`.
    pub(crate) fn again_in(&mut self, pause: Duration) {
        self.due = Instant::now() + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_go_first_and_not_for_ever() {
        let mut asking = Asking::new();
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(!asking.is_at(at(1), false, false), "n8n is not there");
        assert!(!asking.is_at(at(2), true, true));
        assert!(!asking.is_at(at(60), true, true));
        assert!(asking.is_at(at(61), true, false), "nobody asks");
        assert!(asking.is_at(at(100), true, true), "long enough");
        asking.again_in(Duration::from_secs(300));
        assert!(!asking.is_at(at(200), true, false));
        assert!(asking.is_at(at(301), true, false));
        assert!(!asking.is_at(at(302), false, false));
        assert!(asking.is_at(at(303), true, false), "it has come back");
    }
}

//! What a connection waits for, and for how long.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::Bounds;

/// How long a connection waits for its next request before it rests: most of what a browser asks for
/// next comes sooner.
const BEFORE_REST: Duration = Duration::from_secs(2);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The first byte of a request, or that hyper may go until it comes.
    Rest,
    /// The first byte of a request, from then on.
    Request,
    /// The rest of a head that has begun.
    RestOfHead,
}

/// Runs while something is waited for, from when it began to be: a piece of a head buys no time.
#[derive(Debug)]
pub(super) struct Clock {
    head: Duration,
    before_rest: Duration,
    /// What is left of the time that a connection may idle when it begins to rest.
    resting: Duration,
    awaited: Option<(Awaited, u64)>,
    /// Kept from one request to the next, whether it runs or not.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let before_rest = bounds.idle.min(BEFORE_REST);
        let resting = bounds.idle.saturating_sub(before_rest);
        Self { head: bounds.head, before_rest, resting, awaited: None, sleep: None }
    }

    /// Waits until what is waited for, with the number of its request, has taken too long.
    pub(super) fn poll(
        &mut self,
        awaited: Option<(Awaited, u64)>,
        cx: &mut Context<'_>,
    ) -> Poll<Awaited> {
        let begins = self.awaited != awaited;
        self.awaited = awaited;
        let Some((awaited, _)) = awaited else { return Poll::Pending };
        let limit = match awaited {
            Awaited::Rest => self.before_rest,
            Awaited::Request => self.resting,
            Awaited::RestOfHead => self.head,
        };
        let until = || Instant::now() + limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until())));
        if begins {
            sleep.as_mut().reset(until());
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(awaited)
    }
}

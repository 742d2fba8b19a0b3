//! What the two ends of one connection's HTTP share: who looks at the bytes, and who answers.
//!
//! Requests are counted on both sides, so that neither has to trust anything that stands in one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use http::StatusCode;

use super::flaw::Flaw;

/// What is known of the requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Flow(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    asked: u64,
    answered: u64,
    /// Whose answers have ended, body and all.
    ended: u64,
    /// Whether the last answer was another protocol (RFC 9110 15.2.2).
    switched: bool,
    /// The request in whose place another one stands, and why.
    refused: Option<(u64, Flaw)>,
    waiting: Option<Waker>,
}

impl Flow {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request with this number, counted from one, is refused.
    pub(super) fn refuse(&self, number: u64, flaw: Flaw) {
        self.state().refused = Some((number, flaw));
    }

    /// Whether the answer to the request with this number was another protocol, once there is one.
    pub(super) fn poll_switched(&self, number: u64, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.answered >= number {
            return Poll::Ready(state.switched);
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes down that a request is answered now, and tells what is wrong with what it stands for.
    pub(crate) fn asked(&self) -> Option<Flaw> {
        let mut state = self.state();
        state.asked += 1;
        state.refused.filter(|(number, _)| *number == state.asked).map(|(_, flaw)| flaw)
    }

    /// Takes down that an answer has ended, or will never be.
    pub(crate) fn ended(&self) {
        self.state().ended += 1;
    }

    /// How many answers have ended.
    pub(super) fn done(&self) -> u64 {
        self.state().ended
    }

    /// Takes down an answer.
    pub(crate) fn answered(&self, status: StatusCode) {
        let mut state = self.state();
        state.answered += 1;
        state.switched = status == StatusCode::SWITCHING_PROTOCOLS;
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }
}

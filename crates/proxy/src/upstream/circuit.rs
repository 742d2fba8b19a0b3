//! Whether a process of n8n is asked at all: a state machine without a clock.
//!
//! What counts is whether connections and exchanges hold, never how long an answer takes: an
//! execution may run for an hour. Whoever is refused while the circuit is open waits for nothing.

use std::{io, time::Duration};

use tokio::time::Instant;

/// How many exchanges in a row may break before a process is taken to be down. Not one: a workflow
/// can break off its own answer, and whoever calls it must not shut out everybody else.
const BREAKS: u32 = 5;

/// How long an open circuit lets nobody through after a connection that was refused: to be refused
/// costs nothing, and whoever starts n8n and looks at once is not told that it is down.
const BRIEF: Duration = Duration::from_millis(200);

/// How long it does after anything else, if nobody probes. Whoever probes is faster.
const PAUSE: Duration = Duration::from_secs(5);

/// How long the one that was let through is waited for before the next one is.
const TRIAL: Duration = Duration::from_secs(10);

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Requests pass.
    Closed,
    /// No request passes.
    Open,
    /// One request has passed to see how it fares.
    HalfOpen,
}

impl CircuitState {
    /// Its name in what the operator reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What speaks against a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody listens, or nobody is called that, which is told at once.
    Refused,
    /// No connection could be made: its machine is gone, and whoever tries waits in vain.
    Unreachable,
    /// An exchange broke off, or was no HTTP.
    Broken,
}

impl Trouble {
    /// What it is that no connection could be made because of `why`.
    pub(crate) fn connecting(why: &io::Error) -> Self {
        use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
        match why.kind() {
            TimedOut | HostUnreachable | NetworkUnreachable => Self::Unreachable,
            _ => Self::Refused,
        }
    }
}

/// A process's circuit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circuit {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { breaks: u32 },
    Open { until: Instant },
    HalfOpen { until: Instant },
}

impl Circuit {
    pub(crate) fn new() -> Self {
        Self { state: State::Closed { breaks: 0 } }
    }

    pub(crate) fn state(self) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Whether nothing speaks against the process.
    pub(crate) fn is_calm(self) -> bool {
        matches!(self.state, State::Closed { breaks: 0 })
    }

    /// Whether a request may pass at `now`. After a pause one may, to see how it fares.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } | State::HalfOpen { until } if now < until => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: now + TRIAL };
                true
            }
        }
    }

    /// The process has answered, whatever it said: it is there.
    pub(crate) fn answered(&mut self) {
        if let State::Open { .. } | State::HalfOpen { .. } = self.state {
            self.state = State::Closed { breaks: 0 };
        }
    }

    /// An exchange has come to its end.
    pub(crate) fn completed(&mut self) {
        self.state = State::Closed { breaks: 0 };
    }

    /// Something speaks against the process at `now`. Tells whether this has opened the circuit.
    pub(crate) fn failed(&mut self, trouble: Trouble, now: Instant) -> bool {
        let was_closed = self.state() == CircuitState::Closed;
        self.state = match (self.state, trouble) {
            (State::Closed { breaks }, Trouble::Broken) if breaks + 1 < BREAKS => {
                State::Closed { breaks: breaks + 1 }
            }
            (_, Trouble::Refused) => State::Open { until: now + BRIEF },
            (_, Trouble::Unreachable | Trouble::Broken) => State::Open { until: now + PAUSE },
        };
        was_closed && self.state() == CircuitState::Open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(begin: Instant, seconds: u64) -> Instant {
        begin + Duration::from_secs(seconds)
    }

    #[test]
    fn who_is_not_there_is_not_asked_until_one_request_has_tried() {
        let (mut circuit, begin) = (Circuit::new(), Instant::now());
        assert!(circuit.admits(begin));
        assert!(circuit.failed(Trouble::Refused, begin), "at once");
        assert!(!circuit.failed(Trouble::Refused, begin), "and this is news once");
        assert!(!circuit.admits(begin + BRIEF / 2));
        assert!(circuit.admits(at(begin, 1)));
        assert_eq!(circuit.state(), CircuitState::HalfOpen);
        assert!(!circuit.admits(at(begin, 1)), "one");
        assert!(!circuit.failed(Trouble::Refused, at(begin, 6)));
        assert!(!circuit.admits(at(begin, 6)));
        assert!(circuit.admits(at(begin, 7)));
        circuit.answered();
        assert_eq!(circuit.state(), CircuitState::Closed);
    }

    #[test]
    fn nobody_waits_for_a_machine_that_is_gone() {
        let (mut circuit, begin) = (Circuit::new(), Instant::now());
        let gone = Trouble::connecting(&io::ErrorKind::TimedOut.into());
        assert!(circuit.failed(gone, begin));
        assert!(!circuit.admits(at(begin, 4)), "each would wait for its own connection");
        assert!(circuit.admits(begin + PAUSE));
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(Trouble::connecting(&refused), Trouble::Refused, "ECONNREFUSED");
        // A container that has not started has no name yet.
        let nameless = io::Error::other("failed to lookup address information");
        assert_eq!(Trouble::connecting(&nameless), Trouble::Refused);
    }

    #[test]
    fn a_trial_that_is_lost_is_followed_by_another() {
        let (mut circuit, begin) = (Circuit::new(), Instant::now());
        circuit.failed(Trouble::Unreachable, begin);
        assert!(circuit.admits(at(begin, 5)));
        assert!(!circuit.admits(at(begin, 14)));
        assert!(circuit.admits(at(begin, 15)), "its client may have gone away");
    }

    #[test]
    fn breaks_count_only_in_a_row() {
        let (mut circuit, begin) = (Circuit::new(), Instant::now());
        for _ in 0..100 {
            for _ in 1..BREAKS {
                assert!(!circuit.failed(Trouble::Broken, begin));
            }
            assert!(!circuit.is_calm());
            // That it answers while others break says nothing of how exchanges end.
            circuit.answered();
            assert!(!circuit.is_calm());
            circuit.completed();
            assert!(circuit.is_calm() && circuit.admits(begin));
        }
        let opened: Vec<bool> =
            (0..BREAKS).map(|_| circuit.failed(Trouble::Broken, begin)).collect();
        assert_eq!(opened, [false, false, false, false, true]);
        assert_eq!(circuit.state(), CircuitState::Open);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Wait(u64),
        Ask,
        Answer,
        Complete,
        Fail(Trouble),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20_u64).prop_map(Step::Wait),
            Just(Step::Ask),
            Just(Step::Answer),
            Just(Step::Complete),
            Just(Step::Fail(Trouble::Refused)),
            Just(Step::Fail(Trouble::Unreachable)),
            Just(Step::Fail(Trouble::Broken)),
        ]
    }

    proptest! {
        /// Whatever happens, requests pass again at the latest when both waits are over, and what
        /// opens a circuit is a fault.
        #[test]
        fn a_circuit_never_stays_open_by_itself(steps in prop::collection::vec(step(), 0..60)) {
            let (mut circuit, mut now) = (Circuit::new(), Instant::now());
            for step in steps {
                let before = circuit.state();
                match step {
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                    Step::Ask => {
                        let passed = circuit.admits(now);
                        prop_assert!(passed || before != CircuitState::Closed);
                    }
                    Step::Answer => circuit.answered(),
                    Step::Complete => circuit.completed(),
                    Step::Fail(trouble) => {
                        let opened = circuit.failed(trouble, now);
                        let opens = before == CircuitState::Closed;
                        prop_assert_eq!(opened, opens && circuit.state() == CircuitState::Open);
                    }
                }
                let asked = matches!(step, Step::Fail(_));
                let opened = before == CircuitState::Closed && circuit.state() != before;
                prop_assert!(!opened || asked);
                let mut later = circuit;
                prop_assert!(later.admits(now + PAUSE + TRIAL));
            }
        }
    }
}

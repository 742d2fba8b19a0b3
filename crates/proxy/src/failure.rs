//! How a request can fail, short of a bug.

use std::{error::Error, time::Duration};

use gateway_policy::{Limit, Reason, Refusal};
use http::StatusCode;

/// How a request failed.
#[derive(Debug)]
pub enum Failure {
    /// It was refused: a value, foreseen.
    Refused(Refusal),
    /// It was refused, and whoever asks reads why in these words, where n8n would say it.
    Explained(Refusal, String),
    /// It was refused because there is nothing left of a budget.
    Limited(Refusal, Spent),
    /// Something broke between the gateway and n8n.
    Faulty(Fault, Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// The refusal, if it is one.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::Explained(refusal, _) | Self::Limited(refusal, _) => {
                Some(refusal)
            }
            Self::Faulty(..) => None,
        }
    }
}

/// A budget that is used up.
#[derive(Clone, Debug)]
pub struct Spent {
    /// The limit.
    pub limit: Limit,
    /// How long until one more request may be made.
    pub wait: Duration,
}

/// What broke between the gateway and n8n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are as many connections to n8n as may be, and none became free.
    Busy,
    /// No connection could be made, or none just before: n8n is down or starting.
    Unreachable,
    /// n8n said nothing for too long.
    Timeout,
    /// n8n ended the connection, or answered what is not HTTP.
    Broken,
}

impl Fault {
    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "upstream_busy",
            Self::Unreachable => "upstream_unreachable",
            Self::Timeout => "upstream_timeout",
            Self::Broken => "upstream_broken",
        }
    }

    /// The status that the client gets.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            // Whoever sends a webhook tries again later.
            Self::Busy | Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::BAD_GATEWAY,
        }
    }

    /// What the client may read.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Busy => "The service behind this address is busy. Try again in a moment.",
            Self::Unreachable => {
                "The service behind this address is not running or is just starting. \
                 Try again in a moment."
            }
            Self::Timeout => "The service behind this address did not answer in time.",
            Self::Broken => "The service behind this address broke off its answer.",
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Refused(Refusal::new(reason, None, None))
    }
}

/// An error and all that caused it, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

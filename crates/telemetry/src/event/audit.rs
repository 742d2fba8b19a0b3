//! What is said of n8n's own installation.

use serde::Serialize;

use super::Event;
use crate::{Level, Metrics, names::event};

/// n8n's installation was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Audited {
    /// When, in seconds since 1970.
    pub at: i64,
    /// How many findings there are of each level, the lowest first.
    #[serde(skip)]
    pub findings: Vec<(&'static str, usize)>,
    /// The worst level that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<&'static str>,
    /// The checks that have found something, by id, the worst first.
    pub found: Vec<&'static str>,
    /// How many checks could not be made.
    pub unknown: usize,
    /// Whether somebody should look: there is a finding from the policy's level on.
    #[serde(skip)]
    pub alarming: bool,
}

impl Event for Audited {
    const NAME: &'static str = event::AUDITED;

    fn level(&self) -> Level {
        if self.alarming { Level::Warn } else { Level::Info }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.audited(self.at, &self.findings, self.unknown);
    }
}

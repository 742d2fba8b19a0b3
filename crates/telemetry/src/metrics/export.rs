//! What became of the lines that an OpenTelemetry collector is to have.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::{Metrics, counter, counters};
use crate::names::{label, metric};

#[derive(Debug)]
pub(super) struct Exported {
    records: IntCounterVec,
    failures: IntCounter,
}

impl Exported {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            records: counters(registry, metric::OTLP_RECORDS, &[label::OUTCOME])?,
            failures: counter(registry, metric::OTLP_FAILURES)?,
        })
    }
}

impl Metrics {
    /// Begins the series, and gives the one that counts what had no room.
    pub(crate) fn export_dropped(&self) -> IntCounter {
        for outcome in ["sent", "refused", "unsent"] {
            self.export.records.with_label_values(&[outcome]);
        }
        self.export.records.with_label_values(&["queue_full"])
    }

    /// Counts records: `sent`, `refused` by the collector, or `unsent` when the process ended.
    pub fn exported(&self, outcome: &'static str, records: u64) {
        self.export.records.with_label_values(&[outcome]).inc_by(records);
    }

    pub(crate) fn export_failed(&self) {
        self.export.failures.inc();
    }

    /// How many records had no room so far.
    #[must_use]
    pub fn export_dropped_so_far(&self) -> u64 {
        self.export.records.with_label_values(&["queue_full"]).get()
    }
}

//! What is said: the names of metrics and fields, events, access records.
//!
//! One struct is one log line and one count. No decision is taken here.

#![forbid(unsafe_code)]

mod event;
mod log;
mod metrics;
pub mod names;
mod record;

use std::sync::Arc;

pub use event::{
    CertificateLoaded, Event, NameNotResolved, Panicked, PolicyWarning, Refused, Reload,
    ReloadOutcome, Started, Stopped, Stopping, TunnelClosed, UpstreamDown, UpstreamFault,
    UpstreamUp,
};
pub use log::{Format, Level, Log, LogGuard};
pub use metrics::{ConnectionKind, Metrics, Open};
pub use record::AccessRecord;

/// Where everything that is said goes.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    log: Log,
}

impl Telemetry {
    /// Says things to `log` and counts them.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, log: Log) -> Self {
        Self { metrics, log }
    }

    /// Says that something happened: one line, and what it counts.
    pub fn say<E: Event>(&self, event: &E) {
        event.count(&self.metrics);
        self.log.line(event.level(), E::NAME, event);
    }

    /// Writes the record of one request.
    pub fn record(&self, record: &AccessRecord) {
        self.metrics.request(record);
        self.log.line(Level::Info, names::event::ACCESS, record);
    }

    /// The metrics in Prometheus's text form.
    #[must_use]
    pub fn exposition(&self) -> String {
        self.metrics.lines_dropped(self.log.dropped());
        self.metrics.exposition()
    }
}

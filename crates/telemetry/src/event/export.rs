//! Events about the OpenTelemetry collector.

use serde::Serialize;

use super::Event;
use crate::{Level, Metrics, names::event};

/// The collector takes nothing. It is tried again; what has no room meanwhile is dropped and counted.
#[derive(Clone, Debug, Serialize)]
pub struct ExportFailed {
    /// Why not.
    pub error: String,
    /// Whether it is the first failure after it worked.
    pub first: bool,
}

impl Event for ExportFailed {
    const NAME: &'static str = event::EXPORT_FAILED;

    fn level(&self) -> Level {
        if self.first { Level::Error } else { Level::Debug }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.export_failed();
    }
}

/// The collector takes records again.
#[derive(Clone, Debug, Serialize)]
pub struct ExportRecovered {
    /// How many records were dropped meanwhile.
    pub dropped: u64,
}

impl Event for ExportRecovered {
    const NAME: &'static str = event::EXPORT_RECOVERED;
}

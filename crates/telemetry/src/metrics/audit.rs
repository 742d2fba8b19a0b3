//! What was found of n8n's own installation.

use gateway_n8n::audit::Level;
use prometheus::{IntGauge, IntGaugeVec, Registry};

use super::{gauge, gauges};
use crate::{
    Metrics,
    names::{label, metric},
};

pub(super) struct Audited {
    findings: IntGaugeVec,
    unknown: IntGauge,
    timestamp: IntGauge,
}

impl Audited {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let findings = gauges(registry, metric::AUDIT_FINDINGS, &[label::LEVEL])?;
        for level in Level::ALL {
            findings.with_label_values(&[level.name()]);
        }
        Ok(Self {
            findings,
            unknown: gauge(registry, metric::AUDIT_UNKNOWN)?,
            timestamp: gauge(registry, metric::AUDIT_TIMESTAMP)?,
        })
    }
}

impl Metrics {
    pub(crate) fn audited(&self, at: i64, findings: &[(&'static str, usize)], unknown: usize) {
        let number = |it: usize| i64::try_from(it).unwrap_or(i64::MAX);
        for (level, count) in findings {
            self.audited.findings.with_label_values(&[*level]).set(number(*count));
        }
        self.audited.unknown.set(number(unknown));
        self.audited.timestamp.set(at);
    }
}

//! What is counted of certificates.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{Metrics, counters, gauges};
use crate::names::{label, metric};

#[derive(Debug)]
pub(super) struct Certificates {
    orders: IntCounterVec,
    not_after: IntGaugeVec,
    temporary: IntGaugeVec,
    renewal: IntGaugeVec,
}

impl Certificates {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_host = |name| gauges(registry, name, &[label::HOST]);
        Ok(Self {
            orders: counters(registry, metric::ACME_ORDERS, &[label::DIRECTORY, label::RESULT])?,
            not_after: by_host(metric::TLS_CERTIFICATE_NOT_AFTER)?,
            temporary: by_host(metric::TLS_CERTIFICATE_TEMPORARY)?,
            renewal: by_host(metric::TLS_CERTIFICATE_RENEWAL)?,
        })
    }
}

impl Metrics {
    /// Counts an attempt to get a certificate: `issued`, `failed` or `rate_limited`.
    pub fn ordered(&self, directory: &str, result: &'static str) {
        self.certificates.orders.with_label_values(&[directory, result]).inc();
    }

    /// Begins the series of a directory, so that an alert sees the first failure as a rise.
    pub fn may_order(&self, directory: &str) {
        for result in ["issued", "failed", "rate_limited"] {
            self.certificates.orders.with_label_values(&[directory, result]);
        }
    }

    /// Says what is served for `host`: until when and whether it is temporary; and when it is
    /// renewed, if it is. Times are in seconds since 1970.
    pub fn certificate(&self, host: &str, not_after: i64, temporary: bool, renewal: Option<i64>) {
        let Certificates { not_after: ends, temporary: odd, renewal: next, .. } =
            &self.certificates;
        ends.with_label_values(&[host]).set(not_after);
        odd.with_label_values(&[host]).set(temporary.into());
        if let Some(at) = renewal {
            next.with_label_values(&[host]).set(at);
        }
    }

    /// Forgets the hosts of the policy before.
    pub fn forget_certificates(&self) {
        let Certificates { not_after, temporary, renewal, orders: _ } = &self.certificates;
        for gauge in [not_after, temporary, renewal] {
            gauge.reset();
        }
    }
}

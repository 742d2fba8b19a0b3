//! What is counted. Every label has a bounded set of values.

mod audit;
mod certificates;
mod export;
mod guard;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use gateway_policy::{Cut, Reason};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

use crate::{
    ReloadOutcome,
    names::{
        label,
        metric::{self, Name},
    },
};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKind {
    /// A client's, over TLS.
    Https,
    /// A client's, in clear.
    Http,
    /// To n8n.
    Upstream,
    /// A client's that has become a WebSocket.
    Tunnel,
}

impl ConnectionKind {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Upstream => "upstream",
            Self::Tunnel => "tunnel",
        }
    }
}

/// One connection, counted as open as long as this lives.
#[derive(Debug)]
pub struct Open {
    gauge: IntGauge,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// The registry and everything in it.
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    http_request_duration: HistogramVec,
    requests_refused: IntCounterVec,
    /// The sum of the above, for those who ask often.
    refused: AtomicU64,
    /// Requests that met a bug.
    pub requests_panicked: IntCounter,
    policy_reloads: IntCounterVec,
    policy_last_reload_successful: IntGauge,
    policy_last_reload_success_timestamp: IntGauge,
    policy_info: IntGaugeVec,
    certificates: certificates::Certificates,
    /// Handshakes that did not complete.
    pub tls_handshakes_failed: IntCounter,
    upstream_up: IntGaugeVec,
    upstream_circuit_open: IntGaugeVec,
    /// From the hand-over to n8n to the head of its answer, in seconds.
    pub upstream_request_duration: Histogram,
    /// Requests that n8n did not answer.
    pub upstream_faults: IntCounterVec,
    /// Requests sent again because n8n cannot have seen them.
    pub upstream_retries: IntCounter,
    connections_open: IntGaugeVec,
    /// Connections dropped when they were made.
    pub connections_refused: IntCounterVec,
    connections_cut: IntCounterVec,
    log_lines_dropped: IntCounter,
    tasks_alive: IntGauge,
    audited: audit::Audited,
    export: export::Exported,
    guard: guard::Guarded,
}

/// From a cached asset to an execution of many minutes, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

impl Metrics {
    /// A registry with every metric in it.
    ///
    /// # Errors
    ///
    /// A name that is no metric's name, or that stands twice in the table: a bug.
    pub fn new(version: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build_info = gauges(&registry, metric::BUILD_INFO, &[label::VERSION])?;
        build_info.with_label_values(&[version]).set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let metrics = Self {
            http_requests: counters(
                &registry,
                metric::HTTP_REQUESTS,
                &[label::SURFACE, label::METHOD, label::CODE],
            )?,
            http_request_duration: add(
                &registry,
                HistogramVec::new(histogram(metric::HTTP_REQUEST_DURATION), &[label::SURFACE])?,
            )?,
            requests_refused: counters(
                &registry,
                metric::REQUESTS_REFUSED,
                &[label::SURFACE, label::REASON],
            )?,
            refused: AtomicU64::new(0),
            requests_panicked: counter(&registry, metric::REQUESTS_PANICKED)?,
            policy_reloads: counters(&registry, metric::POLICY_RELOADS, &[label::OUTCOME])?,
            policy_last_reload_successful: gauge(&registry, metric::POLICY_LAST_RELOAD_SUCCESSFUL)?,
            policy_last_reload_success_timestamp: gauge(
                &registry,
                metric::POLICY_LAST_RELOAD_SUCCESS_TIMESTAMP,
            )?,
            policy_info: gauges(&registry, metric::POLICY_INFO, &[label::REVISION, label::HASH])?,
            certificates: certificates::Certificates::new(&registry)?,
            tls_handshakes_failed: counter(&registry, metric::TLS_HANDSHAKES_FAILED)?,
            upstream_up: gauges(&registry, metric::UPSTREAM_UP, &[label::UPSTREAM])?,
            upstream_circuit_open: gauges(
                &registry,
                metric::UPSTREAM_CIRCUIT_OPEN,
                &[label::UPSTREAM],
            )?,
            upstream_request_duration: add(
                &registry,
                Histogram::with_opts(histogram(metric::UPSTREAM_REQUEST_DURATION))?,
            )?,
            upstream_faults: counters(&registry, metric::UPSTREAM_FAULTS, &[label::FAULT])?,
            upstream_retries: counter(&registry, metric::UPSTREAM_RETRIES)?,
            connections_open: gauges(&registry, metric::CONNECTIONS_OPEN, &[label::KIND])?,
            connections_refused: counters(
                &registry,
                metric::CONNECTIONS_REFUSED,
                &[label::REASON],
            )?,
            connections_cut: counters(&registry, metric::CONNECTIONS_CUT, &[label::REASON])?,
            log_lines_dropped: counter(&registry, metric::LOG_LINES_DROPPED)?,
            tasks_alive: gauge(&registry, metric::TASKS_ALIVE)?,
            audited: audit::Audited::new(&registry)?,
            export: export::Exported::new(&registry)?,
            guard: guard::Guarded::new(&registry)?,
            registry,
        };
        for outcome in ReloadOutcome::ALL {
            metrics.policy_reloads.with_label_values(&[outcome.name()]);
        }
        Ok(metrics)
    }

    pub(crate) fn exposition(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Counts one request and how long it took; status 0 if its client left before it got one.
    pub fn request(
        &self,
        surface: Option<&'static str>,
        by: &str,
        status: u16,
        duration: Duration,
    ) {
        let surface = surface.unwrap_or(label::NO_SURFACE);
        let mut code = [0; 3];
        let labels = [surface, method(by), digits(status, &mut code)];
        self.http_requests.with_label_values(&labels).inc();
        let duration = duration.as_secs_f64();
        self.http_request_duration.with_label_values(&[surface]).observe(duration);
    }

    pub(crate) fn refused(&self, surface: Option<&'static str>, reason: Reason) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let surface = surface.unwrap_or(label::NO_SURFACE);
        self.requests_refused.with_label_values(&[surface, reason.name()]).inc();
    }

    pub(crate) fn reload(&self, outcome: ReloadOutcome) {
        self.policy_reloads.with_label_values(&[outcome.name()]).inc();
        let good = matches!(outcome, ReloadOutcome::Applied | ReloadOutcome::Unchanged);
        self.policy_last_reload_successful.set(good.into());
    }

    /// Says which policy is in force, and since when (in seconds since 1970).
    pub fn policy(&self, revision: u64, hash: &str, since: i64) {
        self.policy_info.reset();
        self.policy_info.with_label_values(&[revision.to_string().as_str(), hash]).set(1);
        self.policy_last_reload_successful.set(1);
        self.policy_last_reload_success_timestamp.set(since);
    }

    pub(crate) fn upstream(&self, upstream: &str, up: bool) {
        self.upstream_up.with_label_values(&[upstream]).set(up.into());
    }

    /// Says whether requests to a process of n8n are refused at once.
    pub fn upstream_circuit(&self, upstream: &str, open: bool) {
        self.upstream_circuit_open.with_label_values(&[upstream]).set(open.into());
    }

    /// Forgets a process of n8n that the policy names no more.
    pub fn forget_upstream(&self, upstream: &str) {
        // Not there is as good as gone.
        drop(self.upstream_up.remove_label_values(&[upstream]));
        drop(self.upstream_circuit_open.remove_label_values(&[upstream]));
    }

    /// Counts a connection as open until what it gives is dropped.
    #[must_use]
    pub fn open(&self, kind: ConnectionKind) -> Open {
        let gauge = self.connections_open.with_label_values(&[kind.name()]);
        gauge.inc();
        Open { gauge }
    }

    /// Says how many tasks there are now.
    pub fn tasks(&self, alive: usize) {
        self.tasks_alive.set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.connections_cut.with_label_values(&[cut.name()]).inc();
    }

    /// How many requests have been refused so far.
    #[must_use]
    pub fn refused_so_far(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn lines_dropped(&self, so_far: u64) {
        self.log_lines_dropped.inc_by(so_far.saturating_sub(self.log_lines_dropped.get()));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The method as a label: n8n's own methods by name, everything else together.
fn method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// A status as text, without an allocation.
fn digits(status: u16, buffer: &mut [u8; 3]) -> &str {
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
    *buffer = [digit(status / 100), digit(status / 10), digit(status)];
    std::str::from_utf8(buffer).unwrap_or_default()
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, it: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(it.clone())).map(|()| it)
}

fn counter(registry: &Registry, (name, help): Name) -> Result<IntCounter, prometheus::Error> {
    add(registry, IntCounter::new(name, help)?)
}

fn gauge(registry: &Registry, (name, help): Name) -> Result<IntGauge, prometheus::Error> {
    add(registry, IntGauge::new(name, help)?)
}

fn counters(
    registry: &Registry,
    (name, help): Name,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauges(
    registry: &Registry,
    (name, help): Name,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    add(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn histogram((name, help): Name) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(BUCKETS.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_table_is_a_metric_once() {
        let metrics = Metrics::new("0").unwrap();
        metrics.policy(1, "abc", 5);
        metrics.policy(2, "def", 6);
        let text = metrics.exposition();
        assert!(text.contains("gateway_policy_info{hash=\"def\",revision=\"2\"} 1"), "{text}");
        assert!(!text.contains("abc"), "the old revision is gone: {text}");
        assert!(text.contains("gateway_policy_reloads_total{outcome=\"needs_restart\"} 0"));
        assert!(text.contains("process_cpu_seconds_total"));
    }

    #[test]
    fn labels_are_bounded() {
        assert_eq!(method("PROPFIND"), "other");
        assert_eq!(method("PATCH"), "PATCH");
        assert_eq!(digits(404, &mut [0; 3]), "404");
    }
}

//! What the operator is told about a running gateway.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    admin::windows::WindowView, audit::AuditStatus, certificates::CertificateStatus,
    confine::Confinement,
};

/// A running gateway.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    /// The id of the process.
    pub(crate) process: u32,
    pub(crate) uptime_seconds: u64,
    pub(crate) hardening: Confinement,
    pub(crate) policy: PolicyStatus,
    pub(crate) n8n: Vec<UpstreamStatus>,
    /// The release that n8n is of, as far as it has said.
    #[serde(default)]
    pub(crate) n8n_release: Option<String>,
    pub(crate) certificates: Vec<CertificateStatus>,
    /// What came of the last look at n8n's own installation; nothing if the policy asks for none, or
    /// none has been yet.
    #[serde(default)]
    pub(crate) audit: Option<AuditStatus>,
    pub(crate) connections: usize,
    /// Addresses and networks.
    pub(crate) banned: usize,
    /// Who is let in for a time.
    #[serde(default)]
    pub(crate) windows: Vec<WindowView>,
    pub(crate) refused_in_the_last_5_minutes: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PolicyStatus {
    pub(crate) file: String,
    pub(crate) revision: u64,
    pub(crate) hash: String,
    /// Seconds since 1970.
    pub(crate) since: i64,
    /// How the last reload ended; nothing if there was none.
    pub(crate) last_reload: Option<String>,
    pub(crate) problems: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct UpstreamStatus {
    pub(crate) url: String,
    /// Whether it was there and ready when it was last asked.
    pub(crate) up: bool,
    /// `closed`, `half_open`, or `open`: requests to it are refused at once.
    pub(crate) circuit: String,
}

/// A counter as it stood in each of the last seconds.
#[derive(Debug)]
pub(crate) struct Recent {
    samples: VecDeque<u64>,
}

/// Five minutes of seconds.
const SAMPLES: usize = 300;

impl Recent {
    pub(crate) fn new() -> Self {
        Self { samples: VecDeque::with_capacity(SAMPLES + 1) }
    }

    /// Takes down how the counter stands; once a second.
    pub(crate) fn sample(&mut self, now: u64) {
        self.samples.push_back(now);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// How much it has risen since the oldest sample.
    pub(crate) fn rise(&self, now: u64) -> u64 {
        now.saturating_sub(self.samples.front().copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_five_minutes_is_forgotten() {
        let mut recent = Recent::new();
        for second in 0..1000 {
            recent.sample(second);
        }
        assert_eq!(recent.rise(1000), 300);
        assert_eq!(recent.samples.len(), SAMPLES);
    }
}

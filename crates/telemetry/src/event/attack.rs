//! Events about known attacks.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::Event;
use crate::{Level, Metrics, names::event};

/// What became of a request that looks like an attack. Closed: each is a value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttackOutcome {
    /// It was stopped.
    Blocked,
    /// It passed and was told.
    Reported,
    /// It passed in a dry run and would have been stopped.
    WouldBlock,
}

impl AttackOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Blocked, Self::Reported, Self::WouldBlock];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Reported => "reported",
            Self::WouldBlock => "would_block",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn outcome<S: Serializer>(outcome: &AttackOutcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.name())
}

/// A request looks like a known attack.
#[derive(Clone, Debug, Serialize)]
pub struct AttackFound {
    /// The request's id.
    pub request_id: String,
    /// Who sent it.
    pub client: IpAddr,
    /// The surface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// The attack, by its id in the catalogue or its name in the policy.
    pub attack: String,
    /// What became of the request.
    #[serde(serialize_with = "outcome")]
    pub outcome: AttackOutcome,
    /// What of the policy said so.
    pub rule: String,
    /// What to do about it if the request was honest, where that may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

impl Event for AttackFound {
    const NAME: &'static str = event::ATTACK;

    fn level(&self) -> Level {
        Level::Warn
    }

    fn count(&self, metrics: &Metrics) {
        metrics.attack(&self.attack, self.outcome.name());
    }
}

/// n8n's release has a flaw that honest requests can look like, and they are stopped as well.
#[derive(Clone, Debug, Serialize)]
pub struct HonestStopped {
    /// The release.
    pub release: String,
    /// The attack, by its id in the catalogue.
    pub attack: String,
    /// What is stopped, and what to do about it.
    pub advice: &'static str,
}

impl Event for HonestStopped {
    const NAME: &'static str = event::HONEST_STOPPED;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// n8n is of another release than before, or it is known for the first time.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseFound {
    /// The release.
    pub release: String,
    /// The one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How many known attacks it is open to.
    pub open_to: usize,
}

impl Event for ReleaseFound {
    const NAME: &'static str = event::N8N_RELEASE;

    fn count(&self, metrics: &Metrics) {
        metrics.n8n_release(&self.release);
    }
}

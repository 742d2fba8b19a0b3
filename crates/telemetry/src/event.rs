//! Events: one struct is one log line and one count.

mod attack;
mod audit;
mod certificates;
mod export;
mod guard;
mod keys;
mod process;
mod sessions;
mod webhooks;

use std::net::IpAddr;

pub use attack::{AttackFound, AttackOutcome, HonestStopped, ReleaseFound};
pub use audit::Audited;
pub use certificates::{
    CertificateFailed, CertificateIssued, CertificateLoaded, CertificateNotServed,
    CertificateOrdered, CertificateRevoked, CertificateSetAside, CertificateTemporary,
};
pub use export::{ExportFailed, ExportRecovered};
pub use guard::{
    Banned, ConnectionCut, MemoryPressure, NftablesFailed, Offended, PasswordLeaked, SignInFailed,
    SignInSucceeded, StateRecovered, StateWriteFailed, Unbanned, WouldBan, WouldRefuse,
};
pub use keys::{ApiKeyForgotten, ApiKeyMoved};
pub use process::{
    Claimed, Confined, HandedOver, LeakedPasswordsUnread, OutOfReach, Unclaimed, UpgradeFailed,
};
pub use sessions::{SessionMoved, SessionsEnded};
pub use webhooks::{WebhookRefused, WindowClosed, WindowOpened};

use gateway_policy::Reason;
use serde::Serialize;

use crate::{Fail2ban, Level, Metrics, Recent, names::event};

/// Something that happened.
pub trait Event: Serialize {
    /// Its name in the log.
    const NAME: &'static str;

    /// How loud it is.
    fn level(&self) -> Level {
        Level::Info
    }

    /// Counts it.
    fn count(&self, _metrics: &Metrics) {}

    /// Keeps it for whoever looks, if it is what an operator looks for.
    fn keep(&self, _recent: &Recent) {}

    /// What fail2ban would say of it.
    fn fail2ban(&self) -> Option<Fail2ban> {
        None
    }
}

/// A request was refused.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// The request's id.
    pub request_id: String,
    /// Who asked.
    pub client: IpAddr,
    /// The surface's name; nothing if none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// Why, by name.
    #[serde(serialize_with = "by_name")]
    pub reason: Reason,
    /// The line of the policy, if a line did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Event for Refused {
    const NAME: &'static str = event::REFUSED;

    fn level(&self) -> Level {
        match self.reason.level() {
            // The access record says it as well: a line of its own is for somebody who looks.
            gateway_policy::Level::Info => Level::Debug,
            gateway_policy::Level::Warn => Level::Warn,
        }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.refused(self.surface, self.reason);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn by_name<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.name())
}

/// A request met a bug.
#[derive(Clone, Debug, Serialize)]
pub struct Panicked {
    /// The request's id.
    pub request_id: String,
    /// What the panic said.
    pub message: String,
}

impl Event for Panicked {
    const NAME: &'static str = event::PANICKED;

    fn level(&self) -> Level {
        Level::Error
    }

    fn count(&self, metrics: &Metrics) {
        metrics.requests_panicked.inc();
    }
}

/// The gateway serves.
#[derive(Clone, Debug, Serialize)]
pub struct Started {
    /// Its version.
    pub version: &'static str,
    /// Where it listens.
    pub listening: Vec<String>,
    /// The policy's file.
    pub policy: String,
    /// The authority that a developer's browser has to trust, if the gateway made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

impl Event for Started {
    const NAME: &'static str = event::STARTED;
}

/// The gateway takes no more connections.
#[derive(Clone, Debug, Serialize)]
pub struct Stopping {
    /// The signal or call that asked for it.
    pub because: &'static str,
}

impl Event for Stopping {
    const NAME: &'static str = event::STOPPING;
}

/// The gateway has stopped.
#[derive(Clone, Debug, Serialize)]
pub struct Stopped {
    /// Whether everything under way had ended by itself.
    pub drained: bool,
}

impl Event for Stopped {
    const NAME: &'static str = event::STOPPED;
}

/// How a reload ended. Each arm has its series from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// A new policy is in force.
    Applied,
    /// The files say what they said before.
    Unchanged,
    /// The policy has problems; the old one stays in force.
    Invalid,
    /// Something changed that needs a restart; the old policy stays in force.
    NeedsRestart,
    /// A certificate cannot be used; the old policy stays in force.
    CertificateRejected,
    /// Nobody who signed in lately could reach the editor; the old policy stays in force.
    LocksOut,
}

impl ReloadOutcome {
    /// Every way a reload can end.
    pub const ALL: [Self; 6] = [
        Self::Applied,
        Self::Unchanged,
        Self::Invalid,
        Self::NeedsRestart,
        Self::CertificateRejected,
        Self::LocksOut,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Invalid => "invalid",
            Self::NeedsRestart => "needs_restart",
            Self::CertificateRejected => "certificate_rejected",
            Self::LocksOut => "locks_out",
        }
    }
}

/// A changed policy was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Reload {
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// What made the gateway look: `signal`, `admin`, `file`, `dns`.
    pub because: &'static str,
    /// The revision in force now.
    pub revision: u64,
    /// What is wrong, each with place and hint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Event for Reload {
    const NAME: &'static str = event::RELOAD;

    fn level(&self) -> Level {
        match self.outcome {
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => Level::Info,
            ReloadOutcome::Invalid
            | ReloadOutcome::NeedsRestart
            | ReloadOutcome::CertificateRejected
            | ReloadOutcome::LocksOut => Level::Error,
        }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.reload(self.outcome);
    }
}

/// A policy in use has a flaw.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyWarning {
    /// The flaw, with place and hint.
    pub warning: String,
}

impl Event for PolicyWarning {
    const NAME: &'static str = event::POLICY_WARNING;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// n8n answers.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamUp {
    /// Its URL in the policy.
    pub upstream: String,
}

impl Event for UpstreamUp {
    const NAME: &'static str = event::UPSTREAM_UP;

    fn count(&self, metrics: &Metrics) {
        metrics.upstream(&self.upstream, true);
    }
}

/// n8n does not answer.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamDown {
    /// Its URL in the policy.
    pub upstream: String,
    /// Why not.
    pub error: String,
}

impl Event for UpstreamDown {
    const NAME: &'static str = event::UPSTREAM_DOWN;

    fn level(&self) -> Level {
        Level::Warn
    }

    fn count(&self, metrics: &Metrics) {
        metrics.upstream(&self.upstream, false);
    }
}

/// A request was not answered by n8n.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamFault {
    /// The request's id.
    pub request_id: String,
    /// What went wrong, by name.
    pub fault: &'static str,
    /// All that is known of it.
    pub error: String,
}

impl Event for UpstreamFault {
    const NAME: &'static str = event::UPSTREAM_FAULT;

    fn level(&self) -> Level {
        Level::Warn
    }

    fn count(&self, metrics: &Metrics) {
        metrics.upstream_faults.with_label_values(&[self.fault]).inc();
    }
}

/// A tunnel was closed by the gateway.
#[derive(Clone, Debug, Serialize)]
pub struct TunnelClosed {
    /// The request's id.
    pub request_id: String,
    /// Who was at its other end.
    pub client: IpAddr,
    /// `policy`, `banned`, `idle` or `shutdown`.
    pub because: &'static str,
}

impl Event for TunnelClosed {
    const NAME: &'static str = event::TUNNEL_CLOSED;
}

/// A DNS name of a network could not be asked for; its last good answer stays.
#[derive(Clone, Debug, Serialize)]
pub struct NameNotResolved {
    /// The name.
    pub name: String,
    /// Why not.
    pub error: String,
}

impl Event for NameNotResolved {
    const NAME: &'static str = event::NAME_NOT_RESOLVED;

    fn level(&self) -> Level {
        Level::Warn
    }
}

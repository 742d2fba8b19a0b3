//! What is said: the names of metrics and fields, events, access records.
//!
//! One struct is one log line and one count. No decision is taken here.

#![forbid(unsafe_code)]

mod event;
mod export;
mod fail2ban;
mod log;
mod metrics;
pub mod names;
mod otlp;
mod recent;
mod record;

use std::{path::PathBuf, sync::Arc};

pub use event::{
    ApiKeyForgotten, ApiKeyMoved, AttackFound, AttackOutcome, Audited, Banned, CertificateFailed,
    CertificateIssued, CertificateLoaded, CertificateNotServed, CertificateOrdered,
    CertificateRevoked, CertificateSetAside, CertificateTemporary, Claimed, Confined,
    ConnectionCut, Event, ExportFailed, ExportRecovered, HandedOver, HonestStopped,
    LeakedPasswordsUnread, MemoryPressure, NameNotResolved, NftablesFailed, Offended, OutOfReach,
    Panicked, PasswordLeaked, PolicyWarning, Refused, ReleaseFound, Reload, ReloadOutcome,
    SessionMoved, SessionsEnded, SignInFailed, SignInSucceeded, Started, StateRecovered,
    StateWriteFailed, Stopped, Stopping, TunnelClosed, Unbanned, Unclaimed, UpgradeFailed,
    UpstreamDown, UpstreamFault, UpstreamUp, WebhookRefused, WindowClosed, WindowOpened, WouldBan,
    WouldRefuse,
};
pub use export::{Batch, Exports};
pub use fail2ban::Fail2ban;
use fail2ban::Fail2banLog;
pub use log::{Format, Level, Log, LogGuard};
pub use metrics::{ConnectionKind, Metrics, Open};
pub use otlp::{Speaker, export_request, rejected};
pub use recent::{Recent, Refusal, RefusedFor, Ring, SignIn, SignInFailure};
pub use record::AccessRecord;

/// Where everything that is said goes.
#[derive(Clone)]
pub struct Telemetry {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What happened lately.
    pub recent: Arc<Recent>,
    log: Log,
    fail2ban: Option<Fail2banLog>,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Says things to `log` and counts them.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, log: Log) -> Self {
        Self { metrics, recent: Arc::default(), log, fail2ban: None }
    }

    /// The same, and bans and offences go to `file` as well, in fail2ban's own words.
    #[must_use]
    pub fn with_fail2ban(self, file: PathBuf) -> Self {
        Self { fail2ban: Some(Fail2banLog::open(file)), ..self }
    }

    /// The same, and every line goes to whoever reads the other end of this as well, as one object
    /// of JSON.
    #[must_use]
    pub fn with_export(self) -> (Self, Exports) {
        let (export, exports) = export::queue(self.metrics.export_dropped());
        (Self { log: self.log.with_export(export), ..self }, exports)
    }

    /// Says that something happened: one line, and what it counts.
    pub fn say<E: Event>(&self, event: &E) {
        event.count(&self.metrics);
        event.keep(&self.recent);
        self.log.line(event.level(), E::NAME, event);
        if let Some(fail2ban) = &self.fail2ban
            && let Some(line) = event.fail2ban()
        {
            fail2ban.write(&line);
        }
    }

    /// Writes the record of one request, if such records are written. One that was refused is kept for
    /// whoever looks, written or not.
    pub fn record<'r>(
        &self,
        refused: Option<RefusedFor>,
        record: impl FnOnce() -> AccessRecord<'r>,
    ) {
        let written = self.log.takes(Level::Info);
        if !written && refused.is_none() {
            return;
        }
        let record = record();
        if written {
            self.log.line(Level::Info, names::event::ACCESS, &record);
        }
        if let Some(why) = refused {
            self.recent.refusals.push(Refusal::of(record, why));
        }
    }

    /// The metrics in Prometheus's text form.
    #[must_use]
    pub fn exposition(&self) -> String {
        self.metrics.lines_dropped(self.log.dropped());
        self.metrics.exposition()
    }
}

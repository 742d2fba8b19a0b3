//! The hold that others have on a keeper: what is wanted, how things stand, what the operator asks.

use std::sync::Arc;

use gateway_telemetry::{CertificateLoaded, CertificateOrdered, CertificateTemporary, Telemetry};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::say_aside;
use crate::{
    Challenge, Clock, Error, RenewalSource, Served, Shown, Wanted, local::temporary, store::Store,
};

/// The hold that others have on a keeper.
#[derive(Clone, Debug)]
pub struct Keeping {
    pub(super) store: Arc<Store>,
    pub(super) served: Arc<Served>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
    pub(super) wanted: watch::Sender<Option<Arc<Wanted>>>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) standings: watch::Receiver<Vec<Standing>>,
}

/// How a host's certificate stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The host.
    pub host: String,
    /// What is served for it.
    pub state: State,
    /// Who issued that.
    pub issuer: String,
    /// Its number, in hexadecimal digits.
    pub serial: String,
    /// When it begins, in seconds since 1970.
    pub not_before: i64,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// The CA that issued it, by its name in the policy.
    pub directory: Option<String>,
    /// What showed control of the host.
    pub challenge: Option<Challenge>,
    /// When it is renewed; nothing before there is one.
    pub renewal: Option<Renewal>,
    /// When something is tried next, in seconds since 1970.
    pub next_attempt: Option<i64>,
    /// How many attempts in a row have failed.
    pub failures: u32,
    /// What was wrong the last time, in words to act on.
    pub last_error: Option<String>,
}

/// What is served for a host.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A CA's certificate.
    Valid,
    /// A CA's certificate that has ended.
    Expired,
    /// One that nobody trusts, until a CA has issued one.
    Temporary,
}

/// When a certificate is renewed, in seconds since 1970.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Renewal {
    /// The beginning of the window.
    pub from: i64,
    /// Its end.
    pub until: i64,
    /// The moment that is this certificate's.
    pub at: i64,
    /// Whose wish it is.
    pub source: RenewalSource,
}

/// Why a certificate is revoked (RFC 5280 5.3.1): those that a subscriber has (RFC 8555 7.6).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// It has been replaced.
    Superseded,
    /// The host is not used any more.
    CessationOfOperation,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 4] =
        [Self::Unspecified, Self::KeyCompromise, Self::Superseded, Self::CessationOfOperation];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
        }
    }

    pub(super) fn code(self) -> instant_acme::RevocationReason {
        match self {
            Self::Unspecified => instant_acme::RevocationReason::Unspecified,
            Self::KeyCompromise => instant_acme::RevocationReason::KeyCompromise,
            Self::Superseded => instant_acme::RevocationReason::Superseded,
            Self::CessationOfOperation => instant_acme::RevocationReason::CessationOfOperation,
        }
    }
}

/// What the operator asks for.
#[derive(Debug)]
pub(super) enum Order {
    Renew {
        /// For all where there is none.
        host: Option<String>,
        reply: oneshot::Sender<Vec<Outcome>>,
    },
    Revoke {
        host: String,
        reason: RevocationReason,
        /// Who asked.
        by: String,
        reply: oneshot::Sender<Vec<Outcome>>,
    },
}

/// What came of it for one host.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The host.
    pub host: String,
    /// What went wrong; nothing if a new certificate is served.
    pub error: Option<String>,
}

impl Keeping {
    /// Wants certificates for these hosts from now on, and serves for each what the store has, or a
    /// temporary one. With nothing, none are looked after.
    ///
    /// # Errors
    ///
    /// A host that cannot stand in a certificate.
    pub fn want(&self, wanted: Option<Wanted>) -> Result<(), Error> {
        let wanted = wanted.map(Arc::new);
        if *self.wanted.borrow() == wanted {
            return Ok(());
        }
        if let Some(wanted) = &wanted {
            self.show(&wanted.hosts)?;
        }
        self.wanted.send_replace(wanted);
        Ok(())
    }

    fn show(&self, hosts: &[String]) -> Result<(), Error> {
        let (mut all, mut without) = (Vec::new(), Vec::new());
        self.telemetry.metrics.forget_certificates();
        for host in hosts {
            let shown = match self.served.of(host) {
                Some(shown) => shown,
                None => self.find(host, &mut without)?,
            };
            let not_after = shown.identity.not_after;
            self.telemetry.metrics.certificate(host, not_after, shown.temporary, None);
            all.push((host.clone(), shown));
        }
        self.served.swap_all(all);
        if !without.is_empty() {
            self.telemetry.say(&CertificateTemporary { hosts: without });
        }
        Ok(())
    }

    /// What the store has for `host`, or else a temporary certificate.
    fn find(&self, host: &String, without: &mut Vec<String>) -> Result<Shown, Error> {
        let found = self.store.identity(host);
        say_aside(&self.telemetry, found.aside);
        let Some(identity) = found.value else {
            without.push(host.clone());
            // What was in files before stands in as long as it is good: browsers that have been told
            // to insist on HTTPS take nothing less.
            let (now, before) = (self.clock.now(), self.served.current());
            let good = before.covers(host) && (before.not_before..before.not_after).contains(&now);
            let hosts = std::slice::from_ref(host);
            let identity = if good { before } else { temporary(hosts, now)? };
            return Ok(Shown { identity, temporary: true });
        };
        self.telemetry.say(&CertificateLoaded {
            hosts: vec![host.clone()],
            issuer: identity.issuer.clone(),
            not_after: identity.not_after,
            warnings: identity.warnings(std::slice::from_ref(host), self.clock.now()),
        });
        Ok(Shown { identity, temporary: false })
    }

    /// How the certificates stand that are looked after.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.standings.borrow().clone()
    }

    /// Gets a new certificate for `host` now, or for all, because `by` asks for it; tells what came of
    /// it. Nothing if the keeper has gone.
    pub async fn renew(&self, host: Option<String>, by: &str) -> Option<Vec<Outcome>> {
        let hosts = host.clone().map_or_else(
            || self.standings().into_iter().map(|it| it.host).collect(),
            |host| vec![host],
        );
        self.telemetry.say(&CertificateOrdered { hosts, by: by.to_owned() });
        self.ask(|reply| Order::Renew { host, reply }).await
    }

    /// Has the certificate of `host` revoked, because `by` asks for it, and gets a new one.
    pub async fn revoke(
        &self,
        host: String,
        reason: RevocationReason,
        by: &str,
    ) -> Option<Vec<Outcome>> {
        let by = by.to_owned();
        self.ask(|reply| Order::Revoke { host, reason, by, reply }).await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.ok()?;
        answer.await.ok()
    }
}

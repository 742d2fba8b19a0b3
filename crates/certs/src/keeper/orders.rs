//! What the operator orders: a renewal before its time, or a revocation.

use gateway_telemetry::CertificateRevoked;

use super::{Keeper, Means, Outcome, RevocationReason, handle::Order};
use crate::{
    Directory,
    acme::{Accounts, Failure, Kind, revoke},
};

/// Why this gateway does not order.
const ANOTHERS: &str = "another gateway on this state.dir orders";

impl Keeper {
    pub(super) async fn obey(&mut self, order: Order, means: Means<'_>) {
        match order {
            Order::Renew { host, reply } => {
                let mut outcomes = Vec::new();
                for at in 0..self.hosts.len() {
                    let Some(name) = self.hosts.get(at).map(|it| it.name.clone()) else { continue };
                    if host.as_ref().is_some_and(|wanted| *wanted != name) {
                        continue;
                    }
                    if let Some(host) = self.hosts.get_mut(at) {
                        // Somebody has done something about it; what CAs ask for still holds.
                        host.record.lost.clear();
                    }
                    let error = if self.ours {
                        self.attempt_in_time(at, means).await.err()
                    } else {
                        Some(ANOTHERS.to_owned())
                    };
                    outcomes.push(Outcome { host: name, error });
                }
                // Whoever asked may have gone.
                drop(reply.send(outcomes));
            }
            Order::Revoke { host, reason, by, reply } => {
                let at = self.hosts.iter().position(|it| it.name == host);
                let error = match at {
                    None => Some(format!("{host} has no certificate of its own")),
                    Some(_) if !self.ours => Some(ANOTHERS.to_owned()),
                    Some(at) => match self.revoke(at, (reason, by), means).await {
                        Ok(()) => {
                            let failed = self.attempt_in_time(at, means).await.err();
                            failed.map(|why| format!("it is revoked; there is no new one: {why}"))
                        }
                        Err(failure) => Some(failure.words),
                    },
                };
                drop(reply.send(vec![Outcome { host, error }]));
            }
        }
        self.publish();
    }

    /// Tells the CA that a certificate must not be trusted any more. The one that replaces it has
    /// another key.
    async fn revoke(
        &mut self,
        at: usize,
        (reason, by): (RevocationReason, String),
        means: Means<'_>,
    ) -> Result<(), Failure> {
        let none = || Failure::new(Kind::Ours, "there is no certificate of a CA to revoke");
        let (wants, host) = (self.wants.clone(), self.hosts.get(at));
        let (wants, host) = wants.zip(host).ok_or_else(none)?;
        let identity = host.identity.clone().ok_or_else(none)?;
        let leaf = identity.leaf().ok_or_else(none)?;
        let issued = |it: &&Directory| host.record.directory_url.as_ref() == Some(&it.url);
        let directory = wants.acme.directories.iter().find(issued).ok_or_else(|| {
            let words = "the CA that issued it stands in `tls.acme.directories` no more";
            Failure::new(Kind::Ours, words)
        })?;
        let accounts = Accounts { store: &self.store, internet: means.internet };
        let (desk, aside) = accounts.open(directory, &wants.acme).await;
        self.say_aside(aside);
        revoke(&desk?, leaf, reason.code()).await?;
        if let Some(host) = self.hosts.get_mut(at) {
            // Until it is replaced, whatever comes between.
            host.record.revoked = Some(identity.serial.clone());
            host.record.not_before = None;
            drop(self.store.keep_record(&host.name, &host.record));
        }
        let host = self.hosts.get(at).ok_or_else(none)?;
        self.telemetry.say(&CertificateRevoked {
            host: host.name.clone(),
            serial: identity.serial.clone(),
            reason: reason.name(),
            by,
        });
        Ok(())
    }
}

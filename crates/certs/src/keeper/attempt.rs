//! One attempt to get a certificate: each CA of the policy in turn, its staging directory first
//! where it failed the last time.

use std::time::Duration;

use gateway_telemetry::{CertificateFailed, CertificateIssued, CertificateNotServed};
use tokio::time::timeout;

use super::{Keeper, Means, host::Unkept};
use crate::{
    Challenge, Directory, Identity,
    acme::{Accounts, Errand, Failure, Issued, Kind, LONGEST_LIMIT, issue},
    from_pem,
    renewal::back_off,
    store::chain,
};

/// How long a CA is left alone that wants it and does not say how long, in seconds.
const LIMITED: u64 = 3600;

/// How long a look into the mirror may take.
const MIRROR: Duration = Duration::from_secs(10);

impl Keeper {
    /// Tries every CA of the policy until one has issued.
    pub(super) async fn attempt(&mut self, at: usize, means: Means<'_>) -> Result<(), String> {
        let Some(wants) = self.wants.clone() else { return Ok(()) };
        if let Err(words) = self.begin(at) {
            let failure = Failure::new(Kind::Ours, words.clone());
            self.fail(at, &[("none".to_owned(), failure)]);
            return Err(words);
        }
        let mut failures = Vec::new();
        for directory in &wants.acme.directories {
            match self.try_directory(at, directory, means).await {
                Ok((issued, identity)) => {
                    self.succeed(at, directory, issued, identity, means).await;
                    return Ok(());
                }
                Err(failure) => failures.push((directory.name.clone(), failure)),
            }
        }
        Err(self.fail(at, &failures))
    }

    /// Takes down that an attempt begins, before any CA hears of it.
    fn begin(&mut self, at: usize) -> Result<(), String> {
        let now = self.clock.now();
        let Some(host) = self.hosts.get_mut(at) else { return Ok(()) };
        host.record.under_way = true;
        let Err(why) = self.store.keep_record(&host.name, &host.record) else {
            self.complained = false;
            return Ok(());
        };
        let (why, dire) = (chain(&why), host.is_dire(now));
        self.complain(&why);
        // What is ordered and cannot be kept is ordered again at the next start, and the start after
        // that: it is not worth it before the end is near.
        if dire { Ok(()) } else { Err(format!("the state folder cannot be written: {why}")) }
    }

    async fn try_directory(
        &mut self,
        at: usize,
        directory: &Directory,
        means: Means<'_>,
    ) -> Result<(Issued, Identity), Failure> {
        let (url, rehearsal) = (&directory.url, directory.rehearsal());
        let record = self.hosts.get(at).map(|it| &it.record);
        // An order that is open there already is better brought to its end.
        let failed =
            record.is_some_and(|it| it.failing.contains(url) && !it.orders.contains_key(url));
        if let Some(rehearsal) = rehearsal.filter(|_| failed) {
            match self.order_at(at, &rehearsal, true, means).await {
                // What cannot be shown there cannot be shown here.
                Err(failure) if failure.kind == Kind::Challenge => return Err(failure),
                // What else is wrong there says nothing of this one.
                Ok(_) | Err(_) => {}
            }
        }
        let done = self.order_at(at, directory, false, means).await;
        if let Some(host) = self.hosts.get_mut(at) {
            match &done {
                Ok(_) => drop(host.record.failing.remove(url)),
                Err(_) => drop(host.record.failing.insert(url.clone())),
            }
        }
        done
    }

    /// One order at one directory, once more if the account or the order that was kept is of no use.
    async fn order_at(
        &mut self,
        at: usize,
        directory: &Directory,
        rehearsal: bool,
        means: Means<'_>,
    ) -> Result<(Issued, Identity), Failure> {
        self.leave_alone(at, directory)?;
        let mut done = self.order_once(at, directory, rehearsal, means).await;
        if let Err(Failure { kind: Kind::Account, words, .. }) = &done {
            tracing::warn!(directory = directory.name, error = words, "a new account is made");
            self.store.forget_account(&directory.url);
            done = self.order_once(at, directory, rehearsal, means).await;
        } else if let Err(Failure { kind: Kind::Order, words, .. }) = &done {
            tracing::warn!(directory = directory.name, error = words, "a new order is made");
            done = self.order_once(at, directory, rehearsal, means).await;
        }
        let result = match &done {
            Ok(_) => "issued",
            Err(Failure { kind: Kind::RateLimited, .. }) => "rate_limited",
            // Nobody was asked.
            Err(Failure { kind: Kind::Resting, .. }) => return done,
            Err(_) => "failed",
        };
        self.telemetry.metrics.ordered(&directory.name, result);
        let now = self.clock.now();
        if let (Err(Failure { kind: Kind::RateLimited, retry_after, .. }), Some(host)) =
            (&done, self.hosts.get_mut(at))
        {
            let asked = retry_after.unwrap_or(LIMITED).clamp(60, LONGEST_LIMIT);
            let until = now.saturating_add(asked.try_into().unwrap_or(i64::MAX));
            host.record.limited.insert(directory.url.clone(), until);
        }
        done
    }

    /// A CA that wants to be left alone is left alone.
    fn leave_alone(&mut self, at: usize, directory: &Directory) -> Result<(), Failure> {
        let now = self.clock.now();
        let Some(host) = self.hosts.get_mut(at) else { return Ok(()) };
        host.record.drop_limits(now);
        let Some(until) = host.record.limited.get(&directory.url) else { return Ok(()) };
        let minutes = (until - now + 59) / 60;
        let words = format!("{} has been asked too often: not for {minutes} min", directory.name);
        Err(Failure::new(Kind::RateLimited, words))
    }

    async fn order_once(
        &mut self,
        at: usize,
        directory: &Directory,
        rehearsal: bool,
        means: Means<'_>,
    ) -> Result<(Issued, Identity), Failure> {
        let gone = || Failure::new(Kind::Ours, "the host is not wanted any more");
        let wants = self.wants.clone().ok_or_else(gone)?;
        let accounts = Accounts { store: &self.store, internet: means.internet };
        let (desk, aside) = accounts.open(directory, &wants.acme).await;
        self.say_aside(aside);
        let desk = desk?;
        let now = self.clock.now();
        let host = self.hosts.get_mut(at).ok_or_else(gone)?;
        let same = host.record.directory_url.as_ref() == Some(&directory.url);
        let replaced = host.identity.as_ref().and_then(Identity::leaf).filter(|_| same);
        let errand = Errand {
            host: &host.name,
            acme: &wants.acme,
            directory,
            replaces: replaced,
            challenges: self.served.challenges(),
            store: &self.store,
            rehearsal,
            now,
        };
        match issue(errand, &desk, &mut host.record).await {
            Ok(issued) => {
                let examined = self.examine(at, issued, &directory.name);
                if let (Err(_), Some(host)) = (&examined, self.hosts.get_mut(at)) {
                    host.record.orders.remove(&directory.url);
                }
                examined
            }
            Err(failure) if failure.kind == Kind::Unauthorized => {
                let closed = desk.is_closed(&wants.acme.email).await;
                let kind = if closed { Kind::Account } else { Kind::Refused };
                Err(Failure { kind, ..failure })
            }
            Err(failure) => Err(failure),
        }
    }

    /// What a CA has issued is looked at before it takes the place of anything.
    fn examine(
        &self,
        at: usize,
        issued: Issued,
        directory: &str,
    ) -> Result<(Issued, Identity), Failure> {
        let now = self.clock.now();
        let useless = |why: &str| {
            Failure::new(Kind::Refused, format!("{directory} issued what cannot be used: {why}"))
        };
        let Some(host) = self.hosts.get(at) else { return Err(useless("nobody wants it")) };
        let place = std::path::Path::new("the certificate");
        let read = from_pem((place, issued.chain.as_bytes()), (place, issued.key.as_bytes()));
        let identity = read.map_err(|why| useless(&chain(&why)))?;
        if !identity.covers(&host.name) {
            return Err(useless(&format!("it is not for {}", host.name)));
        }
        if identity.not_after > now {
            return Ok((issued, identity));
        }
        // Either the CA is wrong or this machine is.
        Err(Failure::new(
            Kind::Ours,
            format!("what {directory} issued has ended already: is this machine's clock right?"),
        ))
    }

    async fn succeed(
        &mut self,
        at: usize,
        directory: &Directory,
        issued: Issued,
        identity: Identity,
        means: Means<'_>,
    ) {
        let now = self.clock.now();
        let Some(host) = self.hosts.get_mut(at) else { return };
        let kept = self.store.keep_identity(&host.name, &issued.chain, &issued.key);
        host.written = self.store.written(&host.name);
        let record = &mut host.record;
        record.directory = Some(directory.name.clone());
        record.directory_url = Some(directory.url.clone());
        record.challenge = issued.challenge.or(record.challenge);
        (record.issued, record.revoked) = (Some(now), None);
        record.forgive();
        record.under_way = false;
        // Without the file, the open order is what the certificate can be had from again.
        if kept.is_ok() {
            record.orders.clear();
        }
        self.served.swap_one(&host.name, &identity);
        let event = CertificateIssued {
            host: host.name.clone(),
            directory: directory.name.clone(),
            challenge: issued.challenge.map(Challenge::name),
            issuer: identity.issuer.clone(),
            serial: identity.serial.clone(),
            not_after: identity.not_after,
        };
        (host.identity, host.suggestion) = (Some(identity), None);
        let noted = self.store.keep_record(&host.name, &host.record);
        host.unkept = kept.is_err().then_some(Unkept { chain: issued.chain, key: issued.key });
        self.telemetry.say(&event);
        for why in [kept.err(), noted.err()].into_iter().flatten() {
            self.complain(&chain(&why));
        }
        self.look_into_mirror(at, means).await;
    }

    /// Checks that strangers see what they should.
    async fn look_into_mirror(&self, at: usize, means: Means<'_>) {
        let Some(host) = self.hosts.get(at) else { return };
        let seen = timeout(MIRROR, means.mirror.look(&host.name)).await;
        let error = match seen {
            Ok(Ok(seen)) if host.identity.as_ref().and_then(Identity::leaf) == Some(&seen) => {
                return;
            }
            Ok(Ok(_)) => "a handshake with this gateway shows another certificate".to_owned(),
            Ok(Err(why)) => format!("no handshake with this gateway: {why}"),
            Err(_) => format!("no handshake with this gateway within {} s", MIRROR.as_secs()),
        };
        self.telemetry.say(&CertificateNotServed { host: host.name.clone(), error });
    }

    /// Takes down what went wrong and when it is tried again, and gives the words for it.
    pub(super) fn fail(&mut self, at: usize, failures: &[(String, Failure)]) -> String {
        let now = self.clock.now();
        let Some(host) = self.hosts.get_mut(at) else { return String::new() };
        let left = host.left(now);
        let record = &mut host.record;
        record.failures = record.failures.saturating_add(1);
        let mut wait = back_off(record.failures, left, &host.name);
        // Where every CA wants to be left alone there is nobody to ask before.
        if failures.iter().all(|(_, failure)| failure.kind == Kind::RateLimited) {
            let soonest = record.limited.values().min().map_or(0, |until| until - now);
            wait = wait.max(soonest);
        }
        (record.failed, record.not_before) = (Some(now), Some(now + wait));
        record.under_way = false;
        let words: Vec<&str> = failures.iter().map(|(_, it)| it.words.as_str()).collect();
        let words = words.join("; then ");
        record.last_error = Some(words.clone());
        let asked: Vec<&str> = failures.iter().map(|(name, _)| name.as_str()).collect();
        let event = CertificateFailed {
            host: host.name.clone(),
            directory: asked.join(", "),
            error: words.clone(),
            failures: record.failures,
            next_attempt: now + wait,
            served: left.is_some(),
        };
        let noted = self.store.keep_record(&host.name, &host.record);
        self.telemetry.say(&event);
        if let Err(why) = noted {
            self.complain(&chain(&why));
        }
        words
    }
}

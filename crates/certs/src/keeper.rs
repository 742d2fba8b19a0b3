//! Whoever looks after the certificates: gets them, renews them in time, and never lets go of a
//! good one before it has a better.
//!
//! Everything that takes time is done in one task, one host after the other, so nothing is ordered
//! twice; it is put off or broken off when other hosts or CAs are wanted, or the process ends.

mod attempt;
mod handle;
mod host;
mod orders;
mod wishes;

use std::{panic::AssertUnwindSafe, path::Path, sync::Arc, time::Duration};

use futures_util::FutureExt;
use gateway_telemetry::{CertificateSetAside, StateWriteFailed, Telemetry};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::handle::{Keeping, Outcome, Renewal, RevocationReason, Standing, State};
use self::{
    handle::Order,
    host::{Host, Unkept},
};
use crate::{
    Clock, Internet, Mirror, Served, Wanted,
    acme::{Failure, Kind},
    store::{Record, SetAside, Store, chain},
};

/// Looks after the certificates of the hosts that are wanted.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<Store>,
    served: Arc<Served>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    wanted: watch::Receiver<Option<Arc<Wanted>>>,
    orders: mpsc::Receiver<Order>,
    standings: watch::Sender<Vec<Standing>>,
    /// What is being looked after now.
    wants: Option<Arc<Wanted>>,
    hosts: Vec<Host>,
    /// Whether this gateway is the one that orders, of those on one store.
    ours: bool,
    /// Whether it has been said that the store cannot be written.
    complained: bool,
}

/// What a keeper works with.
#[derive(Clone, Copy, Debug)]
struct Means<'a> {
    internet: &'a dyn Internet,
    mirror: &'a dyn Mirror,
}

/// How many orders of the operator may wait.
const ORDERS: usize = 16;

/// How often it is looked whether something is due: the clock may have been set, and another
/// gateway on the store may have got a certificate.
const LOOK: Duration = Duration::from_secs(300);

/// How often it is looked what another gateway on the store has got.
const FOLLOW: Duration = Duration::from_secs(10);

/// How long an attempt for one host may take in all.
const ATTEMPT: Duration = Duration::from_secs(1800);

/// A keeper of certificates in `state`, the gateway's state folder, for what is `served`; and the
/// hold that others have on it. It does nothing before it works.
#[must_use]
pub fn keep(
    state: &Path,
    served: Arc<Served>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
) -> (Keeping, Keeper) {
    let store = Arc::new(Store::new(state));
    let (tell, wanted) = watch::channel(None);
    let (ask, orders) = mpsc::channel(ORDERS);
    let (standings, stands) = watch::channel(Vec::new());
    let keeping = Keeping {
        store: Arc::clone(&store),
        served: Arc::clone(&served),
        clock: Arc::clone(&clock),
        telemetry: telemetry.clone(),
        wanted: tell,
        orders: ask,
        standings: stands,
    };
    let keeper = Keeper {
        store,
        served,
        clock,
        telemetry,
        wanted,
        orders,
        standings,
        wants: None,
        hosts: Vec::new(),
        ours: false,
        complained: false,
    };
    (keeping, keeper)
}

impl Keeper {
    /// Works until `stop` is cancelled: goes to CAs by `internet`, and looks into `mirror` after
    /// each change.
    pub async fn work(
        mut self,
        internet: &dyn Internet,
        mirror: &dyn Mirror,
        stop: CancellationToken,
    ) {
        let means = Means { internet, mirror };
        let mut news = self.wanted.clone();
        loop {
            news.mark_unchanged();
            self.adopt();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = news.changed() => if changed.is_err() { break },
                () = self.busy(means) => {}
            }
        }
        self.interrupted();
    }

    /// One thing after the other, for ever.
    async fn busy(&mut self, means: Means<'_>) {
        loop {
            self.round(means).await;
            self.publish();
            let again = Instant::now() + self.pause();
            let asked = tokio::time::timeout_at(again, self.orders.recv());
            match asked.await {
                // Whoever asked is told that it was broken off; the renewals go on.
                Ok(Some(order)) => {
                    drop(AssertUnwindSafe(self.obey(order, means)).catch_unwind().await);
                }
                // Nobody is left to ask.
                Ok(None) => sleep(LOOK).await,
                Err(_) => {}
            }
        }
    }

    /// Takes on the hosts that are wanted now, with what the store knows of them.
    fn adopt(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        if wanted == self.wants {
            return;
        }
        self.interrupted();
        let other = |one: &Option<Arc<Wanted>>| one.as_ref().map(|it| Arc::clone(&it.acme));
        let other_acme = self.wants.is_some() && other(&wanted) != other(&self.wants);
        let mut known = std::mem::take(&mut self.hosts);
        for name in wanted.iter().flat_map(|it| &it.hosts) {
            let mut host = match known.iter().position(|host| host.name == *name) {
                Some(at) => known.swap_remove(at),
                None => self.meet(name),
            };
            if other_acme {
                // Whoever changed the policy has done something about what was wrong.
                host.record.forgive();
            }
            self.hosts.push(host);
        }
        for directory in wanted.iter().flat_map(|it| &it.acme.directories) {
            self.telemetry.metrics.may_order(&directory.name);
        }
        self.wants = wanted;
        self.publish();
    }

    /// Reads what the store knows of a host.
    fn meet(&self, name: &str) -> Host {
        // Another gateway may be at it: what became of an attempt is told when it is this one's turn.
        let found = self.store.record(name);
        self.say_aside(found.aside);
        let record = found.value.unwrap_or_default();
        let shown = self.served.of(name).filter(|shown| !shown.temporary);
        Host {
            name: name.to_owned(),
            record,
            identity: shown.map(|shown| shown.identity),
            suggestion: None,
            unkept: None,
            // What is there is read when it is this gateway's turn, or another's.
            written: None,
        }
    }

    fn remembered(&self, name: &str) -> Record {
        let found = self.store.record(name);
        self.say_aside(found.aside);
        let mut record = found.value.unwrap_or_default();
        record.woke(self.clock.now(), name);
        record
    }

    /// Does for each host what is due.
    async fn round(&mut self, means: Means<'_>) {
        if self.hosts.is_empty() {
            return;
        }
        let followed = !self.ours;
        match self.store.is_ours() {
            Ok(ours) => self.ours = ours,
            // It may be wrong for a while; without the lock there is still only this process.
            Err(why) => {
                self.complain(&chain(&why));
                self.ours = true;
            }
        }
        if self.ours && followed {
            self.take_over();
        }
        for at in 0..self.hosts.len() {
            if !self.ours {
                self.follow(at);
                continue;
            }
            self.keep_again(at);
            self.ask_in_safety(at, means).await;
            let now = self.clock.now();
            let wants = self.wants.clone();
            let due = |host: &Host| wants.is_some_and(|wants| host.is_due(&wants.acme, now));
            if self.hosts.get(at).is_some_and(due) {
                // It has been said and written down.
                drop(self.attempt_in_time(at, means).await);
                self.ask_in_safety(at, means).await;
            }
        }
    }

    /// Gets a certificate for one host, or tells why there is none.
    async fn attempt_in_time(&mut self, at: usize, means: Means<'_>) -> Result<(), String> {
        let attempt = AssertUnwindSafe(self.attempt(at, means)).catch_unwind();
        let words = match timeout(ATTEMPT, attempt).await {
            Ok(Ok(done)) => {
                self.publish();
                return done;
            }
            // What a CA says must not end the renewal of certificates.
            Ok(Err(_)) => "a bug met what the CA answered: please report it".to_owned(),
            Err(_) => format!("no end within {} s", ATTEMPT.as_secs()),
        };
        self.fail(at, &[("any".to_owned(), Failure::new(Kind::Unreachable, words.clone()))]);
        self.publish();
        Err(words)
    }

    /// Begins to order, with all that whoever did so before has written down.
    fn take_over(&mut self) {
        for at in 0..self.hosts.len() {
            self.follow(at);
            if let Some(name) = self.hosts.get(at).map(|it| it.name.clone()) {
                let record = self.remembered(&name);
                // So that what the end of the last process has cost is counted once.
                drop(self.store.keep_record(&name, &record));
                if let Some(host) = self.hosts.get_mut(at) {
                    host.record = record;
                }
            }
        }
    }

    /// Serves what another gateway has got.
    fn follow(&mut self, at: usize) {
        let Some(host) = self.hosts.get_mut(at) else { return };
        let written = self.store.written(&host.name);
        if written == host.written {
            return;
        }
        host.written = written;
        let found = self.store.identity(&host.name);
        if let Some(identity) = found.value {
            self.served.swap_one(&host.name, &identity);
            host.identity = Some(identity);
            host.record = self.store.record(&host.name).value.unwrap_or_default();
        }
        self.say_aside(found.aside);
    }

    /// Writes a certificate down that could not be written before.
    fn keep_again(&mut self, at: usize) {
        let Some(host) = self.hosts.get_mut(at) else { return };
        let Some(Unkept { chain: certificates, key }) = &host.unkept else { return };
        match self.store.keep_identity(&host.name, certificates, key) {
            Ok(()) => {
                host.unkept = None;
                host.record.orders.clear();
                drop(self.store.keep_record(&host.name, &host.record));
                self.complained = false;
            }
            Err(why) => self.complain(&chain(&why)),
        }
    }

    /// An attempt that nobody lets come to its end is no failure.
    fn interrupted(&mut self) {
        for host in self.hosts.iter_mut().filter(|host| host.record.under_way) {
            host.record.under_way = false;
            drop(self.store.keep_record(&host.name, &host.record));
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let now = self.clock.now();
        if !self.ours {
            return FOLLOW;
        }
        let next = self.hosts.iter().map(|host| host.next(now)).min();
        let left =
            next.map_or(LOOK, |next| Duration::from_secs((next - now).max(1).unsigned_abs()));
        left.min(LOOK)
    }

    fn publish(&self) {
        let now = self.clock.now();
        let standing = |host: &Host| {
            let shown = self.served.of(&host.name)?;
            Some(host.standing(&shown, now))
        };
        let all: Vec<Standing> = self.hosts.iter().filter_map(standing).collect();
        for one in &all {
            let temporary = one.state == State::Temporary;
            let at = one.renewal.as_ref().map(|it| it.at);
            self.telemetry.metrics.certificate(&one.host, one.not_after, temporary, at);
        }
        self.standings.send_replace(all);
    }

    fn complain(&mut self, error: &str) {
        let first = !std::mem::replace(&mut self.complained, true);
        self.telemetry.say(&StateWriteFailed { error: error.to_owned(), first });
    }

    fn say_aside(&self, aside: Option<SetAside>) {
        say_aside(&self.telemetry, aside);
    }
}

fn say_aside(telemetry: &Telemetry, aside: Option<SetAside>) {
    if let Some(SetAside { file, why }) = aside {
        let file = file.display().to_string();
        telemetry.say(&CertificateSetAside { file, error: why });
    }
}

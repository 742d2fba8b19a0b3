//! Introduces the ledger to the layers and to the door: whatever remembers clients is asked here,
//! with the policy and the time in hand, and what follows is said here.

mod limiters;
pub(crate) mod own;

use std::{
    fmt, io,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use gateway_certs::Clock;
use gateway_ledger::{Account, Banned, Key, Ledger, Noted, Sqlite, Store, StoreError};
use gateway_n8n::{Attempt, Outcome, Surface};
use gateway_policy::{
    Ban, Bans, Client, Count, Limit, Mode, Note, Offence, Policy, Reason, Timestamp,
};
use gateway_proxy::{Case, Rules, Warden, Whose};
use gateway_telemetry::{
    Offended, PasswordLeaked, SignInFailed, SignInSucceeded, StateWriteFailed, Telemetry, Unbanned,
    WouldBan, WouldRefuse,
};
use http::HeaderValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{limiters::Limiters, own::Own};

/// Whoever remembers clients, for all that ask.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    limiters: Limiters,
    own: RwLock<Own>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    /// Where the ledger is written, until somebody keeps it, and whether it could be read.
    store: Mutex<Option<(Box<dyn Store>, bool)>>,
    /// How often the bans have changed.
    changed: watch::Sender<u64>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Guard {
    /// Opens the ledger in `folder`. One that cannot be read or written begins empty, and is kept
    /// in memory until it can.
    ///
    /// # Errors
    ///
    /// A machine without randomness.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>, telemetry: Telemetry) -> io::Result<Self> {
        let complain = |why: String| telemetry.say(&StateWriteFailed { error: why, first: true });
        let key = match Key::in_folder(folder) {
            Ok(key) => key,
            Err(why) => {
                complain(format!("{}: {why}", folder.display()));
                Key::passing()?
            }
        };
        let ledger = Ledger::new(key);
        let mut store: Box<dyn Store> = Box::new(Sqlite::in_folder(folder));
        let now = Timestamp(clock.now());
        let loaded: Result<(), StoreError> = ledger.load(&mut *store, now);
        if let Err(why) = &loaded {
            complain(format!("{}: {why}", folder.display()));
        }
        let guard = Self(Arc::new(Inner {
            ledger,
            limiters: Limiters::default(),
            own: RwLock::new(Own::look()),
            clock,
            telemetry,
            store: Mutex::new(Some((store, loaded.is_ok()))),
            changed: watch::Sender::new(0),
        }));
        guard.has_changed();
        Ok(guard)
    }

    /// Writes the ledger down, until `stop`. The first who calls it does; it ends at once for
    /// others.
    pub async fn keep(&self, stop: CancellationToken) {
        let store = self.0.store.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((store, loaded)) = store {
            let (now, telemetry) = (|| self.now(), self.0.telemetry.clone());
            self.0.ledger.keep(store, loaded, now, telemetry, stop).await;
        }
    }

    /// Waits until everything that was remembered so far is written, and tells whether it is.
    pub async fn settled(&self) -> bool {
        self.0.ledger.settled().await
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.0.clock.now())
    }

    /// How often the bans have changed, now and later.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Takes over the limits of a new policy; those that are as before keep their budgets.
    pub(crate) fn adopt(&self, policy: &Policy) {
        for gone in self.0.limiters.adopt(&policy.limits) {
            self.0.telemetry.metrics.forget_rate_limit(&gone);
        }
    }

    /// The addresses of this machine and of its default gateway.
    pub(crate) fn own(&self) -> Vec<IpAddr> {
        let own = self.0.own.read().unwrap_or_else(PoisonError::into_inner);
        own.addresses().collect()
    }

    /// Takes these for the addresses of this machine, whatever it has: for tests.
    pub fn own_are(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        let own = addresses.into_iter().collect();
        *self.0.own.write().unwrap_or_else(PoisonError::into_inner) = own;
    }

    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.0.own.read().unwrap_or_else(PoisonError::into_inner).contains(address)
    }

    /// Lifts the bans that have ended, and says so; each second.
    pub fn sweep(&self) {
        let ended = self.0.ledger.sweep(self.now());
        for banned in &ended {
            self.unbanned(banned, "time", None);
        }
        if !ended.is_empty() {
            self.has_changed();
        }
    }

    /// Forgets what is not needed any more, and looks again which addresses this machine has; each
    /// minute.
    pub(crate) fn tidy(&self) {
        self.0.ledger.tidy(self.now());
        self.0.limiters.sweep();
        let (clients, offences) = self.0.ledger.sizes();
        let metrics = &self.0.telemetry.metrics;
        metrics.ledger("limits", self.0.limiters.keys());
        metrics.ledger("offenders", clients);
        metrics.ledger("offences", offences);
        *self.0.own.write().unwrap_or_else(PoisonError::into_inner) = Own::look();
    }

    fn unbanned(&self, banned: &Banned, because: &'static str, by: Option<(&str, &str)>) {
        self.0.telemetry.say(&Unbanned {
            net: banned.net,
            jail: banned.ban.jail,
            count: banned.ban.notes.len(),
            because,
            by: by.map(|(who, _)| who.to_owned()),
            why: by.map(|(_, why)| why.to_owned()),
        });
    }

    fn has_changed(&self) {
        self.0.telemetry.metrics.banned(&self.0.ledger.in_jails());
        self.0.changed.send_modify(|changes| *changes += 1);
    }

    /// Says that bans were made, and by whom.
    pub(crate) fn banned(&self, bans: &[Arc<Banned>]) {
        for banned in bans {
            let Ban { jail, since, until, nth, notes, .. } = &banned.ban;
            let last = notes.last().and_then(|note| note.surface);
            let by_hand = banned.by_hand.as_ref();
            self.0.telemetry.say(&gateway_telemetry::Banned {
                net: banned.net,
                jail: *jail,
                surface: last.map(Surface::name),
                count: notes.len(),
                seconds: until.since(*since).as_secs(),
                until: until.0,
                nth: *nth,
                by: by_hand.map(|it| it.who.clone()),
                why: by_hand.map(|it| it.why.clone()),
            });
        }
        if !bans.is_empty() {
            self.has_changed();
        }
    }

    /// Says that bans were lifted, and by whom.
    pub(crate) fn lifted(&self, bans: &[Arc<Banned>], by: &str, why: &str) {
        for banned in bans {
            self.unbanned(banned, "operator", Some((by, why)));
        }
        if !bans.is_empty() {
            self.has_changed();
        }
    }

    /// Whether a connection from `peer` is dropped. A banned one whose webhooks n8n takes is let
    /// in: it is turned away where it has no business, and nowhere else.
    pub(crate) async fn drops(&self, peer: IpAddr, policy: &Policy) -> bool {
        let key = policy.clients.client(peer).key;
        self.keeps_out(peer, policy).await.is_some() && !self.0.ledger.is_sender(key)
    }

    /// The ban that keeps `address` out. It is durable when this returns, or held in memory alone
    /// because it cannot be.
    async fn keeps_out(&self, address: IpAddr, policy: &Policy) -> Option<Arc<Banned>> {
        let banned = self.0.ledger.banned(address, self.now())?;
        if policy.mode == Mode::DryRun || self.is_exempt(address, policy) {
            return None;
        }
        // Many people share a site: whoever has signed in there lately is none of the walkers.
        let client = policy.clients.client(address);
        let is_site = banned.by_hand.is_none() && !banned.net.addr().eq(&client.key);
        if is_site && self.0.ledger.knows(client.key, None, self.now()) {
            return None;
        }
        self.0.ledger.settled().await;
        Some(banned)
    }

    fn is_exempt(&self, address: IpAddr, policy: &Policy) -> bool {
        policy.exempt(address, |address| self.is_own(address)).is_some()
    }

    /// Holds what came of no request against a peer: bytes that are not HTTP.
    pub(crate) fn malformed(&self, peer: IpAddr, policy: &Policy) {
        let client = policy.clients.client(peer);
        let note = self.note(None, None, None, Offence::Malformed);
        // The events have said it.
        let _: Option<Count> = self.hold(client, note, policy);
    }

    fn note(
        &self,
        surface: Option<Surface>,
        request: Option<u64>,
        account: Option<u64>,
        offence: Offence,
    ) -> Note {
        let at = self.now();
        Note { at, offence, surface, request: request.unwrap_or_default(), account }
    }

    /// Holds an offence against a client, and tells the first jail that counts it, and its count.
    fn hold(&self, client: Client, note: Note, policy: &Policy) -> Option<Count> {
        if self.is_exempt(client.address, policy) {
            return None;
        }
        let prefix = policy.clients.ipv6_prefix;
        let Noted { counted, bans, would } = self.0.ledger.note(client, prefix, note, &policy.bans);
        for Count { jail, count, most } in &counted {
            self.0.telemetry.say(&Offended {
                request_id: Some(note.request).filter(|it| *it != 0).map(|it| format!("{it:016x}")),
                client: client.address,
                surface: note.surface.map(Surface::name),
                offence: note.offence,
                jail: *jail,
                count: *count,
                max_retry: *most,
            });
        }
        if let Some(Ban { jail, since, until, notes, .. }) = would {
            let (count, seconds) = (notes.len(), until.since(since).as_secs());
            self.0.telemetry.say(&WouldBan { client: client.key, jail, count, seconds });
        }
        self.banned(&bans);
        counted.first().copied()
    }

    /// Whether what is known of an address is known of a client: behind some container networks
    /// and proxies everybody comes from one of these, the owner and the attacker.
    fn tells_clients_apart(&self, client: Client, policy: &Policy) -> bool {
        let address = client.address;
        !self.is_own(address) && !policy.clients.trusted.contains(address)
    }

    fn signed_in(
        &self,
        case: &Case,
        device: Option<&HeaderValue>,
        policy: &Policy,
    ) -> Option<HeaderValue> {
        let (now, account) = (self.now(), case.account.map(Account));
        let prefix = policy.clients.ipv6_prefix;
        if self.tells_clients_apart(case.client, policy) {
            self.0.ledger.signed_in(case.client, prefix, account, now);
        } else {
            self.0.ledger.forgive(case.client, prefix, account);
        }
        self.0.telemetry.say(&SignInSucceeded {
            request_id: format!("{:016x}", case.request),
            client: case.client.address,
            surface: case.surface.map(Surface::name),
            account: account.map(|it| it.to_string()),
            known: case.known,
        });
        let before = device.and_then(|it| it.to_str().ok());
        let key = self.0.ledger.key();
        let before = before.map(|it| key.device(it, now)).unwrap_or_default();
        HeaderValue::try_from(key.sign_device(account?, &before, now)).ok()
    }

    fn failed(&self, case: &Case, attempt: Attempt, offence: Offence, rules: &Rules) {
        let account = case.account.map(|it| Account(it).to_string());
        let request_id = format!("{:016x}", case.request);
        let note = self.note(case.surface, Some(case.request), case.account, offence);
        let counted = self.hold(case.client, note, &rules.policy);
        self.0.telemetry.say(&SignInFailed {
            request_id: request_id.clone(),
            client: case.client.address,
            surface: case.surface.map(Surface::name),
            attempt: attempt.name(),
            because: offence,
            jail: counted.map(|it| it.jail.name()),
            count: counted.map(|it| it.count),
            account: account.clone(),
            known: case.known,
        });
        if let (Offence::NoSecondFactor, Some(tag)) = (offence, case.account) {
            let count = self.0.ledger.leaked(tag);
            if Bans::is_leak(count) {
                self.0.telemetry.say(&PasswordLeaked {
                    request_id,
                    client: case.client.address,
                    surface: case.surface.map(Surface::name),
                    account,
                    count,
                });
            }
        }
    }
}

impl Warden for Guard {
    async fn turns_away(&self, case: &Case, path: &str, rules: &Rules) -> bool {
        let (address, policy) = (case.client.address, &rules.policy);
        if let Some(banned) = self.keeps_out(address, policy).await {
            let sender = self.0.ledger.is_sender(case.client.key) && policy.is_public(path);
            if !sender {
                self.0.ledger.turned_away(case.request, banned.net);
            }
            return !sender;
        }
        if policy.mode == Mode::DryRun
            && let Some(banned) = self.0.ledger.banned(address, self.now())
        {
            self.0.telemetry.say(&WouldRefuse {
                request_id: format!("{:016x}", case.request),
                client: address,
                surface: None,
                reason: Reason::Banned,
                rule: Some(banned.ban.jail.to_string()),
            });
        }
        false
    }

    fn charge(&self, limit: &Limit, whose: Whose<'_>) -> Result<(), Duration> {
        let wide = match whose {
            Whose::Client(client) => self.0.ledger.has_session(client),
            Whose::Known(..) => true,
            Whose::Account(_) | Whose::Path(_) | Whose::All => false,
        };
        self.0.limiters.charge(limit, whose, wide)
    }

    fn account(&self, name: &str) -> u64 {
        self.0.ledger.key().account(name).0
    }

    fn knows(
        &self,
        client: Client,
        device: Option<&HeaderValue>,
        account: Option<u64>,
        rules: &Rules,
    ) -> bool {
        let (now, account) = (self.now(), account.map(Account));
        let device = device.and_then(|it| it.to_str().ok());
        let device = || device.map(|it| self.0.ledger.key().device(it, now)).unwrap_or_default();
        let network = || {
            self.tells_clients_apart(client, &rules.policy)
                && self.0.ledger.knows(client.key, account, now)
        };
        rules.policy.bans.never(client.address).is_some()
            || network()
            || device().iter().any(|it| account.is_none_or(|account| *it == account))
    }

    fn offended(&self, case: &Case, offence: Offence, rules: &Rules) {
        let note = self.note(case.surface, Some(case.request), case.account, offence);
        // The events have said it.
        let _: Option<Count> = self.hold(case.client, note, &rules.policy);
    }

    fn attempted(
        &self,
        case: &Case,
        outcome: Outcome,
        device: Option<&HeaderValue>,
        rules: &Rules,
    ) -> Option<HeaderValue> {
        let attempt = case.attempt?;
        if outcome == Outcome::Succeeded {
            // A key that is good is shown with each request: there is nothing to take down.
            let person =
                matches!(attempt, Attempt::SignIn | Attempt::OwnerSetup | Attempt::MailToken);
            return if person { self.signed_in(case, device, &rules.policy) } else { None };
        }
        if let Some(offence) = Offence::of(outcome, case.known) {
            self.failed(case, attempt, offence, rules);
        }
        None
    }

    fn has_session(&self, client: Client, rules: &Rules) {
        if self.tells_clients_apart(client, &rules.policy) {
            self.0.ledger.session(client, self.now());
        }
    }

    fn bans(&self) -> watch::Receiver<u64> {
        self.changes()
    }

    fn sends(&self, client: Client) {
        self.0.ledger.sends(client.key);
    }
}

#[cfg(test)]
mod tests;

//! Introduces the ledger to the layers and to the door: whatever remembers clients is asked here,
//! with the policy and the time in hand, and what follows is said here.

mod keys;
mod limiters;
mod own;
mod passwords;
mod sessions;
mod warden;
mod windows;
mod writing;

use std::{
    collections::HashSet,
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gateway_certs::Clock;
use gateway_config::Settings;
use gateway_ledger::{Banned, Key, Ledger, Noted, Sqlite, Store, StoreError, net_of};
use gateway_n8n::Surface;
use gateway_policy::{
    ApiKeys, Ban, Client, Count, Cut, Mode, Note, Offence, Policy, Pressure, Standing, Timestamp,
    Windows,
};
use gateway_telemetry::{ConnectionCut, Offended, StateWriteFailed, Telemetry, Unbanned, WouldBan};
use http::HeaderValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::writing::Writing;
use self::{limiters::Limiters, own::Own};
use crate::{Terms, load::Load};

/// A ban that is younger may still be on its way to the disk.
const JUST_NOW: Duration = Duration::from_secs(10);

/// Whoever remembers clients, for all that ask.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    limiters: Limiters,
    load: Load,
    own: RwLock<Own>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    /// Where the ledger is written, until somebody keeps it, and whether it could be read.
    store: Mutex<Option<(Box<dyn Store>, bool)>>,
    /// Where that is, and whether it could be read at the start.
    folder: PathBuf,
    loaded: bool,
    /// How often the bans have changed.
    changed: watch::Sender<u64>,
    /// The accounts that are excused from a second factor, as keyed hashes.
    excused: RwLock<HashSet<u64>>,
    /// The list of passwords that have leaked.
    leaked: RwLock<Option<PathBuf>>,
    /// Whether n8n says that it has no owner.
    unclaimed: AtomicBool,
    /// Who is let in for a time.
    windows: watch::Sender<Arc<Windows>>,
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
            load: Load::default(),
            own: RwLock::new(Own::look()),
            clock,
            telemetry,
            store: Mutex::new(Some((store, loaded.is_ok()))),
            folder: folder.to_owned(),
            loaded: loaded.is_ok(),
            changed: watch::Sender::new(0),
            excused: RwLock::default(),
            leaked: RwLock::default(),
            unclaimed: AtomicBool::new(false),
            windows: watch::Sender::default(),
        }));
        guard.has_changed();
        guard.take_up_windows();
        Ok(guard)
    }

    /// Writes the ledger down, until `stop`. The first who calls it does; it ends at once for
    /// others.
    pub async fn keep(&self, stop: CancellationToken) {
        let store = self.0.store.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((store, loaded)) = store {
            let (now, telemetry) = (|| self.now(), self.0.telemetry.clone());
            let restored = || {
                self.has_changed();
                self.take_up_windows();
            };
            self.0.ledger.keep(store, loaded, now, restored, telemetry, stop).await;
        }
    }

    /// Has the ledger written down again, by whoever keeps it next.
    pub(crate) fn reopen(&self) {
        let store: Box<dyn Store> = Box::new(Sqlite::in_folder(&self.0.folder));
        let mut kept = self.0.store.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((store, self.0.loaded));
    }

    /// Waits until everything that was remembered so far is written, and tells whether it is.
    pub async fn settled(&self) -> bool {
        self.0.ledger.post_webhooks();
        self.0.ledger.post_api_keys();
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

    /// Who is near the edge of which limit, the fullest first.
    pub(crate) fn edges(&self) -> Vec<gateway_ledger::Edge> {
        self.0.limiters.edges()
    }

    /// What is going on.
    pub(crate) fn load(&self) -> &Load {
        &self.0.load
    }

    /// Takes memory to be so short until it is looked at again: for tests, where nobody looks.
    pub fn presses(&self, pressure: Pressure) {
        self.0.load.presses(pressure);
    }

    /// Takes over the limits of a new policy; those that are as before keep their budgets.
    pub(crate) fn adopt(&self, policy: &Policy, settings: &Settings, terms: &Terms) {
        self.0.load.adopt(terms.arrivals);
        let leaked = settings.leaked_passwords.clone();
        *self.0.leaked.write().unwrap_or_else(PoisonError::into_inner) = leaked;
        let names = policy.accounts.second_factor.iter().flat_map(|it| &it.except);
        let excused = names.map(|name| self.0.ledger.key().account(name).0).collect();
        *self.0.excused.write().unwrap_or_else(PoisonError::into_inner) = excused;
        let of_keys = policy.accounts.api_keys.iter().flat_map(ApiKeys::limits);
        for gone in self.0.limiters.adopt(policy.limits.iter().chain(of_keys)) {
            self.0.telemetry.metrics.forget_rate_limit(&gone);
        }
    }

    /// Takes down whether n8n has no owner.
    pub(crate) fn unclaimed(&self, unclaimed: bool) {
        self.0.unclaimed.store(unclaimed, Ordering::Relaxed);
        self.0.telemetry.metrics.unclaimed(unclaimed);
    }

    /// Whether n8n has no owner, as far as it has said.
    pub(crate) fn is_unclaimed(&self) -> bool {
        self.0.unclaimed.load(Ordering::Relaxed)
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

    /// Lifts the bans that have ended, closes the windows whose time is over, and says so; each second.
    pub fn sweep(&self) {
        let ended = self.0.ledger.sweep(self.now());
        for banned in &ended {
            self.unbanned(banned, "time", None);
        }
        if !ended.is_empty() {
            self.has_changed();
        }
        self.close_windows();
    }

    /// Forgets what is not needed any more, and looks again which addresses this machine has; each
    /// minute.
    pub(crate) fn tidy(&self) {
        self.0.ledger.tidy(self.now());
        self.0.limiters.sweep();
        self.0.load.sweep();
        let (clients, offences) = self.0.ledger.sizes();
        let metrics = &self.0.telemetry.metrics;
        metrics.ledger("limits", self.0.limiters.keys());
        metrics.ledger("offenders", clients);
        metrics.ledger("offences", offences);
        metrics.ledger("webhooks", self.0.ledger.webhooks().len());
        metrics.ledger("messages", self.0.ledger.messages());
        metrics.ledger("api_keys", self.0.ledger.api_keys().len());
        *self.0.own.write().unwrap_or_else(PoisonError::into_inner) = Own::look();
    }

    fn unbanned(&self, banned: &Banned, because: &'static str, by: Option<(&str, &str)>) {
        self.0.telemetry.say(&Unbanned {
            net: banned.net,
            jail: banned.ban.jail,
            count: Some(banned.ban.notes.len()).filter(|count| *count > 0),
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
        let Some(banned) = self.keeps_out(peer, policy) else { return false };
        self.durable(&banned).await;
        !self.spares_sender(&banned, key)
    }

    /// Whether webhooks of a banned client are still taken: it slipped in an address, or spoke
    /// badly. Whoever guesses or attacks, and whom the operator bans, sends nothing any more.
    pub(crate) fn spares_sender(&self, banned: &Banned, client: IpAddr) -> bool {
        let spared = banned.by_hand.is_none() && banned.ban.because.spares_senders();
        spared && self.0.ledger.is_sender(client)
    }

    /// The ban that keeps `address` out: of several the one that ends last.
    fn keeps_out(&self, address: IpAddr, policy: &Policy) -> Option<Arc<Banned>> {
        let now = self.now();
        let covering = self.0.ledger.covering(address, now);
        if covering.is_empty() || policy.mode == Mode::DryRun || self.is_exempt(address, policy) {
            return None;
        }
        let client = policy.clients.client(address);
        let own = net_of(client, policy.clients.ipv6_prefix);
        // Many people share a site: whoever has signed in there lately is none of the walkers.
        let spared = |banned: &Banned| {
            let site = banned.by_hand.is_none() && banned.net != own;
            site && self.0.ledger.knows(client.key, None, now)
        };
        let holding = covering.into_iter().filter(|banned| !spared(banned));
        holding.max_by_key(|banned| banned.ban.until)
    }

    /// Waits until `banned` is durable, or held in memory alone because it cannot be.
    async fn durable(&self, banned: &Banned) {
        // What was written long ago is not waited for.
        if self.now().since(banned.ban.since) < JUST_NOW {
            self.0.ledger.settled().await;
        }
    }

    /// Takes down that a connection of `peer` was cut.
    pub(crate) fn cut(&self, peer: IpAddr, cut: Cut, policy: &Policy) {
        self.0.telemetry.say(&ConnectionCut { client: peer, reason: cut });
        if let Some(offence) = cut.offence() {
            let note = self.note(None, None, None, offence);
            // The events have said it.
            let _: Option<Count> = self.hold(policy.clients.client(peer), note, policy);
        }
    }

    /// Who somebody is when there is not room for all. Who speaks for others, and where one address
    /// is everybody's, nobody can be told from those who are known.
    pub(crate) fn standing(
        &self,
        client: Client,
        device: Option<&HeaderValue>,
        policy: &Policy,
    ) -> Standing {
        let ledger = &self.0.ledger;
        let known = policy.bans.never(client.address).is_some()
            || !self.tells_clients_apart(client, policy)
            || ledger.has_session(client.key)
            || ledger.knows(client.key, None, self.now())
            || device.is_some_and(|it| self.is_device(it));
        if known {
            Standing::Known
        } else if ledger.is_sender(client.key) {
            Standing::Sender
        } else {
            Standing::Stranger
        }
    }

    fn is_exempt(&self, address: IpAddr, policy: &Policy) -> bool {
        policy.exempt(address, |address| self.is_own(address)).is_some()
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

    /// Whether many people come from this address: through a trusted proxy, or through a network of
    /// containers on this machine.
    pub(crate) fn stands_for_many(&self, address: IpAddr, policy: &Policy) -> bool {
        !self.tells_clients_apart(policy.clients.client(address), policy)
    }

    /// Whether what is known of an address is known of a client: behind some container networks
    /// and proxies everybody comes from one of these, the owner and the attacker.
    fn tells_clients_apart(&self, client: Client, policy: &Policy) -> bool {
        let address = client.address;
        !self.is_own(address) && !policy.clients.trusted.contains(address)
    }
}

#[cfg(test)]
mod tests;

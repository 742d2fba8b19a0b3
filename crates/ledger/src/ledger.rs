//! Everything that is remembered of clients, and how it is asked for.

use std::{
    fmt,
    hash::RandomState,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gateway_policy::{Ban, Bans, Client, Jail, JailVerdict, Note, Timestamp};
use gateway_telemetry::Telemetry;
use ipnet::IpNet;
use lru::LruCache;
use tokio_util::sync::CancellationToken;

use crate::{
    Account, Banned, Change, Key, Store, StoreError,
    journal::Journal,
    known::Known,
    offenders::{NOTES, OFFENDERS, Offenders},
    sheet::Sheet,
};

/// How many requests of banned clients are remembered by their id.
const TURNED_AWAY: usize = 10_000;

/// How long a client's bans are held against it after the last one began.
const FORGOTTEN: Duration = Duration::from_hours(7 * 24);

/// What is remembered of clients.
pub struct Ledger {
    key: Key,
    sheet: RwLock<Sheet>,
    /// Whether anybody is banned at all: on most days nobody is, and nothing is locked.
    any: AtomicBool,
    offenders: Mutex<Offenders>,
    known: RwLock<Known>,
    turned_away: Mutex<LruCache<u64, IpNet, RandomState>>,
    journal: Journal,
}

/// What followed from an offence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Each jail that counted it, and its count.
    pub counted: Vec<(Jail, usize)>,
    /// The bans that it brought: of the client, and of the site it walks through.
    pub bans: Vec<Arc<Banned>>,
    /// A ban that would have been, in a dry run.
    pub would: Option<Ban>,
}

/// What has ended by itself.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Bans.
    pub ended: Vec<Arc<Banned>>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The network of a client's key: an address, or an IPv6 prefix of `ipv6_prefix` bits.
fn net_of(client: Client, ipv6_prefix: u8) -> IpNet {
    let length = if client.key.is_ipv4() { 32 } else { ipv6_prefix };
    IpNet::new(client.key, length).map_or_else(|_| IpNet::from(client.key), |net| net.trunc())
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self {
            key,
            sheet: RwLock::default(),
            any: AtomicBool::new(false),
            offenders: Mutex::new(Offenders::new(OFFENDERS, NOTES)),
            known: RwLock::default(),
            turned_away: Mutex::new(LruCache::unbounded_with_hasher(RandomState::new())),
            journal: Journal::default(),
        }
    }

    fn sheet(&self) -> RwLockReadGuard<'_, Sheet> {
        self.sheet.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sheet_mut(&self) -> RwLockWriteGuard<'_, Sheet> {
        self.sheet.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gateway's secret.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Takes over what a store kept. What has ended since then, or would end after `latest`
    /// because a clock was set back, is cut.
    pub fn restore(&self, changes: Vec<Change>, now: Timestamp, latest: Timestamp) {
        let (mut sheet, mut offenders) = (self.sheet_mut(), locked(&self.offenders));
        let mut known = self.known_mut();
        for change in changes {
            match change {
                Change::Ban(_, Some(mut banned)) if banned.ban.until > now => {
                    banned.ban.until = banned.ban.until.min(latest);
                    drop(sheet.insert(banned));
                }
                Change::Past(client, Some(past)) => drop(offenders.remember(client, past)),
                Change::Visitor(client, Some(visitor)) => drop(known.restore(client, visitor)),
                Change::Ban(..) | Change::Past(..) | Change::Visitor(..) => {}
            }
        }
        self.any.store(sheet.len() > 0, Ordering::Release);
    }

    /// Reads what `store` kept.
    ///
    /// # Errors
    ///
    /// A store that cannot be read; the ledger is as it was.
    pub fn load(
        &self,
        store: &mut dyn Store,
        now: Timestamp,
        latest: Timestamp,
    ) -> Result<(), StoreError> {
        self.restore(store.load()?, now, latest);
        Ok(())
    }

    /// Writes what changes to `store`, until `stop` and everything is written.
    pub async fn keep(&self, store: Box<dyn Store>, telemetry: Telemetry, stop: CancellationToken) {
        self.journal.keep(store, telemetry, stop).await;
    }

    /// The ban of `address`, if it is banned.
    #[must_use]
    pub fn banned(&self, address: IpAddr, now: Timestamp) -> Option<Arc<Banned>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.sheet().find(address, now).cloned()
    }

    /// Waits until every ban so far is durable, or the store has failed.
    pub async fn settled(&self) {
        let now = self.journal.latest();
        if !self.journal.is_settled(now) {
            self.journal.settled(now).await;
        }
    }

    /// Remembers that the request `id` was turned away because of the ban of `net`.
    pub fn turned_away(&self, id: u64, net: IpNet) {
        let mut turned_away = locked(&self.turned_away);
        turned_away.put(id, net);
        if turned_away.len() > TURNED_AWAY {
            turned_away.pop_lru();
        }
    }

    /// The ban that the request `id` was turned away by, or that it was a part of.
    #[must_use]
    pub fn by_request(&self, id: u64) -> Option<Arc<Banned>> {
        let net = locked(&self.turned_away).peek(&id).copied();
        let sheet = self.sheet();
        let by_id = net.and_then(|net| sheet.get(net));
        let told = || sheet.iter().find(|it| it.ban.notes.iter().any(|note| note.request == id));
        by_id.or_else(told).cloned()
    }

    /// Holds an offence against a client, and bans it if that is one too many.
    pub fn note(&self, client: Client, ipv6_prefix: u8, note: Note, bans: &Bans) -> Noted {
        let net = net_of(client, ipv6_prefix);
        let shared = self.has_session(client.key);
        let mut offenders = locked(&self.offenders);
        let JailVerdict { counted, ban } = offenders.note(client.key, note, bans, shared);
        let (ban, would) = match ban {
            Some(ban) if ban.dry_run => (None, Some(ban)),
            ban => (ban, None),
        };
        let Some(ban) = ban else { return Noted { counted, bans: Vec::new(), would } };
        let mut past = offenders.past(client.key).cloned().unwrap_or_default();
        past.add(ban.since);
        let gone = offenders.remember(client.key, past.clone());
        drop(offenders);
        let mut bans = vec![Banned { net, ban, by_hand: None }];
        bans.extend(self.site(&bans));
        let forgotten = gone.map(|client| Change::Past(client, None));
        let changes = [Change::Past(client.key, Some(past))].into_iter().chain(forgotten);
        Noted { counted, bans: self.put(bans, changes), would }
    }

    /// The ban of a whole site, once so many of its networks are banned.
    fn site(&self, bans: &[Banned]) -> Option<Banned> {
        let first = bans.first()?;
        // The ban itself is not on the sheet yet.
        let site = Bans::site(first.net, |site| self.sheet().within(site) + 1)?;
        Some(Banned { net: site, ..first.clone() })
    }

    /// Bans by hand, or on somebody's list.
    pub fn add(&self, bans: Vec<Banned>) -> Vec<Arc<Banned>> {
        self.put(bans, [])
    }

    fn put(&self, bans: Vec<Banned>, others: impl IntoIterator<Item = Change>) -> Vec<Arc<Banned>> {
        let mut sheet = self.sheet_mut();
        let mut changes: Vec<Change> = others.into_iter().collect();
        for banned in &bans {
            if let Some(gone) = sheet.insert(banned.clone()) {
                changes.push(Change::Ban(gone.net, None));
            }
            changes.push(Change::Ban(banned.net, Some(banned.clone())));
        }
        // Posted while the sheet is held: whoever sees the ban finds it taken down.
        self.journal.post(changes);
        self.any.store(sheet.len() > 0, Ordering::Release);
        bans.into_iter().map(Arc::new).collect()
    }

    /// Lifts the bans of `nets`, and forgets what was held against them.
    pub fn lift(&self, nets: &[IpNet]) -> Vec<Arc<Banned>> {
        let mut sheet = self.sheet_mut();
        let lifted: Vec<_> = nets.iter().filter_map(|net| sheet.remove(*net)).collect();
        let mut changes: Vec<_> = lifted.iter().map(|it| Change::Ban(it.net, None)).collect();
        let mut offenders = locked(&self.offenders);
        for net in nets {
            if offenders.forget(net.addr()) {
                changes.push(Change::Past(net.addr(), None));
            }
        }
        self.journal.post(changes);
        self.any.store(sheet.len() > 0, Ordering::Release);
        lifted
    }

    /// Every ban, the one that ends last first.
    #[must_use]
    pub fn bans(&self) -> Vec<Arc<Banned>> {
        self.sheet().iter().rev().cloned().collect()
    }

    /// How many bans each jail holds.
    #[must_use]
    pub fn in_jails(&self) -> Vec<(Jail, usize)> {
        let sheet = self.sheet();
        let count = |jail| sheet.iter().filter(|it| it.ban.jail == jail).count();
        Jail::all().map(|jail| (jail, count(jail))).collect()
    }

    /// What is held against `client` without a ban, oldest first.
    #[must_use]
    pub fn held(&self, client: IpAddr) -> Vec<(Jail, Note)> {
        let offenders = locked(&self.offenders);
        let notes = offenders.record(client).map(|it| it.notes().map(|(jail, note)| (jail, *note)));
        notes.into_iter().flatten().collect()
    }

    /// Takes down that somebody has signed in, and forgives the client its failures on the account.
    pub fn signed_in(&self, client: Client, account: Option<Account>, at: Timestamp) {
        locked(&self.offenders).succeeded(client.key, account.map(|it| it.0));
        let (visitor, gone) = self.known_mut().signed_in(client, account, at);
        let gone = gone.map(|client| Change::Visitor(client, None));
        self.journal.post([Change::Visitor(client.key, Some(visitor))].into_iter().chain(gone));
    }

    /// Forgives a client its failures on an account, or with a key.
    pub fn forgive(&self, client: IpAddr, account: Option<u64>) {
        locked(&self.offenders).succeeded(client, account);
    }

    /// Whether `client` has signed in lately: to `account`, or to any if none is given.
    #[must_use]
    pub fn knows(&self, client: IpAddr, account: Option<Account>, now: Timestamp) -> bool {
        self.known().knows(client, account, now)
    }

    /// Takes down that n8n has just taken a session of `client`'s for good.
    pub fn session(&self, client: IpAddr) {
        if !self.has_session(client) {
            self.known_mut().session(client);
        }
    }

    /// Whether n8n has lately taken a session of `client`'s for good.
    #[must_use]
    pub fn has_session(&self, client: IpAddr) -> bool {
        self.known().has_session(client)
    }

    /// Counts a password of `account` that was shown without its second factor: how often it was,
    /// within an hour each and without a success since.
    #[must_use]
    pub fn leaked(&self, account: u64) -> u32 {
        self.known_mut().leaked(account)
    }

    /// From where people have signed in since `then`.
    #[must_use]
    pub fn signed_in_since(&self, then: Timestamp) -> Vec<IpAddr> {
        self.known().since(then)
    }

    /// Forgets what has ended.
    pub fn sweep(&self, now: Timestamp) -> Swept {
        let mut sheet = self.sheet_mut();
        let ended = sheet.expire(now);
        self.any.store(sheet.len() > 0, Ordering::Release);
        drop(sheet);
        let mut changes: Vec<_> = ended.iter().map(|it| Change::Ban(it.net, None)).collect();
        let mut offenders = locked(&self.offenders);
        let old = offenders
            .reformed(|past| past.began.back().is_none_or(|last| now.since(*last) > FORGOTTEN));
        for client in old {
            offenders.forget(client);
            changes.push(Change::Past(client, None));
        }
        drop(offenders);
        let gone = self.known_mut().expire(now);
        changes.extend(gone.into_iter().map(|client| Change::Visitor(client, None)));
        if !changes.is_empty() {
            self.journal.post(changes);
        }
        Swept { ended }
    }

    /// How many clients and how many offences are held.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        locked(&self.offenders).sizes()
    }
}

#[cfg(test)]
mod tests;

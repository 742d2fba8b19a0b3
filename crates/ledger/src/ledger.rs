//! Everything that is remembered of clients, and how it is asked for.
//!
//! Locks are taken in this order: offenders, sheet, known, sessions, inventory, keys, replays, windows,
//! journal.

mod keeping;
mod keys;
mod people;
mod sessions;
mod webhooks;
mod windows;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    fmt,
    hash::RandomState,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gateway_policy::{Ban, Bans, Client, Count, Jail, Note, Offender, Timestamp, Window, site_of};
use ipnet::IpNet;
use lru::LruCache;
use tokio::{sync::watch, time::Instant};

use crate::{
    Banned, Change, Key,
    inventory::Inventory,
    journal::Journal,
    keys::Keys,
    known::Known,
    offenders::{NOTES, OFFENDERS, Offenders},
    replays::Replays,
    sessions::Sessions,
    sheet::Sheet,
};

/// Of how many banned clients requests are remembered by their ids, and how many of each.
const TURNED_AWAY: usize = 2_000;
const IDS: usize = 64;

/// How long a client's bans are held against it after the last one has ended.
const FORGOTTEN: Duration = Duration::from_hours(30 * 24);

/// A clock that goes back by less than this is only being corrected.
const STEADY: Duration = Duration::from_secs(60);

/// What is remembered of clients.
pub struct Ledger {
    key: Key,
    sheet: RwLock<Sheet>,
    /// Whether anybody is banned at all: on most days nobody is, and nothing is locked.
    any: AtomicBool,
    offenders: Mutex<Offenders>,
    known: RwLock<Known>,
    sessions: RwLock<Sessions>,
    turned_away: Mutex<LruCache<IpNet, VecDeque<u64>, RandomState>>,
    /// When it was swept last, by both clocks.
    swept: Mutex<Option<(Timestamp, Instant)>>,
    inventory: Mutex<Inventory>,
    keys: Mutex<Keys>,
    replays: Mutex<Replays>,
    windows: Mutex<BTreeMap<u64, Window>>,
    journal: Journal,
    /// Whether another process has the store.
    lent: watch::Sender<bool>,
}

/// What followed from an offence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Each jail that counted it.
    pub counted: Vec<Count>,
    /// The bans that it brought: of the client, and of the site it walks through.
    pub bans: Vec<Arc<Banned>>,
    /// A ban that would have been, in a dry run.
    pub would: Option<Ban>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The network that counts as one client: an address, or an IPv6 prefix of `ipv6_prefix` bits.
#[must_use]
pub fn net_of(client: Client, ipv6_prefix: u8) -> IpNet {
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
            sessions: RwLock::default(),
            turned_away: Mutex::new(LruCache::unbounded_with_hasher(RandomState::new())),
            swept: Mutex::default(),
            inventory: Mutex::default(),
            keys: Mutex::default(),
            replays: Mutex::default(),
            windows: Mutex::default(),
            journal: Journal::default(),
            lent: watch::Sender::new(false),
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

    fn sessions(&self) -> RwLockReadGuard<'_, Sessions> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gateway's secret.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The ban of `address`, if it is banned.
    #[must_use]
    pub fn banned(&self, address: IpAddr, now: Timestamp) -> Option<Arc<Banned>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.sheet().find(address, now)
    }

    /// Every ban of `address`, its own and those of networks that it is in.
    #[must_use]
    pub fn covering(&self, address: IpAddr, now: Timestamp) -> Vec<Arc<Banned>> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.sheet().covering(address, now).collect()
    }

    /// Waits until everything so far is durable, and tells whether it is: a store that fails, or
    /// does not answer, keeps nobody waiting.
    pub async fn settled(&self) -> bool {
        self.journal.settled().await
    }

    /// Remembers that the request `id` was turned away because of the ban of `net`. Somebody who
    /// asks again and again does not make others' requests forgotten.
    pub fn turned_away(&self, id: u64, net: IpNet) {
        let mut turned_away = locked(&self.turned_away);
        let ids = turned_away.get_or_insert_mut(net, VecDeque::new);
        ids.push_back(id);
        if ids.len() > IDS {
            ids.pop_front();
        }
        if turned_away.len() > TURNED_AWAY {
            turned_away.pop_lru();
        }
    }

    /// The ban that the request `id` was turned away by, or that it was a part of.
    #[must_use]
    pub fn by_request(&self, id: u64) -> Option<Arc<Banned>> {
        let turned_away = locked(&self.turned_away);
        let net = turned_away.iter().find(|(_, ids)| ids.contains(&id)).map(|(net, _)| *net);
        drop(turned_away);
        let sheet = self.sheet();
        let by_id = net.and_then(|net| sheet.get(net));
        by_id.or_else(|| sheet.told(id))
    }

    /// Holds an offence against a client, and against its site, and bans whom that is one too many
    /// of. Requests that were under way when their client was banned are held against nobody.
    pub fn note(&self, client: Client, ipv6_prefix: u8, note: Note, bans: &Bans) -> Noted {
        let net = net_of(client, ipv6_prefix);
        let workplace = self.has_session(client.key);
        let whose = if workplace { Offender::Workplace } else { Offender::Client };
        let mut offenders = locked(&self.offenders);
        if self.sheet().until(net).is_some_and(|until| until > note.at) {
            return Noted::default();
        }
        let own = offenders.note(net, note, bans, whose);
        let of_site = |site| (site, offenders.note(site, note, bans, Offender::Site).ban);
        let site = site_of(net).map(of_site);
        let mut noted = Noted { counted: own.counted, ..Noted::default() };
        let (mut made, mut changes) = (Vec::new(), Vec::new());
        for (net, ban) in [Some((net, own.ban)), site].into_iter().flatten() {
            let Some(ban) = ban else { continue };
            if ban.dry_run {
                noted.would = Some(ban);
                continue;
            }
            let mut past = offenders.past(net).cloned().unwrap_or_default();
            past.add(ban.since, ban.until);
            let gone = offenders.remember(net, past.clone());
            changes.push(Change::Past(net, Some(past)));
            changes.extend(gone.map(|net| Change::Past(net, None)));
            made.push(Banned { net, ban, by_hand: None });
        }
        // The offenders are held until it is taken down: nobody's older past may follow a newer.
        noted.bans = self.put(made, changes);
        noted
    }

    /// Bans by hand, or on somebody's list, in place of what was there.
    pub fn add(&self, bans: Vec<Banned>) -> Vec<Arc<Banned>> {
        self.put(bans, Vec::new())
    }

    fn put(&self, bans: Vec<Banned>, mut changes: Vec<Change>) -> Vec<Arc<Banned>> {
        if bans.is_empty() {
            return Vec::new();
        }
        let mut sheet = self.sheet_mut();
        for banned in &bans {
            if let Some(gone) = sheet.insert(banned.clone()) {
                changes.push(Change::Ban(gone, None));
            }
            changes.push(Change::Ban(banned.net, Some(banned.clone())));
        }
        // Taken down while the sheet is held: whoever sees the ban finds it there.
        self.journal.post(changes);
        self.any.store(sheet.len() > 0, Ordering::Release);
        bans.into_iter().map(Arc::new).collect()
    }

    /// Lifts the bans of `nets`, and forgets what was held against them.
    pub fn lift(&self, nets: &[IpNet]) -> Vec<Arc<Banned>> {
        let mut offenders = locked(&self.offenders);
        let mut sheet = self.sheet_mut();
        let lifted: Vec<_> = nets.iter().filter_map(|net| sheet.remove(*net)).collect();
        let mut changes: Vec<_> = lifted.iter().map(|it| Change::Ban(it.net, None)).collect();
        let pasts = nets.iter().filter(|net| offenders.forget(**net));
        changes.extend(pasts.map(|net| Change::Past(*net, None)));
        self.journal.post(changes);
        self.any.store(sheet.len() > 0, Ordering::Release);
        drop((offenders, sheet));
        let mut turned_away = locked(&self.turned_away);
        for banned in &lifted {
            turned_away.pop(&banned.net);
        }
        lifted
    }

    /// Every ban, the one that ends last first. Each is looked up when it is asked for: a million of
    /// them at once would take more than the ledger does.
    pub fn bans(&self) -> impl Iterator<Item = Arc<Banned>> {
        let mut ends: Vec<_> = self.sheet().ends().collect();
        ends.sort_unstable_by_key(|end| Reverse(*end));
        ends.into_iter().filter_map(|(_, net)| self.sheet().get(net))
    }

    /// The bans that end last, at most so many of them.
    #[must_use]
    pub fn last_bans(&self, most: usize) -> Vec<Arc<Banned>> {
        let mut ends: Vec<_> = self.sheet().ends().collect();
        if ends.len() > most {
            ends.select_nth_unstable_by_key(most, |end| Reverse(*end));
            ends.truncate(most);
        }
        ends.sort_unstable_by_key(|end| Reverse(*end));
        ends.into_iter().filter_map(|(_, net)| self.sheet().get(net)).collect()
    }

    /// How many bans each jail holds.
    #[must_use]
    pub fn in_jails(&self) -> Vec<(Jail, usize)> {
        self.sheet().in_jails()
    }

    /// What is held against `client` without a ban, oldest first.
    #[must_use]
    pub fn held(&self, client: Client, ipv6_prefix: u8) -> Vec<(Jail, Note)> {
        let offenders = locked(&self.offenders);
        let record = offenders.record(net_of(client, ipv6_prefix));
        let notes = record.map(|it| it.notes().map(|(jail, note)| (jail, *note)));
        notes.into_iter().flatten().collect()
    }

    /// Lifts the bans that have ended. If the clock was set, everything moves with it.
    pub fn sweep(&self, now: Timestamp) -> Vec<Arc<Banned>> {
        self.follow(now);
        let mut sheet = self.sheet_mut();
        let ended = sheet.expire(now);
        self.journal.post(ended.iter().map(|it| Change::Ban(it.net, None)));
        self.any.store(sheet.len() > 0, Ordering::Release);
        drop(sheet);
        let mut turned_away = locked(&self.turned_away);
        for banned in &ended {
            turned_away.pop(&banned.net);
        }
        ended
    }

    /// Follows a clock that was set, back or forth, as far as it did not go by itself.
    fn follow(&self, now: Timestamp) {
        let mut last = locked(&self.swept);
        let before = last.replace((now, Instant::now()));
        let Some((wall, steady)) = before else { return };
        let expected = wall + steady.elapsed();
        let step = now.0.saturating_sub(expected.0);
        if step.unsigned_abs() <= STEADY.as_secs() {
            return;
        }
        let mut offenders = locked(&self.offenders);
        let mut sheet = self.sheet_mut();
        let mut known = self.known_mut();
        sheet.rebase(step);
        offenders.rebase(step);
        known.rebase(step);
        drop((offenders, sheet, known));
        self.journal.post(self.everything());
    }

    /// Forgets whose bans are long over, and who has not signed in for long.
    pub fn tidy(&self, now: Timestamp) {
        let mut offenders = locked(&self.offenders);
        let old = offenders.reformed(|past| now.since(past.ends) > FORGOTTEN);
        let changes = old.into_iter().map(|net| {
            offenders.forget(net);
            Change::Past(net, None)
        });
        let changes: Vec<_> = changes.collect();
        if !changes.is_empty() {
            self.journal.post(changes);
        }
        drop(offenders);
        let mut known = self.known_mut();
        let gone: Vec<_> =
            known.expire(now).into_iter().map(|it| Change::Visitor(it, None)).collect();
        if !gone.is_empty() {
            self.journal.post(gone);
        }
        drop(known);
        self.expire_messages(now);
        self.post_webhooks();
        self.post_api_keys();
    }

    /// How many clients and how many offences are held.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        locked(&self.offenders).sizes()
    }
}

#[cfg(test)]
mod tests;

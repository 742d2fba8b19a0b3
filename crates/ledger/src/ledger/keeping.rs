//! What outlives the process: read at the start, written as it changes.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering};

use gateway_policy::Timestamp;
use gateway_telemetry::{StateRecovered, StateWriteFailed, Telemetry};
use ipnet::IpNet;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Ledger, locked};
use crate::{Banned, Change, Store, StoreError, journal::RETRY, sheet::Sheet};

/// Takes over a ban; gives back one that is to be forgotten.
fn restore_ban(sheet: &mut Sheet, net: IpNet, mut banned: Banned, now: Timestamp) -> Option<IpNet> {
    let ahead = banned.ban.since.since(now);
    banned.ban.since = banned.ban.since - ahead;
    banned.ban.until = banned.ban.until - ahead;
    if banned.ban.until <= now {
        Some(net)
    } else if sheet.until(net).is_none() {
        sheet.insert(banned)
    } else {
        None
    }
}

impl Ledger {
    /// Takes over what a store kept, unless something newer is there. What has ended since then is
    /// forgotten by the store as well; what began after `now`, by a clock that was ahead, begins
    /// now.
    pub fn restore(&self, changes: Vec<Change>, now: Timestamp) {
        let mut gone = Vec::new();
        let is_session = |it: &Change| matches!(it, Change::Session(..) | Change::Ended(..));
        let (of_sessions, changes): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_session);
        let mut offenders = locked(&self.offenders);
        let (mut sheet, mut known) = (self.sheet_mut(), self.known_mut());
        let (mut inventory, mut keys) = (locked(&self.inventory), locked(&self.keys));
        for change in changes {
            match change {
                Change::Ban(net, Some(banned)) => {
                    let lost = restore_ban(&mut sheet, net, banned, now);
                    gone.extend(lost.map(|it| Change::Ban(it, None)));
                }
                Change::Past(net, Some(mut past)) => {
                    past.began.iter_mut().for_each(|at| *at = now.min(*at));
                    if offenders.past(net).is_none() {
                        let lost = offenders.remember(net, past);
                        gone.extend(lost.map(|it| Change::Past(it, None)));
                    }
                }
                Change::Visitor(client, Some(mut visitor)) if !known.has(client) => {
                    visitor.at = now.min(visitor.at);
                    let lost = known.restore(client, visitor);
                    gone.extend(lost.map(|it| Change::Visitor(it, None)));
                }
                Change::Webhook(path, Some(webhook)) => inventory.restore(path, webhook),
                Change::Person(user, Some(person)) => {
                    gone.extend(known.persons.restore(user, person));
                }
                Change::ApiKey(key, Some(it)) => keys.restore(key, it),
                Change::Message(message, Some(until)) if until > now => {
                    let lost = locked(&self.replays).restore(message, until);
                    gone.extend(lost.map(|it| Change::Message(it, None)));
                }
                Change::Window(id, Some(window)) if window.until > now => {
                    locked(&self.windows).entry(id).or_insert(window);
                }
                Change::Window(id, Some(_)) => gone.push(Change::Window(id, None)),
                Change::Message(message, Some(_)) => gone.push(Change::Message(message, None)),
                Change::Person(_, None)
                | Change::ApiKey(_, None)
                | Change::Ban(_, None)
                | Change::Past(_, None)
                | Change::Visitor(..)
                | Change::Webhook(_, None)
                | Change::Message(_, None)
                | Change::Window(_, None)
                | Change::Session(..)
                | Change::Ended(..) => {}
            }
        }
        self.any.store(sheet.len() > 0, Ordering::Release);
        drop((offenders, sheet, known, inventory, keys));
        if !gone.is_empty() {
            self.journal.post(gone);
        }
        self.restore_sessions(of_sessions, now);
    }

    fn restore_sessions(&self, changes: Vec<Change>, now: Timestamp) {
        let mut gone = Vec::new();
        for change in changes {
            if let Change::Session(_, Some(sitting)) = &change
                && let Some(account) = sitting.account
            {
                self.is_user(&sitting.user, account);
            }
            let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
            gone.extend(sessions.restore(change, now));
        }
        if !gone.is_empty() {
            self.journal.post(gone);
        }
    }

    /// Reads what `store` kept.
    ///
    /// # Errors
    ///
    /// A store that cannot be read; the ledger is as it was.
    pub fn load(&self, store: &mut dyn Store, now: Timestamp) -> Result<(), StoreError> {
        self.restore(store.load()?, now);
        Ok(())
    }

    /// Writes what changes to `store`, until `stop` and everything is written. One that could not
    /// be `loaded` is read first, again and again, and `restored` is called when it was.
    pub async fn keep(
        &self,
        store: Box<dyn Store>,
        loaded: bool,
        now: impl Fn() -> Timestamp,
        restored: impl Fn(),
        telemetry: Telemetry,
        stop: CancellationToken,
    ) {
        let store = Arc::new(Mutex::new(store));
        let mut loaded = loaded;
        self.journal.set_failing(!loaded);
        while !loaded {
            tokio::select! {
                () = sleep(RETRY) => {}
                () = stop.cancelled() => return,
            }
            match read(&store).await {
                Ok(changes) => {
                    self.restore(changes, now());
                    restored();
                    telemetry.say(&StateRecovered {});
                    loaded = true;
                }
                Err(why) => {
                    telemetry.say(&StateWriteFailed { error: why.to_string(), first: false });
                }
            }
        }
        self.journal.set_failing(false);
        self.journal.keep(&store, &telemetry, &stop, || self.everything()).await;
        // Nobody waits for what nobody writes.
        self.journal.set_failing(true);
    }

    /// Says whether another process has the store, or is to have it as soon as what was taken down
    /// so far is written.
    pub fn lend(&self, lent: bool) {
        self.lent.send_replace(lent);
        if !lent {
            // Somebody writes again, as soon as it is their turn.
            self.journal.set_failing(false);
        }
    }

    /// Whether another process has the store, and what becomes of that.
    #[must_use]
    pub fn lent(&self) -> watch::Receiver<bool> {
        self.lent.subscribe()
    }

    /// All that a store should keep.
    pub(super) fn everything(&self) -> Vec<Change> {
        let offenders = locked(&self.offenders);
        let (sheet, known) = (self.sheet(), self.known());
        let bans = sheet.iter().map(|it| Change::Ban(it.net, Some(Arc::unwrap_or_clone(it))));
        let pasts = offenders.pasts().map(|(net, past)| Change::Past(net, Some(past.clone())));
        let visitors = known.visitors();
        let visitors = visitors.map(|(client, it)| Change::Visitor(client, Some(it.clone())));
        let sessions = self.sessions();
        let sittings = sessions.iter().map(|(token, it)| Change::Session(token, Some(it.clone())));
        let ended = sessions.ended().map(|(it, until)| Change::Ended(it.clone(), Some(until)));
        let inventory = locked(&self.inventory);
        let webhooks = inventory.iter();
        let webhooks = webhooks.map(|(path, it)| Change::Webhook(path.clone(), Some(it.clone())));
        let persons = known.persons.iter();
        let persons = persons.map(|(user, it)| Change::Person(user.clone(), Some(it.clone())));
        let keys = locked(&self.keys);
        let keys = keys.iter().map(|(key, it)| Change::ApiKey(key, Some(it.clone())));
        let people = persons.chain(keys);
        let replays = locked(&self.replays);
        let messages = replays.taken();
        let messages = messages.map(|(it, until)| Change::Message(it.clone(), Some(until)));
        let windows = self.kept_windows();
        let windows = windows.into_iter().map(|it| Change::Window(it.id, Some(it)));
        let of_clients = bans.chain(pasts).chain(visitors).chain(sittings).chain(ended);
        of_clients.chain(people).chain(webhooks).chain(messages).chain(windows).collect()
    }
}

async fn read(store: &Arc<Mutex<Box<dyn Store>>>) -> Result<Vec<Change>, StoreError> {
    let store = Arc::clone(store);
    let read = move || locked(&store).load();
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|bug| Err(StoreError::new(bug)))
}

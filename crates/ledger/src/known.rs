//! Who has signed in lately, and from where: strangers are slowed down when somebody guesses,
//! these are not.

use std::{hash::RandomState, net::IpAddr, time::Duration};

use gateway_policy::{Client, Timestamp};
use lru::LruCache;
use tokio::time::Instant;

use crate::{Account, persons::Persons};

/// How many clients are remembered at the most.
pub(crate) const CLIENTS: usize = 10_000;

/// How long a client is remembered for having signed in.
pub const LATELY: Duration = Duration::from_hours(30 * 24);

/// How many accounts of one client are remembered.
const ACCOUNTS: usize = 16;

/// How long n8n's last word on a client's session counts.
const SESSION: Duration = Duration::from_hours(1);

/// How long a webhook that was taken tells of its sender.
const SENDS: Duration = Duration::from_hours(24);

/// A client that has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The address it had then.
    pub address: IpAddr,
    /// When it did last.
    pub at: Timestamp,
    /// To which accounts, the last one first.
    pub accounts: Vec<Account>,
}

#[derive(Debug)]
pub(crate) struct Known {
    visitors: LruCache<IpAddr, Visitor, RandomState>,
    sessions: LruCache<IpAddr, Instant, RandomState>,
    /// Who sends webhooks that n8n takes.
    senders: LruCache<IpAddr, Instant, RandomState>,
    /// How often each account's password was shown without its second factor, and when last.
    leaks: LruCache<u64, (u32, Instant), RandomState>,
    /// n8n's users.
    pub(crate) persons: Persons,
}

impl Default for Known {
    fn default() -> Self {
        let visitors = LruCache::unbounded_with_hasher(RandomState::new());
        let sessions = LruCache::unbounded_with_hasher(RandomState::new());
        let senders = LruCache::unbounded_with_hasher(RandomState::new());
        Self {
            visitors,
            sessions,
            senders,
            leaks: LruCache::unbounded_with_hasher(RandomState::new()),
            persons: Persons::default(),
        }
    }
}

impl Known {
    /// Takes down that `client` has signed in to `account`; gives back who had to be forgotten.
    pub(crate) fn signed_in(
        &mut self,
        client: Client,
        account: Option<Account>,
        at: Timestamp,
    ) -> (Visitor, Option<IpAddr>) {
        let mut accounts: Vec<Account> = account.into_iter().collect();
        for account in &accounts {
            self.leaks.pop(&account.0);
        }
        if let Some(before) = self.visitors.pop(&client.key) {
            accounts.extend(before.accounts.into_iter().filter(|it| Some(*it) != account));
            accounts.truncate(ACCOUNTS);
        }
        let visitor = Visitor { address: client.address, at, accounts };
        let gone = self.restore(client.key, visitor.clone());
        self.session(client.key);
        (visitor, gone)
    }

    pub(crate) fn restore(&mut self, client: IpAddr, visitor: Visitor) -> Option<IpAddr> {
        self.visitors.put(client, visitor);
        let full = self.visitors.len() > CLIENTS;
        if full { self.visitors.pop_lru().map(|(client, _)| client) } else { None }
    }

    /// Whether `client` has signed in lately: to `account`, or to any if none is given.
    pub(crate) fn knows(&self, client: IpAddr, account: Option<Account>, now: Timestamp) -> bool {
        self.visitors.peek(&client).is_some_and(|it| {
            now.since(it.at) < LATELY
                && account.is_none_or(|account| it.accounts.contains(&account))
        })
    }

    /// Takes down that n8n has just taken a session of `client`'s for good.
    pub(crate) fn session(&mut self, client: IpAddr) {
        self.sessions.put(client, Instant::now());
        if self.sessions.len() > CLIENTS {
            self.sessions.pop_lru();
        }
    }

    /// Takes down that a webhook of `client`'s was taken.
    pub(crate) fn sends(&mut self, client: IpAddr) {
        self.senders.put(client, Instant::now());
        if self.senders.len() > CLIENTS {
            self.senders.pop_lru();
        }
    }

    pub(crate) fn is_sender(&self, client: IpAddr) -> bool {
        self.senders.peek(&client).is_some_and(|at| at.elapsed() < SENDS)
    }

    /// Moves every visit by so many seconds, with a clock that was set.
    pub(crate) fn rebase(&mut self, step: i64) {
        for (_, visitor) in &mut self.visitors {
            visitor.at = visitor.at.moved(step);
        }
    }

    pub(crate) fn has(&self, client: IpAddr) -> bool {
        self.visitors.contains(&client)
    }

    /// Everybody who has signed in, the one who did longest ago first.
    pub(crate) fn visitors(&self) -> impl Iterator<Item = (IpAddr, &Visitor)> {
        self.visitors.iter().rev().map(|(client, visitor)| (*client, visitor))
    }

    pub(crate) fn has_session(&self, client: IpAddr) -> bool {
        self.sessions.peek(&client).is_some_and(|at| at.elapsed() < SESSION)
    }

    /// Counts a password that was shown without its second factor.
    pub(crate) fn leaked(&mut self, account: u64) -> u32 {
        let before = self.leaks.pop(&account).filter(|(_, at)| at.elapsed() < SESSION);
        let count = before.map_or(0, |(count, _)| count).saturating_add(1);
        self.leaks.put(account, (count, Instant::now()));
        if self.leaks.len() > CLIENTS {
            self.leaks.pop_lru();
        }
        count
    }

    /// Who has signed in since `then`.
    pub(crate) fn since(&self, then: Timestamp) -> Vec<IpAddr> {
        let lately = self.visitors.iter().filter(|(_, it)| it.at >= then);
        lately.map(|(_, it)| it.address).collect()
    }

    /// Forgets who has not signed in for long.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<IpAddr> {
        let old = self.visitors.iter().filter(|(_, it)| now.since(it.at) >= LATELY);
        let old: Vec<IpAddr> = old.map(|(client, _)| *client).collect();
        for client in &old {
            self.visitors.pop(client);
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    fn client(n: u16) -> Client {
        let [a, b] = n.to_be_bytes();
        let address = IpAddr::from([10, 0, a, b]);
        Client { address, key: address }
    }

    #[tokio::test]
    async fn a_client_is_known_for_its_own_accounts_and_for_a_month() {
        pause();
        let mut known = Known::default();
        let (a, b, now) = (Account(1), Account(2), Timestamp(0));
        known.signed_in(client(1), Some(a), now);
        assert!(known.knows(client(1).key, Some(a), now) && known.knows(client(1).key, None, now));
        assert!(
            !known.knows(client(1).key, Some(b), now) && !known.knows(client(2).key, None, now)
        );
        known.signed_in(client(1), Some(b), now + Duration::from_secs(5));
        assert!(
            known.knows(client(1).key, Some(a), now) && known.knows(client(1).key, Some(b), now)
        );
        assert_eq!(known.since(Timestamp(5)), [client(1).address]);
        assert!(known.since(Timestamp(6)).is_empty());
        assert!(!known.knows(client(1).key, Some(a), now + LATELY + Duration::from_secs(5)));
        assert_eq!(known.expire(now + LATELY + Duration::from_secs(5)), [client(1).key]);
        assert!(known.has_session(client(1).key));
        advance(SESSION).await;
        assert!(!known.has_session(client(1).key));
    }

    #[tokio::test]
    async fn many_accounts_and_many_clients_stay_within_bounds() {
        let mut known = Known::default();
        for account in 0..100 {
            known.signed_in(client(0), Some(Account(account)), Timestamp(0));
        }
        let visitor = known.visitors.peek(&client(0).key).unwrap();
        assert_eq!((visitor.accounts.len(), visitor.accounts[0]), (ACCOUNTS, Account(99)));
        let gone = (0..20_000).filter_map(|n| known.signed_in(client(n), None, Timestamp(1)).1);
        assert_eq!(gone.count(), 20_000 - CLIENTS);
        assert!(known.visitors.len() == CLIENTS && known.sessions.len() == CLIENTS);
    }
}

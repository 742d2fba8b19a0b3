//! Who has signed in, and who sends what somebody asked for.

use std::net::IpAddr;

use gateway_policy::{Client, Timestamp, site_of};

use super::{Ledger, locked, net_of};
use crate::{Account, Change};

impl Ledger {
    /// Takes down that somebody has signed in, and forgives the client its failures on the account.
    pub fn signed_in(
        &self,
        client: Client,
        ipv6_prefix: u8,
        account: Option<Account>,
        at: Timestamp,
    ) {
        self.forgive(client, ipv6_prefix, account);
        let mut known = self.known_mut();
        let (visitor, gone) = known.signed_in(client, account, at);
        let gone = gone.map(|client| Change::Visitor(client, None));
        self.journal.post([Change::Visitor(client.key, Some(visitor))].into_iter().chain(gone));
    }

    /// Forgives a client its failures on an account.
    pub fn forgive(&self, client: Client, ipv6_prefix: u8, account: Option<Account>) {
        let net = net_of(client, ipv6_prefix);
        let mut offenders = locked(&self.offenders);
        for net in [Some(net), site_of(net)].into_iter().flatten() {
            offenders.succeeded(net, account.map(|it| it.0));
        }
    }

    /// Whether `client` has signed in lately: to `account`, or to any if none is given.
    #[must_use]
    pub fn knows(&self, client: IpAddr, account: Option<Account>, now: Timestamp) -> bool {
        self.known().knows(client, account, now)
    }

    /// Takes down that n8n has just taken a session of `client`'s for good: somebody works there.
    pub fn session(&self, client: Client, at: Timestamp) {
        if self.has_session(client.key) {
            return;
        }
        let mut known = self.known_mut();
        let (visitor, gone) = known.signed_in(client, None, at);
        let gone = gone.map(|client| Change::Visitor(client, None));
        self.journal.post([Change::Visitor(client.key, Some(visitor))].into_iter().chain(gone));
    }

    /// Takes down that a webhook of `client`'s was taken: it sends what somebody asked for.
    pub fn sends(&self, client: IpAddr) {
        if !self.is_sender(client) {
            self.known_mut().sends(client);
        }
    }

    /// Whether a webhook of `client`'s was taken lately.
    #[must_use]
    pub fn is_sender(&self, client: IpAddr) -> bool {
        self.known().is_sender(client)
    }

    /// Takes down that n8n calls the holder of `account` `user`, by its own id.
    pub fn is_user(&self, user: &str, account: Account) {
        let mut known = self.known_mut();
        let changes = known.persons.is_user(user, account);
        if !changes.is_empty() {
            self.journal.post(changes);
        }
    }

    /// The account that n8n's `user` has last signed in with.
    #[must_use]
    pub fn account_of(&self, user: &str) -> Option<Account> {
        self.known().persons.get(user)?.account
    }

    /// Takes down that n8n's `user` has signed in, in `place` if that is known; tells where they have
    /// signed in lately, the last place first.
    pub fn at_home(&self, user: &str, place: Option<&str>, at: Timestamp) -> Vec<String> {
        let mut known = self.known_mut();
        if let Some(place) = place {
            self.journal.post(known.persons.signed_in(user, place, at));
        }
        known.persons.homes(user, at)
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
}

//! n8n's sessions, as they pass: since when, from where, and whether the operator has ended them.

use std::net::IpAddr;

use gateway_ledger::{Account, Ended, Sitting};
use gateway_n8n::Claims;
use gateway_policy::{Client, History, NewNetwork, Policy, Timestamp};
use gateway_proxy::{Case, Recalled};
use gateway_telemetry::{SessionMoved, SessionsEnded};
use ipnet::IpNet;

use super::Guard;

/// How wide a network is by which places are told apart, if nothing better is known.
const V4: u8 = 24;
const V6: u8 = 48;

impl Guard {
    /// The network that a client is in; nothing where everybody has one address.
    fn place(&self, client: Client, policy: &Policy) -> Option<String> {
        if !self.tells_clients_apart(client, policy) {
            return None;
        }
        let named = policy.accounts.whereabouts.as_ref().and_then(|it| it.of(client.address));
        let net = |address: IpAddr| {
            let length = if address.is_ipv4() { V4 } else { V6 };
            IpNet::new(address, length)
                .map_or_else(|_| address.to_string(), |it| it.trunc().to_string())
        };
        Some(named.unwrap_or_else(|| net(client.address)))
    }

    pub(super) fn recalled(
        &self,
        token: u64,
        claims: &Claims,
        client: Client,
        policy: &Policy,
    ) -> Recalled {
        let ledger = &self.0.ledger;
        let revoked = ledger.is_ended(token, &claims.user, Timestamp(claims.issued));
        let history = ledger.sitting(token).map(|sitting| {
            let place = self.place(client, policy);
            let known = |place: &String| sitting.places.contains(place);
            let elsewhere = !sitting.places.is_empty() && place.is_some_and(|it| !known(&it));
            History { began: sitting.began, seen: sitting.seen, elsewhere }
        });
        Recalled { revoked, history }
    }

    /// Takes down that n8n has answered a session; that it `took` it for good if nobody else would
    /// have been answered.
    pub(super) fn session_used(
        &self,
        token: u64,
        claims: &Claims,
        took: bool,
        case: &Case,
        policy: &Policy,
    ) {
        let (now, place) = (self.now(), self.place(case.client, policy));
        let ledger = &self.0.ledger;
        if ledger.sitting(token).is_none() {
            if took {
                let began = now.min(Timestamp(claims.issued));
                self.session_begins(token, claims, began, None, case.client, policy);
            }
            return;
        }
        let before = ledger.used(token, case.client.address, place.as_deref(), now);
        let told = policy.accounts.sessions.is_some_and(|it| it.new_network != NewNetwork::Allow);
        if let (Some(from), Some(to), true) = (before, place, told) {
            self.0.telemetry.say(&SessionMoved {
                request_id: format!("{:016x}", case.request),
                client: case.client.address,
                user: claims.user.clone(),
                from,
                to,
            });
        }
    }

    /// Takes down a session that n8n gives: to somebody who signs in, or in place of the one
    /// `before`.
    pub(super) fn session_given(
        &self,
        token: u64,
        claims: &Claims,
        before: Option<u64>,
        case: &Case,
        policy: &Policy,
    ) {
        let before = before.and_then(|token| self.0.ledger.sitting(token));
        match before.filter(|it| it.user == claims.user) {
            Some(before) => {
                let ends = Timestamp(claims.ends);
                self.0.ledger.begins(token, Sitting { ends, seen: self.now(), ..before });
            }
            None => {
                let account = case.account.map(Account);
                self.session_begins(token, claims, self.now(), account, case.client, policy);
            }
        }
    }

    fn session_begins(
        &self,
        token: u64,
        claims: &Claims,
        began: Timestamp,
        account: Option<Account>,
        client: Client,
        policy: &Policy,
    ) {
        let known = || self.0.ledger.account_of(&claims.user);
        let sitting = Sitting {
            user: claims.user.clone(),
            account: account.or_else(known),
            line: token,
            began,
            seen: self.now(),
            ends: Timestamp(claims.ends),
            address: client.address,
            places: self.place(client, policy).into_iter().collect(),
        };
        self.0.ledger.begins(token, sitting);
    }

    /// Ends sessions at the operator's word: whoever holds one has to sign in again. Tells how many of
    /// those that are known.
    #[must_use]
    pub fn end_sessions(&self, which: &Ended, by: &str, why: &str) -> usize {
        let count = self.0.ledger.end_sessions(which, self.now());
        let (by, why) = (by.to_owned(), why.to_owned());
        self.0.telemetry.say(&SessionsEnded { sessions: count, by, why });
        // Tunnels look whether they still may be.
        self.0.changed.send_modify(|changes| *changes += 1);
        count
    }
}

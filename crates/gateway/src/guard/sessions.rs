//! n8n's sessions, as they pass: since when, from where, and whether the operator has ended them.

use std::net::IpAddr;

use gateway_ledger::{Account, Ended, Sitting, Trail};
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
    pub(super) fn place(&self, client: Client, policy: &Policy) -> Option<String> {
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
            let elsewhere = sitting.trail.is_elsewhere(self.place(client, policy).as_deref());
            History { began: sitting.began, seen: sitting.trail.seen, elsewhere }
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
                let places = place.into_iter().collect();
                self.session_begins(token, claims, began, None, case.client, places);
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
    /// `before`. Of one that is not remembered, its cookie says when it began at the latest.
    pub(super) fn session_given(
        &self,
        token: u64,
        claims: &Claims,
        before: Option<(u64, &Claims)>,
        case: &Case,
        policy: &Policy,
    ) {
        let (now, ledger) = (self.now(), &self.0.ledger);
        let place = self.place(case.client, policy);
        let Some((before, said)) = before.filter(|(_, said)| said.user == claims.user) else {
            // Whoever signs in is at home here, and where they have signed in lately: one person's IPv4
            // and IPv6 are two places.
            let at_home = |place: &str| ledger.at_home(&claims.user, Some(place), now);
            let places = place.as_deref().map(at_home).unwrap_or_default();
            let account = case.account.map(Account);
            self.session_begins(token, claims, now, account, case.client, places);
            return;
        };
        if let Some(before) = ledger.sitting(before) {
            let trail = Trail { seen: now, ..before.trail };
            ledger.begins(token, Sitting { ends: Timestamp(claims.ends), trail, ..before });
        } else {
            let (began, places) = (now.min(Timestamp(said.issued)), place.into_iter().collect());
            self.session_begins(token, claims, began, None, case.client, places);
        }
    }

    fn session_begins(
        &self,
        token: u64,
        claims: &Claims,
        began: Timestamp,
        account: Option<Account>,
        client: Client,
        places: Vec<String>,
    ) {
        let known = || self.0.ledger.account_of(&claims.user);
        let sitting = Sitting {
            user: claims.user.clone(),
            account: account.or_else(known),
            line: token,
            began,
            ends: Timestamp(claims.ends),
            trail: Trail::new(client.address, places, self.now()),
        };
        self.0.ledger.begins(token, sitting);
    }

    /// Ends sessions at the operator's word: whoever holds one has to sign in again. How many
    /// there were.
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

//! The guard, as the layers ask it.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use gateway_ledger::{Account, Call, Full, Limits, Presence};
use gateway_n8n::{Attempt, Claims, Outcome, Surface};
use gateway_policy::{
    Arrival, Bans, Client, Count, Fingerprint, History, Limit, Mode, Offence, Policy, Pressure,
    Reason, ShownKey, Timestamp, Weighed, Windows,
};
use gateway_proxy::{AtOnce, Called, Case, Message, Recalled, Rules, Warden, Whose};
use gateway_telemetry::{PasswordLeaked, SignInFailed, SignInSucceeded, WouldRefuse};
use http::HeaderValue;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{Guard, passwords::Scales};

impl Guard {
    /// Whether somebody has signed in with this device.
    pub(super) fn is_device(&self, cookie: &HeaderValue) -> bool {
        let accounts = |cookie: &str| self.0.ledger.key().device(cookie, self.now());
        cookie.to_str().is_ok_and(|cookie| !accounts(cookie).is_empty())
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
            known: case.known.is_some(),
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
            known: case.known.is_some(),
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
    type Place = Presence;

    fn turns_away(&self, case: &Case, path: &str, rules: &Rules) -> Option<BoxFuture<'static, ()>> {
        let (address, policy) = (case.client.address, &rules.policy);
        if let Some(banned) = self.keeps_out(address, policy) {
            if self.spares_sender(&banned, case.client.key) && policy.is_webhook(path) {
                return None;
            }
            self.0.ledger.turned_away(case.request, banned.net);
            let guard = self.clone();
            return Some(Box::pin(async move { guard.durable(&banned).await }));
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
        None
    }

    fn admit(
        &self,
        client: Client,
        device: impl Fn() -> Option<HeaderValue>,
        rules: &Rules,
    ) -> Result<Presence, Reason> {
        let standing = || self.standing(client, device().as_ref(), &rules.policy);
        let pressure = self.load().pressure();
        if pressure != Pressure::Low && !pressure.admits(standing()) {
            return Err(Reason::Overloaded);
        }
        let AtOnce { total, per_client } = rules.requests;
        let entered =
            self.load().requests.enter(client.key, Limits { total, per_client }, standing);
        entered.map_err(|full| match full {
            Full::Total => Reason::Overloaded,
            Full::Client => Reason::TooManyAtOnce,
        })
    }

    fn charge(&self, limit: &Limit, whose: Whose<'_>) -> Result<(), Duration> {
        let wide = match whose {
            Whose::Client(client) => self.0.ledger.has_session(client),
            Whose::Known(..) => true,
            Whose::Account(_) | Whose::Path(_) | Whose::Key(_) | Whose::All => false,
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
    ) -> Option<u64> {
        let (now, account) = (self.now(), account.map(Account));
        let key = self.0.ledger.key();
        let by_device = |cookie: &str| {
            let accounts = key.device(cookie, now);
            let vouches = accounts.iter().any(|it| account.is_none_or(|account| *it == account));
            vouches.then(|| key.device_tag(cookie))
        };
        let network = rules.policy.bans.never(client.address).is_some()
            || (self.tells_clients_apart(client, &rules.policy)
                && self.0.ledger.knows(client.key, account, now));
        if network {
            return Some(key.account(&client.key.to_string()).0);
        }
        device.and_then(|it| it.to_str().ok()).and_then(by_device)
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
        if let Some(offence) = Offence::of(outcome, case.known.is_some()) {
            self.failed(case, attempt, offence, rules);
        }
        None
    }

    fn has_session(&self, client: Client, rules: &Rules) {
        if self.tells_clients_apart(client, &rules.policy) {
            self.0.ledger.session(client, self.now());
        }
    }

    fn weigh(
        &self,
        password: Zeroizing<String>,
        hints: Vec<Zeroizing<String>>,
    ) -> BoxFuture<'static, Weighed> {
        let leaked = self.0.leaked.read().unwrap_or_else(PoisonError::into_inner).clone();
        Scales { leaked, telemetry: self.0.telemetry.clone() }.weigh(password, hints)
    }

    fn session(&self, token: &[u8]) -> u64 {
        // No account is called like this: there are no spaces in one.
        let name = format!("session {}", String::from_utf8_lossy(token));
        self.0.ledger.key().account(&name).0
    }

    fn recalls(&self, token: u64, claims: &Claims, client: Client, rules: &Rules) -> Recalled {
        self.recalled(token, claims, client, &rules.policy)
    }

    fn session_used(&self, token: u64, claims: &Claims, took: bool, case: &Case, rules: &Rules) {
        Self::session_used(self, token, claims, took, case, &rules.policy);
    }

    fn session_given(
        &self,
        token: u64,
        claims: &Claims,
        before: Option<(u64, &Claims)>,
        case: &Case,
        rules: &Rules,
    ) {
        Self::session_given(self, token, claims, before, case, &rules.policy);
    }

    fn is_user(&self, user: &str, account: u64) {
        self.0.ledger.is_user(user, Account(account));
    }

    fn is_excused(&self, user: &str) -> bool {
        let account = self.0.ledger.account_of(user);
        let excused = self.0.excused.read().unwrap_or_else(PoisonError::into_inner);
        account.is_some_and(|account| excused.contains(&account.0))
    }

    fn fingerprint(&self, key: &[u8]) -> Fingerprint {
        Self::fingerprint(key)
    }

    fn recalls_key(&self, key: Fingerprint, client: Client, rules: &Rules) -> Option<History> {
        self.recalled_key(key, client, &rules.policy)
    }

    fn key_used(&self, key: &ShownKey, took: bool, case: &Case, rules: &Rules) {
        Self::key_used(self, key, took, case, &rules.policy);
    }

    fn key_refused(&self, key: &ShownKey, case: &Case, rules: &Rules) {
        self.key_moved(key, case, &rules.policy);
    }

    fn has_account(&self, user: &str, account: u64) -> bool {
        self.0.ledger.account_of(user) == Some(Account(account))
    }

    fn bans(&self) -> watch::Receiver<u64> {
        self.changes()
    }

    fn sends(&self, client: Client) {
        self.0.ledger.sends(client.key);
    }

    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    fn windows(&self) -> watch::Receiver<Arc<Windows>> {
        self.0.windows.subscribe()
    }

    fn arrives(&self, message: &Message) -> Arrival {
        self.0.ledger.arrives(message.clone(), self.now())
    }

    fn took(&self, message: &Message, once: Duration) {
        self.0.ledger.took(message.clone(), self.now() + once);
    }

    fn not_taken(&self, message: &Message) {
        self.0.ledger.not_taken(message);
    }

    fn called(&self, call: &Called<'_>) {
        let Called { root, tail, method, status, client, signed } = *call;
        let call = Call { root, tail, method, status, from: client.address, signed };
        self.0.ledger.called(&call, self.now());
    }
}

//! What the layers ask of whatever remembers clients, and tell it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gateway_n8n::{Attempt, Claims, Outcome, Surface};
use gateway_policy::{
    Arrival, Client, Fingerprint, History, Limit, Offence, Reason, ShownKey, Timestamp, Weighed,
    Windows,
};
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::Rules;

/// What is known of a request, for whoever remembers its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The request's id.
    pub request: u64,
    /// Who asks.
    pub client: Client,
    /// The surface, if one was found.
    pub surface: Option<Surface>,
    /// What it tries to prove.
    pub attempt: Option<Attempt>,
    /// The account or the key that it names, as a keyed hash.
    pub account: Option<u64>,
    /// What vouches for it, as a number, if the client or its device has signed in to the account
    /// before.
    pub known: Option<u64>,
}

/// A signed message: the path of its webhook's line in the policy, and its fingerprint.
pub type Message = (Arc<str>, [u8; 16]);

/// A webhook's call that n8n has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called<'c> {
    /// The segment of its surface, in lower case, with slashes at both ends.
    pub root: &'c str,
    /// What follows it, as n8n looks it up.
    pub tail: &'c str,
    /// The method.
    pub method: &'c Method,
    /// n8n's answer.
    pub status: StatusCode,
    /// Who called.
    pub client: Client,
    /// Whether it showed what the policy asks for.
    pub signed: bool,
}

/// Whose budget is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'w> {
    /// A client's, by its key.
    Client(IpAddr),
    /// An account's, as a keyed hash.
    Account(u64),
    /// That of somebody who is known at an account, or at any, by what vouches for them.
    Known(Option<u64>, u64),
    /// A path's.
    Path(&'w str),
    /// An API key's.
    Key(Fingerprint),
    /// Everybody's.
    All,
}

/// What is remembered of a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recalled {
    /// Whether the operator has ended it.
    pub revoked: bool,
    /// Since when it is, and when it was used last.
    pub history: Option<History>,
}

/// Whoever remembers clients.
pub trait Warden: Clone + Send + Sync + 'static {
    /// A request's place among those that are answered.
    type Place: Send + Sync + 'static;

    /// Whether the client is banned from `path`; what it gives then ends when the ban is durable.
    fn turns_away(&self, case: &Case, path: &str, rules: &Rules) -> Option<BoxFuture<'static, ()>>;

    /// Gives one more request of the client's a place for as long as it lasts. The device's cookie
    /// is asked for only when there are few places left.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn admit(
        &self,
        client: Client,
        device: impl Fn() -> Option<HeaderValue>,
        rules: &Rules,
    ) -> Result<Self::Place, Reason>;

    /// Charges one request to a limit's budget.
    ///
    /// # Errors
    ///
    /// How long to wait, if there is nothing left of it.
    fn charge(&self, limit: &Limit, whose: Whose<'_>) -> Result<(), Duration>;

    /// An account's name, or a key, as a keyed hash.
    fn account(&self, name: &str) -> u64;

    /// What vouches for it, as a number, if the client or its device, by the device's cookie, has
    /// signed in before: to `account`, or to any if none is given.
    fn knows(
        &self,
        client: Client,
        device: Option<&HeaderValue>,
        account: Option<u64>,
        rules: &Rules,
    ) -> Option<u64>;

    /// Holds an offence against the client.
    fn offended(&self, case: &Case, offence: Offence, rules: &Rules);

    /// Takes down what n8n made of an attempt; gives the value of a new cookie for a device that
    /// has signed in, which was known by `device` before.
    fn attempted(
        &self,
        case: &Case,
        outcome: Outcome,
        device: Option<&HeaderValue>,
        rules: &Rules,
    ) -> Option<HeaderValue>;

    /// Takes down that n8n took a session of the client's for good.
    fn has_session(&self, client: Client, rules: &Rules);

    /// Weighs a new password whose owner is called as `hints` say.
    fn weigh(
        &self,
        password: Zeroizing<String>,
        hints: Vec<Zeroizing<String>>,
    ) -> BoxFuture<'static, Weighed>;

    /// A session's cookie as a keyed hash.
    fn session(&self, token: &[u8]) -> u64;

    /// What is remembered of a session that `client` shows.
    fn recalls(&self, token: u64, claims: &Claims, client: Client, rules: &Rules) -> Recalled;

    /// Takes down that n8n has answered a session; that it `took` it for good if nobody else would
    /// have been answered.
    fn session_used(&self, token: u64, claims: &Claims, took: bool, case: &Case, rules: &Rules);

    /// Takes down a session that n8n gives: to somebody who signs in, or in place of the one
    /// `before`, with what that one says.
    fn session_given(
        &self,
        token: u64,
        claims: &Claims,
        before: Option<(u64, &Claims)>,
        case: &Case,
        rules: &Rules,
    );

    /// Takes down that n8n calls the holder of `account` `user`, by its own id.
    fn is_user(&self, user: &str, account: u64);

    /// Whether the address that n8n's `user` has last signed in with is excused from a second
    /// factor.
    fn is_excused(&self, user: &str) -> bool;

    /// What an API key is called by.
    fn fingerprint(&self, key: &[u8]) -> Fingerprint;

    /// What is remembered of an API key that `client` shows, if n8n has taken it before.
    fn recalls_key(&self, key: Fingerprint, client: Client, rules: &Rules) -> Option<History>;

    /// Takes down that n8n has answered somebody with an API key, and whether that shows that it `took`
    /// it.
    fn key_used(&self, key: &ShownKey, took: bool, case: &Case, rules: &Rules);

    /// Says that an API key was refused because of where it is used.
    fn key_refused(&self, key: &ShownKey, case: &Case, rules: &Rules);

    /// Whether n8n's `user` has last signed in with `account`.
    fn has_account(&self, user: &str, account: u64) -> bool;

    /// How often bans have changed, now and later.
    fn bans(&self) -> watch::Receiver<u64>;

    /// Takes down that n8n took a webhook of the client's.
    fn sends(&self, client: Client);

    /// The time.
    fn now(&self) -> Timestamp;

    /// Who is let in for a time, now and later.
    fn windows(&self) -> watch::Receiver<Arc<Windows>>;

    /// Takes down that a signed message is under way to n8n, unless it is or was taken before. One of
    /// `took` and `not_taken` follows.
    fn arrives(&self, message: &Message) -> Arrival;

    /// Remembers for so long that n8n took a signed message.
    fn took(&self, message: &Message, once: Duration);

    /// Forgets a signed message that n8n did not take, or has not answered.
    fn not_taken(&self, message: &Message);

    /// Takes down that n8n has answered the call of a webhook.
    fn called(&self, call: &Called<'_>);
}

//! How an authority misbehaves.

use std::{collections::BTreeMap, time::Duration};

/// All that can go wrong; nothing does at first. Whatever does not exclude each other combines.
#[derive(Clone, Debug)]
pub struct Mischief {
    /// What happens to every request.
    pub everywhere: Option<Trouble>,
    /// What happens to requests to one endpoint, whatever happens elsewhere.
    pub at: BTreeMap<Endpoint, Trouble>,
    /// Which nonces are taken.
    pub nonces: Nonces,
    /// New orders are refused with 429, and this `Retry-After`.
    pub rate_limited: Option<Duration>,
    /// Challenges are lost for this kind of problem and detail, and the validator is not asked.
    pub fails_authorizations: Option<(&'static str, &'static str)>,
    /// Orders stay `pending`, even when all their challenges are won.
    pub pending_for_ever: bool,
    /// A challenge takes this long to be looked at and stays `pending` meanwhile, as Let's Encrypt's
    /// do; a client that says again that it is ready makes another look.
    pub looks_for: Option<Duration>,
    /// How long an order stays `processing` after it was finalized.
    pub processing: Duration,
    /// The `Retry-After` when an order is looked at.
    pub retry_after: Option<Duration>,
    /// What is wrong with the certificates.
    pub certificate: Option<Wrong>,
    /// Every request for signing is refused with `badCSR`.
    pub bad_csr: bool,
    /// The directory does not offer renewal information.
    pub no_renewal_info: bool,
    /// The `Retry-After` of renewal information: six hours unless told.
    pub renewal_retry_after: Option<Duration>,
}

impl Default for Mischief {
    fn default() -> Self {
        Self {
            everywhere: None,
            at: BTreeMap::new(),
            nonces: Nonces::Good,
            rate_limited: None,
            fails_authorizations: None,
            pending_for_ever: false,
            looks_for: None,
            processing: Duration::ZERO,
            retry_after: None,
            certificate: None,
            bad_csr: false,
            no_renewal_info: false,
            renewal_retry_after: Some(Duration::from_secs(6 * 3600)),
        }
    }
}

impl Mischief {
    pub(super) fn trouble_at(&self, endpoint: Endpoint) -> Option<Trouble> {
        self.at.get(&endpoint).copied().or(self.everywhere)
    }
}

/// What happens to a request instead of its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The connection is refused.
    Down,
    /// The answer is 200 and bytes that mean nothing.
    Garbage,
    /// There is never an answer.
    Hangs,
    /// The request is done as it should be, but the connection breaks before the answer.
    Lost,
    /// The answer has this status and a page of HTML.
    Status(u16),
}

/// A part of the authority, by the first segment of its path.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Endpoint {
    /// `/account/<n>`
    Account,
    /// `/authorization/<n>`
    Authorization,
    /// `/certificate/<n>`
    Certificate,
    /// `/challenge/<authorization>/<kind>`
    Challenge,
    /// `/directory`
    Directory,
    /// `/finalize/<order>`
    Finalize,
    /// `/new-account`
    NewAccount,
    /// `/new-nonce`
    NewNonce,
    /// `/new-order`
    NewOrder,
    /// `/order/<n>`
    Order,
    /// `/renewal-info/<certificate>`
    RenewalInfo,
    /// `/revoke`
    Revoke,
    /// Anything else.
    Unknown,
}

impl Endpoint {
    pub(super) fn of(path: &str) -> Self {
        match path.split('/').nth(1).unwrap_or_default() {
            "account" => Self::Account,
            "authorization" => Self::Authorization,
            "certificate" => Self::Certificate,
            "challenge" => Self::Challenge,
            "directory" => Self::Directory,
            "finalize" => Self::Finalize,
            "new-account" => Self::NewAccount,
            "new-nonce" => Self::NewNonce,
            "new-order" => Self::NewOrder,
            "order" => Self::Order,
            "renewal-info" => Self::RenewalInfo,
            "revoke" => Self::Revoke,
            _ => Self::Unknown,
        }
    }
}

/// Which nonces are taken. A client tries a request three times in all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Nonces {
    /// Every good one.
    #[default]
    Good,
    /// Every second one is called bad.
    EverySecond,
    /// So many more are called bad.
    Rejected(u32),
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wrong {
    /// The file is empty.
    Empty,
    /// It ended an hour ago.
    Expired,
    /// The file is no PEM.
    Garbage,
    /// It is for `wrong.test`.
    Host,
    /// It is for a key that nobody has.
    Key,
    /// The intermediate is missing.
    LeafOnly,
}

/// Begin and end of the time in which renewal is suggested, in seconds since 1970.
pub type Window = (i64, i64);

/// Windows to suggest, each from the two dates of a certificate.
pub mod window {
    use super::Window;

    /// After two thirds of the lifetime, for a twenty-fourth of it.
    #[must_use]
    pub fn usual(not_before: i64, not_after: i64) -> Window {
        let lifetime = not_after.saturating_sub(not_before);
        let start = not_after.saturating_sub(lifetime / 3);
        (start, start.saturating_add(lifetime / 24))
    }

    /// Over since before the certificate began: renew at once.
    #[must_use]
    pub fn past(not_before: i64, _: i64) -> Window {
        (not_before.saturating_sub(2 * 86_400), not_before.saturating_sub(86_400))
    }

    /// Too late: after the certificate has ended.
    #[must_use]
    pub fn after_the_end(_: i64, not_after: i64) -> Window {
        (not_after.saturating_add(86_400), not_after.saturating_add(2 * 86_400))
    }

    /// Ends before it begins, which RFC 9773 tells clients to refuse.
    #[must_use]
    pub fn backwards(not_before: i64, not_after: i64) -> Window {
        let (start, end) = usual(not_before, not_after);
        (end, start)
    }
}

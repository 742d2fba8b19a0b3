//! What an authority saw, with the times, so that a test can hold it against an authority's limits.

use std::time::Duration;

use rustls_pki_types::CertificateDer;

/// All that an authority saw. Times are the clock's, in seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Requests of any kind, those in vain too.
    pub requests: usize,
    /// Answers with the directory.
    pub directories: usize,
    /// When accounts were made.
    pub accounts: Vec<i64>,
    /// Orders that were taken.
    pub orders: Vec<SeenOrder>,
    /// When orders were refused for a limit.
    pub limited: Vec<i64>,
    /// Challenges that were looked at, as they ended.
    pub validations: Vec<SeenValidation>,
    /// Certificates that were made.
    pub certificates: Vec<SeenCertificate>,
    /// When clients revoked certificates.
    pub revocations: Vec<i64>,
    /// When renewal information was asked for.
    pub renewal_infos: Vec<i64>,
}

/// An order that was taken.
#[derive(Clone, Debug)]
pub struct SeenOrder {
    /// When.
    pub at: i64,
    /// The account's URL.
    pub account: String,
    /// Names and addresses as they were asked for.
    pub identifiers: Vec<String>,
    /// The profile that was asked for.
    pub profile: Option<String>,
    /// The certificate that it replaces, as RFC 9773 writes it.
    pub replaces: Option<String>,
}

/// A challenge that was looked at.
#[derive(Clone, Debug)]
pub struct SeenValidation {
    /// When it ended.
    pub at: i64,
    /// `http-01`, `tls-alpn-01` or `dns-01`.
    pub challenge: &'static str,
    /// The name or address.
    pub identifier: String,
    /// The kind of problem for which it was lost.
    pub failed: Option<&'static str>,
}

/// A certificate that was made.
#[derive(Clone, Debug)]
pub struct SeenCertificate {
    /// When.
    pub at: i64,
    /// Names and addresses of the order.
    pub identifiers: Vec<String>,
    /// Its name in renewal information, as RFC 9773 writes it.
    pub id: String,
    /// The leaf.
    pub leaf: CertificateDer<'static>,
}

impl Seen {
    /// When orders with this identifier were taken.
    #[must_use]
    pub fn orders_of(&self, identifier: &str) -> Vec<i64> {
        let with = |it: &&SeenOrder| it.identifiers.iter().any(|it| it == identifier);
        self.orders.iter().filter(with).map(|it| it.at).collect()
    }

    /// When challenges for this identifier were lost.
    #[must_use]
    pub fn failures_of(&self, identifier: &str) -> Vec<i64> {
        let lost = |it: &&SeenValidation| it.identifier == identifier && it.failed.is_some();
        self.validations.iter().filter(lost).map(|it| it.at).collect()
    }

    /// How many challenges of this kind were looked at.
    #[must_use]
    pub fn validations_by(&self, challenge: &str) -> usize {
        self.validations.iter().filter(|it| it.challenge == challenge).count()
    }

    /// The certificates that orders replaced, in their order.
    #[must_use]
    pub fn replaces(&self) -> Vec<&str> {
        self.orders.iter().filter_map(|it| it.replaces.as_deref()).collect()
    }
}

/// How many of the times fall at most into one stretch of this length. They may be in any order.
#[must_use]
pub fn most_within(times: &[i64], stretch: Duration) -> usize {
    let stretch = stretch.as_secs().try_into().unwrap_or(i64::MAX);
    let from = |start: i64| {
        let end = start.saturating_add(stretch);
        times.iter().filter(|&&it| it >= start && it < end).count()
    };
    times.iter().map(|&start| from(start)).max().unwrap_or(0)
}

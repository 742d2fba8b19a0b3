//! Who decides whether a challenge is won.

use std::{future::Future, pin::Pin};

/// One challenge to be looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ask {
    /// `http-01`, `tls-alpn-01` or `dns-01`.
    pub challenge: &'static str,
    /// The name or address, without a wildcard's `*.`.
    pub identifier: String,
    /// The challenge's token.
    pub token: String,
    /// The token with the thumbprint of the account's key: what an honest client shows.
    pub key_authorization: String,
}

/// Won, or the kind of problem (such as `connection` or `unauthorized`) and its detail.
pub type Verdict = Result<(), (&'static str, String)>;

/// Looks at challenges as an authority's own probes would.
pub trait Validate: Send + Sync {
    /// Looks at one challenge. Meanwhile the challenge stands at `processing`.
    fn validate(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Verdict> + Send>>;
}

/// Every challenge is won.
pub(super) struct AcceptAll;

impl Validate for AcceptAll {
    fn validate(&self, _: Ask) -> Pin<Box<dyn Future<Output = Verdict> + Send>> {
        Box::pin(async { Ok(()) })
    }
}

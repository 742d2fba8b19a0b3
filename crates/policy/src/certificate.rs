//! Certificates that clients show, and the authorities that vouch for them.

use std::{fmt, sync::Arc};

/// What tells one authority from another: a hash of its certificates, whatever file they stand in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityId(Arc<str>);

impl AuthorityId {
    /// The id that `hash` is.
    #[must_use]
    pub fn new(hash: &str) -> Self {
        Self(hash.into())
    }
}

/// An authority whose certificates a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAuthority {
    /// What tells it from others.
    pub id: AuthorityId,
    /// Its file, as the policy names it.
    pub file: String,
}

/// A certificate that a client has shown, and whose key it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whom it is for. Only as true as whoever vouches for it.
    pub subject: String,
    /// The authorities of the policy that it is good for; none for a stranger's own.
    pub vouched_by: Vec<AuthorityId>,
}

/// What a client shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown<'c> {
    /// No certificate.
    #[default]
    Nothing,
    /// This one.
    Certificate(&'c ClientCertificate),
    /// A certificate of whichever authority is asked for: what somebody supposes who wants to have
    /// a decision explained.
    Fitting,
}

impl Shown<'_> {
    /// Whether it is a certificate of `authority`.
    #[must_use]
    pub fn is_of(self, authority: &CertificateAuthority) -> bool {
        match self {
            Self::Nothing => false,
            Self::Certificate(certificate) => certificate.vouched_by.contains(&authority.id),
            Self::Fitting => true,
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no certificate"),
            Self::Certificate(ClientCertificate { subject, .. }) => {
                write!(f, "a certificate for {subject}")
            }
            Self::Fitting => f.write_str("a certificate of the authority that is asked for"),
        }
    }
}

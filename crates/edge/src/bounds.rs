//! How long and how large what strangers send may be.

use std::time::Duration;

use gateway_policy::Pace;

/// The bounds of one listener's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a PROXY header may take, and how long a TLS handshake.
    pub handshake: Duration,
    /// How long the head of a request may take, from its first byte to its last one.
    pub head: Duration,
    /// How long a connection may be open on which nothing is asked.
    pub idle: Duration,
    /// How slowly a client may take its answers.
    pub pace: Pace,
    /// How large a head may be.
    pub size: HeadSize,
    /// Whether the peer brings many clients' requests on one connection.
    pub shared: bool,
}

/// How long a proxy may keep a connection on which nothing is asked: it is the one to close it, or a
/// request could be on its way when we do.
const KEPT_BY_PROXIES: Duration = Duration::from_mins(15);

impl Bounds {
    /// The same for a peer that brings many clients' requests.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { shared: true, idle: self.idle.max(KEPT_BY_PROXIES), ..self }
    }
}

/// How large the head of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSize {
    /// In bytes, an empty line before it included.
    pub bytes: usize,
    /// Its fields.
    pub fields: usize,
    /// Its target, in bytes (RFC 9112 3 asks for 8000 at least).
    pub target: usize,
}

impl Default for HeadSize {
    fn default() -> Self {
        Self { bytes: 32 * 1024, fields: 100, target: 8 * 1024 }
    }
}

//! What the mechanism is told.

mod acme;
mod audit;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use gateway_policy::{AuthorityId, Quota};
use gateway_signatures::Proof;
use rustls_pki_types::CertificateDer;
use serde::Serialize;

pub use acme::{
    Acme, Challenge, Directory, Dns, Eab, KeyType, Publisher, Rfc2136, TsigAlgorithm, TsigKey,
};

pub use audit::{Audit, BackupSource};

use crate::{Hardening, Secret};

/// Everything of a policy that is not a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// How to be believed.
    pub tls: Tls,
    /// The authorities of the certificates that clients are asked for; none if they are not asked.
    pub client_cas: Vec<ClientCa>,
    /// Where n8n is.
    pub n8n: N8n,
    /// How many connections at once.
    pub connections: Connections,
    /// How many requests at once.
    pub requests: Requests,
    /// How much memory the gateway may use, in bytes; nothing for a part of what there is.
    pub memory: Option<u64>,
    /// How large the head of a request may be.
    pub head: HeadSize,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// The least that a client sends of a body or takes of an answer in the long run, in bytes a
    /// second; 0 if only stops count.
    pub min_rate: u64,
    /// What is looked at of n8n's own installation; nothing if the gateway does not look by itself.
    pub audit: Option<Audit>,
    /// Where state is kept.
    pub state: PathBuf,
    /// What is written down, and how.
    pub log: Log,
    /// The list of passwords that have leaked, if new ones are looked up.
    pub leaked_passwords: Option<PathBuf>,
    /// What senders of webhooks have to show, as the policy numbers it.
    pub proofs: Vec<Proof>,
    /// Whether nftables is told of bans.
    pub nftables: bool,
    /// How far the process gives up what it does not need. A change needs a restart.
    pub hardening: Hardening,
}

/// Where to listen. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// For HTTPS.
    pub https: Vec<SocketAddr>,
    /// For redirects to HTTPS.
    pub http: Vec<SocketAddr>,
    /// For the operator.
    pub admin: Admin,
    /// Whether trusted peers begin with a PROXY protocol header.
    pub proxy_protocol: bool,
}

/// The operator's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// A Unix socket, for its owner and group alone.
    Unix(PathBuf),
    /// A TCP socket; beyond loopback only with a token.
    Tcp(SocketAddr, Option<Secret>),
}

/// Certificates and versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where the certificate comes from.
    pub certificate: Certificate,
    /// The lowest version that is spoken.
    pub min_version: TlsVersion,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Certification authorities, for each host one of its own.
    Acme(Acme),
    /// PEM files, looked at again when they change.
    Files {
        /// The certificate and its intermediates.
        chain: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// A certification authority of this machine's own, for development.
    SelfSigned,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2, with AEAD suites only.
    Tls12,
    /// 1.3.
    Tls13,
}

/// An authority of clients' certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCa {
    /// What the policy calls it.
    pub id: AuthorityId,
    /// Its certificates; a client's may be of any of them.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Where n8n is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct N8n {
    /// The main process.
    pub main: Backend,
    /// The webhook processors of queue mode; none otherwise.
    pub webhooks: Vec<Backend>,
    /// The path that tells whether n8n is ready.
    pub readiness: String,
    /// The path at which it tells strangers about itself.
    pub settings: String,
}

/// A process of n8n.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// How many connections at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// In all.
    pub total: usize,
    /// Of one client.
    pub per_client: usize,
    /// How many TLS handshakes may be under way.
    pub handshakes: usize,
    /// How often one may be made in all; nothing for as often as anybody likes.
    pub rate: Option<Quota>,
    /// How often one client may make one; nothing for as often as it likes.
    pub rate_per_client: Option<Quota>,
}

/// How many requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// In all.
    pub total: usize,
    /// Of one client.
    pub per_client: usize,
}

/// How large the head of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSize {
    /// In bytes, 8 KiB to 1 MiB.
    pub bytes: usize,
    /// Its fields, 10 to 1000.
    pub fields: usize,
    /// Its target, in bytes, 1 KiB to `bytes`.
    pub target: usize,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a PROXY header, and for a TLS handshake.
    pub handshake: Duration,
    /// For the head of a request, from its first byte to its last one.
    pub head: Duration,
    /// For a request on a connection on which nothing is asked.
    pub idle: Duration,
    /// For the whole of a short exchange's answer to begin.
    pub answer: Duration,
    /// For the next bytes of a request's body, and for a client that does not take its answer.
    pub body: Duration,
    /// For the next bytes of a stream, or for an execution's answer to begin.
    pub stream: Duration,
    /// For the next bytes of a WebSocket, either way.
    pub tunnel: Duration,
    /// For a WebSocket's client to say something before it is asked to, and then to answer.
    pub ping: Duration,
    /// For what still runs when the gateway stops.
    pub drain: Duration,
}

/// What is written down, and how. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least that is worth a line.
    pub level: LogLevel,
    /// Where bans and offences are told in fail2ban's own words.
    pub fail2ban: Option<PathBuf>,
    /// The collector that gets every line as well; nothing if nothing is sent anywhere.
    pub otlp: Option<Otlp>,
}

/// An OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The URL that log records are posted to.
    pub url: http::Uri,
    /// What each request shows besides, as it goes into its head.
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// The authority of its certificate, file and PEM; nothing for whom this machine trusts.
    pub ca: Option<(PathBuf, Vec<u8>)>,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// For a person.
    Text,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Faults alone.
    Error,
    /// And what somebody should look at.
    Warn,
    /// And what happens every day, access records among it.
    Info,
    /// And what a developer asks.
    Debug,
}

impl Settings {
    /// What differs from `other` and cannot change while the gateway runs.
    #[must_use]
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("listen", self.listen != other.listen),
            ("state.dir", self.state != other.state),
            ("log", self.log != other.log),
            ("bans.nftables", self.nftables != other.nftables),
            ("hardening", self.hardening != other.hardening),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

//! The policy file as it is written. Strict and private: [`crate::load`] makes of it what cannot
//! be wrong. Field comments become the JSON Schema that editors show.

mod accounts;
mod acme;
mod attacks;
mod audit;
mod bans;
mod grants;
mod log;
mod webhooks;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess};

pub(crate) use accounts::{
    Accounts, ApiKey, ApiKeys, NewNetwork, Password, SecondFactor, Sessions,
};
pub(crate) use acme::{
    Acme, Challenge, Described, Directory, Dns, Eab, KeyType, Rfc2136, TsigAlgorithm,
};
pub(crate) use attacks::{AttackMode, Attacks, OwnAttack, Presence, Test, TextTest};
pub(crate) use audit::{Audit, Backup, Level as AuditLevel};
pub(crate) use bans::{Bans, Increment, Jail, Limit, Per, Switch};
pub(crate) use grants::{ClientCertificate, Grant};
pub(crate) use log::{Log, LogFormat, LogLevel, Otlp};
pub(crate) use webhooks::{Algorithm, Encoding, Hmac, Signature, Webhook};

use crate::{
    Hardening, Secret,
    at::{At, Keyed, OneOrMany, Shape, Shaped, by_shape, the_value},
    text::{AdminAddress, BackendUrl, HostName, ListenAddress, Rate, Size, Span},
};

/// The policy of an n8n-gateway.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "n8n-gateway policy")]
pub(crate) struct Policy {
    /// The version of this file's form: 1.
    #[schemars(required, range(min = 1, max = 1))]
    pub(crate) version: Option<At<u64>>,
    /// The hosts under which n8n is reached.
    #[schemars(required)]
    pub(crate) site: Option<At<Site>>,
    /// Where the gateway listens.
    pub(crate) listen: Option<At<Listen>>,
    /// Its certificate.
    #[schemars(required)]
    pub(crate) tls: Option<At<Tls>>,
    /// Where n8n is and how it is set up.
    pub(crate) n8n: Option<At<N8n>>,
    /// How clients are told apart.
    pub(crate) clients: Option<At<Clients>>,
    /// Names for addresses.
    pub(crate) networks: Option<At<Keyed<Network>>>,
    /// Who may call what: a surface, or a path below one (`rest/community-packages`), and
    /// `anyone`, `nobody`, names of networks, or whoever shows a certificate (`client_ca`). What is
    /// not named has its surface's default.
    pub(crate) access: Option<At<Keyed<OneOrMany<Grant>>>>,
    /// Networks that are refused everywhere.
    pub(crate) deny: Option<At<OneOrMany<String>>>,
    /// How often something may be asked, by surface or by a path below one; the longest path wins.
    /// What is written for one `per` replaces the default of that `per` there; an empty list
    /// switches all of them off.
    pub(crate) rate_limits: Option<At<Keyed<OneOrMany<Limit>>>>,
    /// Who is banned, when, and for how long.
    pub(crate) bans: Option<At<Bans>>,
    /// What is asked of n8n's accounts.
    pub(crate) accounts: Option<At<Accounts>>,
    /// What is done to n8n's answers before they go out.
    pub(crate) answers: Option<At<Answers>>,
    /// Known attacks on n8n: what is stopped and what is told.
    pub(crate) attacks: Option<At<Attacks>>,
    /// How much and how long.
    pub(crate) limits: Option<At<Limits>>,
    /// What is asked of webhooks before n8n is touched, by path as n8n has it (`/webhook/orders`, and what
    /// is below it); `*` stands for one segment, and the longest path wins.
    pub(crate) webhooks: Option<At<Keyed<Webhook>>>,
    /// What is looked at of n8n's own installation, by the gateway once a day and by
    /// `n8n-gateway audit`. Without this section the gateway does not look by itself.
    pub(crate) audit: Option<At<Audit>>,
    /// Where state is kept.
    pub(crate) state: Option<At<State>>,
    /// What is written down.
    pub(crate) log: Option<At<Log>>,
    /// How far the process gives up what it does not need: `auto` (the default) as far as the
    /// kernel knows how, `require` or it does not start, `off` for debuggers. A change needs a
    /// restart.
    pub(crate) hardening: Option<At<Hardening>>,
    /// `enforce` (the default), or `dry-run`: everything is decided, counted and logged, and what
    /// can be let through passes.
    pub(crate) mode: Option<At<Mode>>,
}

/// What is done to n8n's answers before they go out. Besides, n8n's release, places of its files, and
/// which webhooks and executions there are, is not told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answers {
    /// Whether browsers show what webhooks, forms and files are answered with in a sandbox, as n8n
    /// itself does (`true`, the default): a page that a workflow writes cannot act as whoever is signed
    /// in. `false` where `N8N_INSECURE_DISABLE_WEBHOOK_IFRAME_SANDBOX` or
    /// `N8N_INSECURE_DISABLE_FORM_HTML_SANDBOX` is set on purpose.
    pub(crate) sandbox: Option<At<bool>>,
    /// Who may show the editor in a frame: `same-origin` (the default) or `anyone`, for an n8n that is
    /// embedded in another site.
    pub(crate) frames: Option<At<Frames>>,
}

/// Who may show the editor in a frame.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Frames {
    /// The editor itself.
    SameOrigin,
    /// Every site.
    Anyone,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    Enforce,
    DryRun,
}

/// The hosts under which n8n is reached.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    /// The editor, sign-in and the API; everything if there is no `webhook_host`.
    #[schemars(required)]
    pub(crate) host: Option<At<HostName>>,
    /// Webhooks, forms, chat and MCP triggers on an origin of their own.
    pub(crate) webhook_host: Option<At<HostName>>,
}

/// Where the gateway listens. A change needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// HTTPS. Default `[::]:443`, IPv4 included.
    pub(crate) https: Option<At<OneOrMany<ListenAddress>>>,
    /// HTTP, which redirects to HTTPS. Default `[::]:80`; an empty list for none.
    pub(crate) http: Option<At<OneOrMany<ListenAddress>>>,
    /// The operator's own listener. Default `unix:/run/n8n-gateway/admin.sock`.
    pub(crate) admin: Option<At<Admin>>,
    /// Whether peers among `clients.trusted_proxies` begin with a PROXY protocol header.
    pub(crate) proxy_protocol: Option<At<bool>>,
}

/// The operator's listener: an address, or an address and a token.
#[derive(Debug)]
pub(crate) enum Admin {
    Open(At<AdminAddress>),
    Guarded(GuardedAdmin),
}

/// An admin listener with a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuardedAdmin {
    /// `unix:/path`, or an address and a port.
    #[schemars(required)]
    pub(crate) address: Option<At<AdminAddress>>,
    /// What callers show as `Authorization: Bearer …`.
    pub(crate) token: Option<At<Secret>>,
}

/// The gateway's certificate: one of `acme`, `certificate` and `self_signed`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// From a certification authority, renewed by itself.
    pub(crate) acme: Option<At<Acme>>,
    /// PEM files, read again when they change.
    pub(crate) certificate: Option<At<Certificate>>,
    /// A certification authority of this machine's own, for development.
    pub(crate) self_signed: Option<At<bool>>,
    /// The lowest version of TLS: "1.2" (the default) or "1.3".
    pub(crate) min_version: Option<At<MinVersion>>,
}

/// A certificate in files.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The certificate and its intermediates, PEM.
    #[schemars(required)]
    pub(crate) chain: Option<At<String>>,
    /// Its private key, PEM.
    #[schemars(required)]
    pub(crate) key: Option<At<String>>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(crate) enum MinVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// Where n8n is and how it is set up.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct N8n {
    /// The main process. Default `http://127.0.0.1:5678`.
    pub(crate) url: Option<At<BackendUrl>>,
    /// The webhook processors of queue mode.
    pub(crate) webhook_urls: Option<At<OneOrMany<BackendUrl>>>,
    /// Segments that were renamed by `N8N_ENDPOINT_*`, by the surface's name.
    pub(crate) endpoints: Option<At<Keyed<String>>>,
}

/// How clients are told apart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clients {
    /// Who may say for whom it speaks: prefixes, networks by name, `cloudflare`, `fastly`.
    pub(crate) trusted_proxies: Option<At<OneOrMany<String>>>,
    /// How many bits of an IPv6 address make one client. Default 64.
    #[schemars(range(min = 32, max = 128))]
    pub(crate) ipv6_prefix: Option<At<u8>>,
}

/// Addresses under a name: a list, or where to find one.
#[derive(Debug)]
pub(crate) enum Network {
    List(OneOrMany<String>),
    Lookup(Box<Lookup>),
}

/// Where a network's addresses are found: one of `file`, `dns`, `country`, `not_country`, `asn`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lookup {
    /// A file with a prefix a line, `#` for comments; read again when it changes.
    pub(crate) file: Option<At<String>>,
    /// A DNS name; its last good answer counts.
    pub(crate) dns: Option<At<HostName>>,
    /// How often the DNS name is asked for. Default `5m`, at least `10s`.
    pub(crate) refresh: Option<At<Span>>,
    /// Countries by their ISO 3166-1 code.
    pub(crate) country: Option<At<OneOrMany<String>>>,
    /// All countries but these. An address of no known country is in neither.
    pub(crate) not_country: Option<At<OneOrMany<String>>>,
    /// Autonomous systems by number.
    pub(crate) asn: Option<At<OneOrMany<u32>>>,
    /// The MaxMind file that countries and autonomous systems are looked up in.
    pub(crate) database: Option<At<String>>,
}

/// How much and how long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// The largest body by surface, or by a path below one; `default` for the others. n8n's own
    /// values by default: 16MiB, and 200MiB where files are sent.
    pub(crate) body: Option<At<Keyed<Size>>>,
    /// How many connections at once.
    pub(crate) connections: Option<At<Connections>>,
    /// How many requests at once.
    pub(crate) requests: Option<At<Requests>>,
    /// How much memory the gateway may use. When little of it is left, strangers are turned away
    /// first. Default: three quarters of the container's limit, or half of the machine's memory.
    pub(crate) memory: Option<At<Size>>,
    /// How large the head of a request may be.
    pub(crate) head: Option<At<HeadSize>>,
    /// How long to wait.
    pub(crate) timeouts: Option<At<Timeouts>>,
    /// The least that a client sends of a body or takes of an answer in the long run, a second.
    /// Default `256B`; `0B` if only stops count.
    pub(crate) min_rate: Option<At<Size>>,
}

/// How large the head of a request may be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadSize {
    /// In all. Default `32KiB`; `8KiB` to `1MiB`.
    pub(crate) size: Option<At<Size>>,
    /// How many fields. Default 100; 10 to 1000.
    #[schemars(range(min = 10, max = 1000))]
    pub(crate) fields: Option<At<usize>>,
    /// The path and the query. Default `8KiB`; `1KiB` to what the head may have in all.
    pub(crate) target: Option<At<Size>>,
}

/// How many connections at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connections {
    /// In all. Default 10000.
    #[schemars(range(min = 1))]
    pub(crate) total: Option<At<usize>>,
    /// Of one client. Default 100.
    #[schemars(range(min = 1))]
    pub(crate) per_client: Option<At<usize>>,
    /// TLS handshakes under way. Default 1000.
    #[schemars(range(min = 1))]
    pub(crate) handshakes: Option<At<usize>>,
    /// How often one is made in all. Default `1000/s`; `off` for as often as anybody likes.
    pub(crate) rate: Option<At<Rate>>,
    /// How often one client makes one. Default `100/s`; `off` for as often as it likes.
    pub(crate) rate_per_client: Option<At<Rate>>,
}

/// How many requests at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requests {
    /// In all. Default 2000.
    #[schemars(range(min = 1))]
    pub(crate) total: Option<At<usize>>,
    /// Of one client. Default 200.
    #[schemars(range(min = 1))]
    pub(crate) per_client: Option<At<usize>>,
}

/// How long to wait.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    /// For a TLS handshake, and for a PROXY protocol header. Default `10s`.
    pub(crate) handshake: Option<At<Span>>,
    /// For the head of a request, from its first byte to its last. Default `10s`.
    pub(crate) head: Option<At<Span>>,
    /// For the next request on a connection. Default `1m`.
    pub(crate) idle: Option<At<Span>>,
    /// For the answer of a short exchange to begin. Default `5m`.
    pub(crate) answer: Option<At<Span>>,
    /// For the next bytes of a request's body, and for a client to take its answer. Default `30s`.
    pub(crate) body: Option<At<Span>>,
    /// For the next bytes of a stream, or for an execution's answer to begin. Default `1h`.
    pub(crate) stream: Option<At<Span>>,
    /// For the next bytes of a WebSocket, either way. Default `1h`.
    pub(crate) tunnel: Option<At<Span>>,
    /// For a WebSocket's client to say something before it is asked whether it is still there, and
    /// as long again for its answer. Default `90s`.
    pub(crate) ping: Option<At<Span>>,
    /// For what still runs when the gateway stops. Default `30s`.
    pub(crate) drain: Option<At<Span>>,
}

/// Where state is kept. A change needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// A folder of the gateway's own. Default `/var/lib/n8n-gateway`.
    pub(crate) dir: Option<At<String>>,
}

impl<'de> Shaped<'de> for Admin {
    const EXPECTED: &'static str = "an address, or a mapping with an address and a token";

    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error> {
        match shape {
            Shape::Mapping => the_value(value).map(Self::Guarded),
            Shape::Scalar | Shape::Sequence => the_value(value).map(Self::Open),
        }
    }
}

impl<'de> Shaped<'de> for Network {
    const EXPECTED: &'static str = "a list of prefixes, or a mapping that says where to find one";

    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error> {
        match shape {
            Shape::Mapping => the_value(value).map(|lookup| Self::Lookup(Box::new(lookup))),
            Shape::Scalar => the_value(value).map(|one| Self::List(OneOrMany(vec![one]))),
            Shape::Sequence => the_value(value).map(|many| Self::List(OneOrMany(many))),
        }
    }
}

impl<'de> Deserialize<'de> for Admin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_shape(deserializer)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_shape(deserializer)
    }
}

impl JsonSchema for Admin {
    fn schema_name() -> Cow<'static, str> {
        "Admin".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let open = generator.subschema_for::<AdminAddress>();
        let guarded = generator.subschema_for::<GuardedAdmin>();
        schemars::json_schema!({ "anyOf": [open, guarded] })
    }
}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<OneOrMany<String>>();
        let lookup = generator.subschema_for::<Lookup>();
        schemars::json_schema!({ "anyOf": [list, lookup] })
    }
}

/// The JSON Schema of the policy file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Policy).to_value()
}

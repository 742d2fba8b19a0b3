//! `tls.acme` as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess};

use crate::{
    Secret,
    at::{At, OneOrMany, Shape, Shaped, by_shape, the_value},
    text::Span,
};

/// Certificates from a certification authority, renewed by themselves.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acme {
    /// Where a CA writes to when something is wrong with a certificate.
    #[schemars(required)]
    pub(crate) email: Option<At<String>>,
    /// The CAs, the first first. Default `letsencrypt`.
    pub(crate) directories: Option<At<OneOrMany<Directory>>>,
    /// How control of the hosts is shown, the first first. Default `[tls-alpn-01, http-01]`, or
    /// `dns-01` where `dns` is given.
    pub(crate) challenges: Option<At<OneOrMany<Challenge>>>,
    /// Who publishes the TXT records of dns-01.
    pub(crate) dns: Option<At<Dns>>,
    /// The kind of certificate, for CAs that have several, such as Let's Encrypt's `shortlived`.
    pub(crate) profile: Option<At<String>>,
    /// The kind of the certificates' keys. Default `p256`.
    pub(crate) key_type: Option<At<KeyType>>,
}

/// A CA: a name, a URL, or a mapping.
#[derive(Debug)]
pub(crate) enum Directory {
    Named(At<String>),
    Described(Box<Described>),
}

/// A CA and how it is spoken to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Described {
    /// A known CA's name, or the URL of an ACME directory.
    #[schemars(required)]
    pub(crate) url: Option<At<String>>,
    /// A PEM file with the roots that the directory's own TLS certificate is checked with. Default:
    /// those of the machine.
    pub(crate) root: Option<At<String>>,
    /// The account at the CA that the gateway's own is bound to, where the CA wants one.
    pub(crate) eab: Option<At<Eab>>,
    /// The kind of certificate, for this CA.
    pub(crate) profile: Option<At<String>>,
    /// The URL of a directory of the same CA that is tried first after a failure.
    pub(crate) staging: Option<At<String>>,
}

/// External account binding.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Eab {
    /// The account's name.
    #[schemars(required)]
    pub(crate) key_id: Option<At<String>>,
    /// Its key, in base64.
    #[schemars(required)]
    pub(crate) hmac_key: Option<At<Secret>>,
}

/// A way to show control of a host.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A certificate shown on port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A file on port 80.
    #[serde(rename = "http-01")]
    Http01,
    /// A TXT record.
    #[serde(rename = "dns-01")]
    Dns01,
}

/// Who publishes TXT records: one of `hook` and `rfc2136`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dns {
    /// A program, called `program present|cleanup FQDN. VALUE` as lego calls its `exec` provider.
    pub(crate) hook: Option<At<String>>,
    /// A name server that takes updates.
    pub(crate) rfc2136: Option<At<Rfc2136>>,
    /// How long a record takes until every name server has it. Default `10s`.
    pub(crate) propagation: Option<At<Span>>,
}

/// A name server that takes updates (RFC 2136).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rfc2136 {
    /// Its address or name, and its port if that is not 53.
    #[schemars(required)]
    pub(crate) server: Option<At<String>>,
    /// The zone that the records are in.
    #[schemars(required)]
    pub(crate) zone: Option<At<String>>,
    /// The name of the TSIG key that updates are signed with.
    pub(crate) key_name: Option<At<String>>,
    /// Its algorithm. Default `hmac-sha256`.
    pub(crate) algorithm: Option<At<TsigAlgorithm>>,
    /// Its secret, in base64.
    pub(crate) secret: Option<At<Secret>>,
}

/// An algorithm of TSIG.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TsigAlgorithm {
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyType {
    P256,
    P384,
    Rsa2048,
    Rsa4096,
}

impl<'de> Shaped<'de> for Directory {
    const EXPECTED: &'static str = "a CA's name, a URL, or a mapping with a `url`";

    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error> {
        match shape {
            Shape::Mapping => the_value(value).map(|it| Self::Described(Box::new(it))),
            Shape::Scalar | Shape::Sequence => the_value(value).map(Self::Named),
        }
    }
}

impl<'de> Deserialize<'de> for Directory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_shape(deserializer)
    }
}

impl JsonSchema for Directory {
    fn schema_name() -> Cow<'static, str> {
        "Directory".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = generator.subschema_for::<String>();
        let described = generator.subschema_for::<Described>();
        schemars::json_schema!({ "anyOf": [named, described] })
    }
}

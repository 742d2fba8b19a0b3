//! The section `webhooks` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Secret,
    at::{At, OneOrMany},
    text::{Size, Span},
};

/// What is asked of the calls of a webhook before n8n is touched.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    /// Who signs it: `github`, `stripe`, `slack`, `shopify`, `gitlab`, `twilio`, `zendesk`,
    /// `standard-webhooks`, `svix`; or `hmac`, described under `hmac`.
    pub(crate) signature: Option<At<Signature>>,
    /// What it is signed with; several while a secret is replaced.
    pub(crate) secret: Option<At<OneOrMany<Secret>>>,
    /// How it is signed, with `signature: hmac`.
    pub(crate) hmac: Option<At<Hmac>>,
    /// What is shown as `Authorization: Bearer …`; one of several.
    pub(crate) bearer: Option<At<OneOrMany<Secret>>>,
    /// What is shown as `Authorization: Basic …`, as `user:password`; one of several.
    pub(crate) basic: Option<At<OneOrMany<Secret>>>,
    /// How far a signature's time may be off, where it says one. Default `5m`; `1s` to `1d`.
    pub(crate) tolerance: Option<At<Span>>,
    /// For how long the same message is not taken a second time, once n8n has taken it. Default: as
    /// long as its signature's time lets it pass; not at all where it says none. `0s` for never, `7d`
    /// at the most.
    pub(crate) once: Option<At<Span>>,
    /// The methods that it is sent with. Default: any.
    pub(crate) methods: Option<At<OneOrMany<String>>>,
    /// The media types that it is sent with. Default: any.
    pub(crate) content_types: Option<At<OneOrMany<String>>>,
    /// The largest body. Default: `1MiB` where the body is signed, else as large as others of its
    /// surface.
    pub(crate) size: Option<At<Size>>,
    /// The networks that it is sent from. Default: as `access` says.
    pub(crate) from: Option<At<OneOrMany<String>>>,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Signature {
    Github,
    Stripe,
    Slack,
    Shopify,
    Gitlab,
    Twilio,
    Zendesk,
    StandardWebhooks,
    Svix,
    Hmac,
}

/// How somebody signs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hmac {
    /// The header field with the signature.
    #[schemars(required)]
    pub(crate) header: Option<At<String>>,
    /// What stands before it. Default: nothing.
    pub(crate) prefix: Option<At<String>>,
    /// `sha256` (the default), `sha512` or `sha1`.
    pub(crate) algorithm: Option<At<Algorithm>>,
    /// `hex` (the default), in lower case, or `base64`, padded.
    pub(crate) encoding: Option<At<Encoding>>,
    /// What is signed. Default `{body}`; another one: `{timestamp}.{body}`.
    pub(crate) signed: Option<At<String>>,
    /// The header field with the time, in seconds since 1970, if `signed` has one.
    pub(crate) timestamp: Option<At<String>>,
}

/// A hash function.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    Hex,
    Base64,
}

//! The section `accounts` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Grant, Switch};
use crate::{
    at::{At, Keyed, OneOrMany},
    text::{Day, Rate, Span},
};

/// What is asked of n8n's accounts, beyond what n8n itself asks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accounts {
    /// `true`: whoever signs in without a second factor may do nothing but set one up, where n8n's
    /// editor leads them. API keys are not asked for one (`api_keys`). Default `false`.
    pub(crate) require_mfa: Option<At<Switch<SecondFactor>>>,
    /// How long a session may last, and from where it may be used. Without this section none is
    /// remembered, so that `n8n-gateway sessions` has nothing to list or end.
    pub(crate) sessions: Option<At<Sessions>>,
    /// What is asked of n8n's API keys: at the public API, and at the instance's MCP server. Without this
    /// section none is remembered, so that `n8n-gateway api-keys list` has nothing to list.
    pub(crate) api_keys: Option<At<ApiKeys>>,
    /// What a new password has to be, besides n8n's own rule (8 to 64 characters, a number, an
    /// upper-case letter). Whoever chooses a weaker one reads why in n8n's form.
    pub(crate) password: Option<At<Password>>,
    /// Who may claim an n8n that has no owner yet, as in `access`. Default: the editor's networks.
    pub(crate) owner_setup: Option<At<OneOrMany<Grant>>>,
    /// Who may invite others, in the editor. Default: whoever may reach the editor.
    pub(crate) invitations: Option<At<OneOrMany<Grant>>>,
    /// Who may accept an invitation. Default: whoever may sign in.
    pub(crate) sign_up: Option<At<OneOrMany<Grant>>>,
    /// Who may ask for a mail that resets a password, and follow it. Default: whoever may sign in.
    pub(crate) password_reset: Option<At<OneOrMany<Grant>>>,
    /// The addresses that an account may have, with `*` for anything: `"*@example.com"`. Looked at
    /// wherever one is named: by the owner's set-up, an invitation, a change, a mail that resets a
    /// password. Who has another one keeps it in their profile, once they have signed in with it through this
    /// gateway; for such mails it has to stand here. Default: any.
    pub(crate) allowed_emails: Option<At<OneOrMany<String>>>,
}

/// How long a session may last, and from where it may be used.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sessions {
    /// How long after its user has signed in, at least `5m`. Default: n8n's own week, which each use
    /// in its last quarter begins anew.
    pub(crate) max_age: Option<At<Span>>,
    /// How long after it was used last, at least `5m`. Default: as long as it lasts.
    pub(crate) idle: Option<At<Span>>,
    /// What becomes of one that is used from another network: `allow`, `report` (the default: an
    /// event), or `refuse`, and its user has to sign in again there.
    pub(crate) new_network: Option<At<NewNetwork>>,
    /// A MaxMind file with autonomous systems or countries, by which networks are told apart.
    /// Default: by the first 24 bits of an IPv4 address, 48 of IPv6.
    pub(crate) database: Option<At<String>>,
}

/// What is asked of n8n's API keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeys {
    /// The networks that they may be used from. Default: whoever may call the surface.
    pub(crate) networks: Option<At<OneOrMany<String>>>,
    /// `true`: they may change nothing. Of the MCP server nothing is left then: any tool may be called.
    /// Default `false`.
    pub(crate) read_only: Option<At<bool>>,
    /// The resources that they may ask for: the first segments below `/api/v1`, such as `workflows`, and
    /// `mcp-server`. Default: all.
    pub(crate) resources: Option<At<OneOrMany<String>>>,
    /// How often each may be used: `60/min`, `5/s`. Default: as often as `rate_limits` lets its client.
    pub(crate) rate: Option<At<Rate>>,
    /// How many uses at once. Default: the rate's own number.
    #[schemars(range(min = 1))]
    pub(crate) burst: Option<At<u32>>,
    /// What becomes of one that is used from another network: `allow`, `report` (the default: an
    /// event), or `refuse`, until `n8n-gateway api-keys forget`.
    pub(crate) new_network: Option<At<NewNetwork>>,
    /// A MaxMind file with autonomous systems or countries, by which networks are told apart, unless
    /// `sessions` names one. Default: by the first 24 bits of an IPv4 address, 48 of IPv6.
    pub(crate) database: Option<At<String>>,
    /// What is asked of single keys: by fingerprint (`sha256:…`, as `n8n-gateway api-keys fingerprint`
    /// says it), in place of what is asked of all; or of a user's (`user:…`, n8n's own id), besides.
    pub(crate) keys: Option<At<Keyed<ApiKey>>>,
}

/// What is asked of one API key, or of a user's. What is not said of one key is as for all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKey {
    /// The networks that it may be used from.
    pub(crate) networks: Option<At<OneOrMany<String>>>,
    /// Whether it may change nothing.
    pub(crate) read_only: Option<At<bool>>,
    /// The resources that it may ask for.
    pub(crate) resources: Option<At<OneOrMany<String>>>,
    /// How often it may be used; `off` for as often as it likes.
    pub(crate) rate: Option<At<Rate>>,
    /// How many uses at once. Default: the rate's own number.
    #[schemars(range(min = 1))]
    pub(crate) burst: Option<At<u32>>,
    /// What becomes of it if it is used from another network.
    pub(crate) new_network: Option<At<NewNetwork>>,
}

/// What becomes of a session that is used from another network.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NewNetwork {
    Allow,
    Report,
    Refuse,
}

/// What a new password has to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Password {
    /// How many characters it has at the least. Default: n8n's own 8.
    #[schemars(range(min = 8, max = 64))]
    pub(crate) min_length: Option<At<usize>>,
    /// Of how many kinds its characters are: lower-case letters, upper-case letters, numbers,
    /// others. Default 1.
    #[schemars(range(min = 1, max = 4))]
    pub(crate) classes: Option<At<u8>>,
    /// How hard it is to guess, as zxcvbn counts: 1 (very guessable) to 4 (very unguessable). Its
    /// owner's name and address are guessed first. Default: not looked at.
    #[schemars(range(min = 1, max = 4))]
    pub(crate) strength: Option<At<u8>>,
    /// A file of passwords that have leaked, none of which may be chosen: SHA-1 hashes, sorted, a
    /// line each, as Have I Been Pwned's downloader writes them. It is searched, never loaded.
    pub(crate) leaked: Option<At<String>>,
}

/// For whom and from when on a second factor is insisted on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecondFactor {
    /// The first day on which it is, in UTC. Default: at once.
    pub(crate) from: Option<At<Day>>,
    /// Who may do without: by the address that they sign in with, or by n8n's own id of the user. An
    /// address is known again when its holder has signed in through this gateway.
    pub(crate) except: Option<At<OneOrMany<String>>>,
}

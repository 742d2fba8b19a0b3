//! The section `accounts` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Switch;
use crate::{
    at::{At, OneOrMany},
    text::Day,
};

/// What is asked of n8n's accounts, beyond what n8n itself asks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accounts {
    /// `true`: whoever signs in without a second factor may do nothing but set one up, where n8n's
    /// editor leads them. API keys are not asked for one. Default `false`.
    pub(crate) require_mfa: Option<At<Switch<SecondFactor>>>,
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

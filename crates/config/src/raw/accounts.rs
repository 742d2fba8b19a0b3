//! The section `accounts` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Grant, Switch};
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
    /// password. Default: any.
    pub(crate) allowed_emails: Option<At<OneOrMany<String>>>,
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

//! The section `audit` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Secret,
    at::{At, OneOrMany},
    text::{DayHours, Span},
};

/// What is looked at of n8n's own installation, and how often.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// How often the gateway looks by itself. Default `1d`; at least `10s`.
    pub(crate) every: Option<At<Span>>,
    /// From which level on `n8n-gateway audit` exits with 1 and the gateway's own looks are a warning.
    /// Default `medium`.
    pub(crate) level: Option<At<Level>>,
    /// A key of n8n's public API, of an owner or admin: with it accounts, workflows, executions and
    /// packages are looked at. It needs the scopes `user:list`, `workflow:list`, `execution:list` and
    /// `communityPackage:list`.
    pub(crate) api_key: Option<At<Secret>>,
    /// n8n's data directory, which holds its file `config`, if it can be seen from here.
    pub(crate) data: Option<At<String>>,
    /// Files with n8n's environment, such as the `.env` beside a compose file.
    pub(crate) env_files: Option<At<OneOrMany<String>>>,
    /// How the age of the last backup is found.
    pub(crate) backup: Option<At<Backup>>,
    /// When people work, in UTC, such as `06:00-20:00`: changes and runs by hand at other times are told.
    pub(crate) hours: Option<At<DayHours>>,
    /// How many owners and admins there may be. Default 3.
    #[schemars(range(min = 1))]
    pub(crate) max_admins: Option<At<usize>>,
    /// How long an account or a trigger that nobody uses is not told of. Default `90d`.
    pub(crate) unused: Option<At<Span>>,
    /// Checks whose findings are known and meant so, by id. They are shown and not counted.
    pub(crate) accept: Option<At<OneOrMany<String>>>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

/// How the age of the last backup is found: one of `path` and `command`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    /// The backup, or the folder that backups are put into: the newest of them counts.
    pub(crate) path: Option<At<String>>,
    /// A program that prints when the last backup was made, as `2026-11-22T03:00:00Z` or in seconds
    /// since 1970.
    pub(crate) command: Option<At<String>>,
    /// How old it may be. Default `2d`.
    pub(crate) max_age: Option<At<Span>>,
}

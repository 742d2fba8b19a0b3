//! `log` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Secret,
    at::{At, Keyed},
};

/// What is written down. A change needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// `json` (the default) or `text`.
    pub(crate) format: Option<At<LogFormat>>,
    /// `error`, `warn`, `info` (the default) or `debug`.
    pub(crate) level: Option<At<LogLevel>>,
    /// A file for bans and offences in the shape of fail2ban's own log, for tools that read it.
    pub(crate) fail2ban: Option<At<String>>,
    /// An OpenTelemetry collector that gets every line of the log as well. Without this section
    /// nothing is sent anywhere.
    pub(crate) otlp: Option<At<Otlp>>,
}

/// An OpenTelemetry collector: OTLP over HTTP, in protobuf.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Otlp {
    /// Where it listens: `http://127.0.0.1:4318`. `/v1/logs` is added unless it ends so.
    #[schemars(required)]
    pub(crate) endpoint: Option<At<String>>,
    /// Fields that each request has, such as `authorization`.
    pub(crate) headers: Option<At<Keyed<Secret>>>,
    /// The authority of its certificate, PEM. Default: whom this machine trusts.
    pub(crate) ca: Option<At<String>>,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

//! Trying the way through the public name, step by step, as a browser or a caller of webhooks goes
//! it: what was tried, what came, what to change.

mod answer;
mod steps;
mod way;

use std::path::{Path, PathBuf};

use gateway_config::{Config, Secret};
use serde::Serialize;

pub(crate) use answer::{describe, json};
pub(crate) use way::Way;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ending {
    Fine,
    Wrong,
    /// It could not be tried, or what came says nothing.
    Unknown,
}

/// One step of the way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What was tried.
    pub(crate) tried: String,
    pub(crate) ending: Ending,
    /// What came.
    pub(crate) came: String,
    /// What to change, or what would show more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<String>,
}

impl Step {
    fn fine(name: &'static str, tried: String, came: impl Into<String>) -> Self {
        Self { name, tried, ending: Ending::Fine, came: came.into(), change: None }
    }

    fn wrong(
        name: &'static str,
        tried: String,
        came: impl Into<String>,
        change: impl Into<String>,
    ) -> Self {
        let change = Some(change.into());
        Self { name, tried, ending: Ending::Wrong, came: came.into(), change }
    }

    fn unknown(
        name: &'static str,
        tried: String,
        came: impl Into<String>,
        change: impl Into<String>,
    ) -> Self {
        let change = Some(change.into());
        Self { name, tried, ending: Ending::Unknown, came: came.into(), change }
    }
}

/// What a person may give besides the policy.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Where to connect to in place of what the name leads to.
    pub(crate) connect: Option<String>,
    pub(crate) https_port: u16,
    pub(crate) http_port: u16,
    /// The value of the cookie `n8n-auth` of somebody who is signed in.
    pub(crate) session: Option<Secret>,
    /// A path that streams its answer.
    pub(crate) stream: Option<String>,
    /// How much is uploaded, in bytes.
    pub(crate) upload: usize,
}

/// Walks the whole way; `now` is in seconds since 1970.
pub(crate) async fn examine(config: &Config, file: &Path, given: &Given, now: i64) -> Vec<Step> {
    let mut all = Vec::new();
    let Some(way) = Way::find(config, given, &mut all).await else { return all };
    let certified = steps::certificate(&way, config).await;
    let reached = certified.ending == Ending::Fine;
    all.push(certified);
    all.push(steps::redirect(&way, config).await);
    if reached {
        all.push(steps::sign_in_page(&way, file).await);
        all.push(steps::push(&way, given).await);
    }
    all.push(steps::client_address(config, now).await);
    all.push(steps::webhook_url(&way, config, given).await);
    if reached {
        all.push(steps::upload(&way, given, now).await);
        all.push(steps::stream(&way, given).await);
    }
    all
}

/// Where a developer's own authority is, if the policy has one.
fn own_authority(config: &Config) -> Option<PathBuf> {
    crate::identity::authority(&config.settings)
}

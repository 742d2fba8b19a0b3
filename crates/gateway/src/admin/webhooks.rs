//! Webhooks that n8n has, for the operator.

use std::collections::BTreeMap;

use gateway_ledger::Webhook;
use serde::{Deserialize, Serialize};

use super::windows::moment;
use crate::Guard;

/// Every webhook that was called.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Webhooks {
    pub(crate) webhooks: Vec<WebhookView>,
}

/// A webhook, as it is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct WebhookView {
    pub(crate) path: String,
    /// RFC 3339.
    pub(crate) first: String,
    /// RFC 3339.
    pub(crate) last: String,
    pub(crate) calls: u64,
    /// How often n8n answered with `2xx` and so on.
    pub(crate) answers: BTreeMap<String, u64>,
    /// The last networks that it was called from.
    pub(crate) networks: Vec<String>,
    /// Whether its last call showed what the policy asks for.
    pub(crate) signed: bool,
}

/// Every one, the one that was called last first.
pub(crate) fn list(guard: &Guard) -> Webhooks {
    let mut all = guard.ledger().webhooks();
    all.sort_by_key(|(_, webhook)| std::cmp::Reverse(webhook.last));
    Webhooks { webhooks: all.into_iter().map(|(path, webhook)| view(path, &webhook)).collect() }
}

fn view(path: String, webhook: &Webhook) -> WebhookView {
    let Webhook { first, last, calls, answers, networks, signed } = webhook;
    let classes = answers.iter().zip(1..).filter(|(count, _)| **count > 0);
    WebhookView {
        path,
        first: moment(*first),
        last: moment(*last),
        calls: *calls,
        answers: classes.map(|(count, class)| (format!("{class}xx"), *count)).collect(),
        networks: networks.iter().map(ToString::to_string).collect(),
        signed: *signed,
    }
}

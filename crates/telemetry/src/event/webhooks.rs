//! Webhooks that are refused, and windows that are opened and closed.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::Event;
use crate::{Level, Metrics, names::event};

/// The call of a webhook did not show what it is asked for. That it was refused is said as well.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookRefused {
    /// The request's id.
    pub request_id: String,
    /// Who called.
    pub client: IpAddr,
    /// The webhook, by its place in the policy.
    pub webhook: String,
    /// What it is asked for, as the policy calls it.
    pub asked: &'static str,
    /// What is wrong with what it showed.
    pub because: String,
}

impl Event for WebhookRefused {
    const NAME: &'static str = event::WEBHOOK_REFUSED;

    fn level(&self) -> Level {
        Level::Warn
    }

    fn count(&self, metrics: &Metrics) {
        metrics.webhook(&self.webhook, "refused");
    }
}

/// The operator lets somebody into a surface for a time.
#[derive(Clone, Debug, Serialize)]
pub struct WindowOpened {
    /// What tells it from others.
    pub window: u64,
    /// The surface.
    pub surface: &'static str,
    /// Who is let in.
    pub net: IpNet,
    /// For how long.
    pub seconds: u64,
    /// Who opened it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Event for WindowOpened {
    const NAME: &'static str = event::WINDOW_OPENED;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// A window is closed.
#[derive(Clone, Debug, Serialize)]
pub struct WindowClosed {
    /// What tells it from others.
    pub window: u64,
    /// The surface.
    pub surface: &'static str,
    /// Who was let in.
    pub net: IpNet,
    /// Why it is closed: `time`, or `operator`.
    pub because: &'static str,
    /// Who closed it, if somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Event for WindowClosed {
    const NAME: &'static str = event::WINDOW_CLOSED;
}

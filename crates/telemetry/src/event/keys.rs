//! What happens to n8n's API keys. A key is told by its fingerprint alone.

use std::net::IpAddr;

use serde::Serialize;

use super::Event;
use crate::{Level, Metrics, names::event};

/// An API key is used in another network than before.
#[derive(Clone, Debug, Serialize)]
pub struct ApiKeyMoved {
    /// The request's id.
    pub request_id: String,
    /// Who asks.
    pub client: IpAddr,
    /// The key's fingerprint.
    pub key: String,
    /// Whose it says it is, by n8n's own id.
    pub user: Option<String>,
    /// Where it was used before.
    pub from: Option<String>,
    /// Where it is used now.
    pub to: Option<String>,
    /// Whether it was refused there.
    pub refused: bool,
}

impl Event for ApiKeyMoved {
    const NAME: &'static str = event::API_KEY_NEW_NETWORK;

    fn level(&self) -> Level {
        Level::Warn
    }

    fn count(&self, metrics: &Metrics) {
        metrics.api_key_moved(self.refused);
    }
}

/// The operator has an API key forgotten.
#[derive(Clone, Debug, Serialize)]
pub struct ApiKeyForgotten {
    /// The key's fingerprint.
    pub key: String,
    /// Who did it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Event for ApiKeyForgotten {
    const NAME: &'static str = event::API_KEY_FORGOTTEN;
}

//! The API keys that a request shows, and what is remembered of them.

use gateway_n8n::{could_show_key, key_user, shown_keys};
use gateway_policy::{Client, ShownKey};
use http::{HeaderMap, header, request};

use crate::{Rules, Warden};

/// The header of a key, besides `Authorization`.
const API_KEY: &str = "x-n8n-api-key";

/// The API keys that a request shows.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) shown: Vec<ShownKey>,
    /// Whether n8n's answer could show that it took the one that is shown.
    pub(crate) could_show: bool,
}

impl Keys {
    /// What a request shows, if somebody asks about keys where it goes.
    pub(crate) fn of(
        head: &request::Parts,
        client: Client,
        rules: &Rules,
        warden: &impl Warden,
    ) -> Self {
        let policy = &rules.policy;
        if policy.accounts.api_keys.is_none() || !has_any(&head.headers) {
            return Self::default();
        }
        let Ok(located) = policy.surfaces.locate(head.uri.path(), false) else {
            return Self::default();
        };
        let shown = shown_keys(located.surface, &head.headers).into_iter().map(|key| {
            let fingerprint = warden.fingerprint(key);
            let history = warden.recalls_key(fingerprint, client, rules);
            ShownKey { fingerprint, user: key_user(key), history }
        });
        let could_show = could_show_key(&located, &head.method, &head.headers);
        Self { shown: shown.collect(), could_show }
    }
}

/// Whether a request could show a key at all.
fn has_any(headers: &HeaderMap) -> bool {
    headers.contains_key(API_KEY) || headers.contains_key(header::AUTHORIZATION)
}

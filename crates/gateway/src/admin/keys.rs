//! n8n's API keys, for the operator: listed and forgotten.

use bytes::Bytes;
use gateway_policy::Fingerprint;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::{Desk, bans::Complaint, decoded, json, query, text};
use crate::Guard;

/// An API key, as it is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ApiKeyView {
    /// What it is called by, here and in the policy.
    pub(crate) key: String,
    /// Whose it says it is, by n8n's own id.
    pub(crate) user: Option<String>,
    /// When it was used first, in seconds since 1970.
    pub(crate) first: i64,
    /// When it was used last, in seconds since 1970, to the minute.
    pub(crate) seen: i64,
    /// How often.
    pub(crate) calls: u64,
    /// From where it was used last.
    pub(crate) address: String,
    /// The networks that it was used in, the last one first.
    pub(crate) places: Vec<String>,
}

/// What was done by hand.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ApiKeyForgotten {
    /// Which key.
    pub(crate) key: String,
    /// Whether it is on disk. If it is not, it holds in memory until it can be written.
    pub(crate) durable: bool,
}

/// Every key that n8n has taken, the one that was used last first.
fn list(guard: &Guard) -> Vec<ApiKeyView> {
    let all = guard.api_keys().into_iter();
    all.map(|(key, it)| ApiKeyView {
        key: key.to_string(),
        user: it.user,
        first: it.first.0,
        seen: it.trail.seen.0,
        calls: it.calls,
        address: it.trail.address.to_string(),
        places: it.trail.places,
    })
    .collect()
}

impl Desk {
    pub(super) async fn api_keys(
        &self,
        request: &Request<Incoming>,
        who: &str,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let key = path.strip_prefix("/api-keys/").map(decoded);
        let asked = (request.method(), key);
        if !matches!(asked, (&Method::GET, None) | (&Method::DELETE, Some(_))) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
        }
        let complain = |status, error: String, hint| Complaint::new(status, error, hint).answer();
        if self.rules.borrow().policy.accounts.api_keys.is_none() {
            let hint = "write `accounts: { api_keys: {} }` into the policy";
            let error = "API keys are not followed".to_owned();
            return complain(StatusCode::CONFLICT, error, Some(hint));
        }
        let Some(key) = asked.1 else { return json(StatusCode::OK, &list(&self.guard)) };
        if let Err(complaint) = self.may_change().await {
            return complaint.answer();
        }
        let why = query(request, "reason").unwrap_or_default();
        // What is no fingerprint could be the key: it is not said again.
        match key.parse::<Fingerprint>() {
            Ok(key) if self.guard.forget_api_key(key, who, &why) => {
                let durable = self.guard.settled().await;
                json(StatusCode::OK, &ApiKeyForgotten { key: key.to_string(), durable })
            }
            Ok(_) | Err(()) => {
                let error = "no such key is known".to_owned();
                let hint = "`sha256:` and 64 digits, as the list names it";
                complain(StatusCode::NOT_FOUND, error, Some(hint))
            }
        }
    }
}

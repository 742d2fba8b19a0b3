//! n8n's sessions, for the operator: listed and ended.

use std::collections::BTreeSet;

use bytes::Bytes;
use gateway_ledger::Ended;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::{Desk, bans::Complaint, decoded, json, query, text};
use crate::Guard;

/// A session, as it is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SessionView {
    /// What it is ended by; no part of its cookie.
    pub(crate) id: String,
    /// The user, by n8n's own id.
    pub(crate) user: String,
    /// The address that they signed in with, as a keyed hash, if that was seen.
    pub(crate) account: Option<String>,
    /// Seconds since 1970.
    pub(crate) since: i64,
    /// When it was used last, in seconds since 1970, to the minute.
    pub(crate) seen: i64,
    /// From where it was used last.
    pub(crate) address: String,
    /// The networks that it was used in, the last one first.
    pub(crate) places: Vec<String>,
}

/// What was done by hand.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SessionsDone {
    /// How many of the sessions that are known are over.
    pub(crate) sessions: usize,
    /// Whether it is on disk. If it is not, it holds in memory until it can be written.
    pub(crate) durable: bool,
}

/// Every session, the one that was used last first; of cookies that followed each other the last.
pub(super) fn list(guard: &Guard) -> Vec<SessionView> {
    let mut lines = BTreeSet::new();
    let all = guard.ledger().all_sessions().into_iter();
    all.filter(|(_, it)| lines.insert(it.line))
        .map(|(token, it)| SessionView {
            id: format!("{token:016x}"),
            user: it.user,
            account: it.account.map(|it| it.to_string()),
            since: it.began.0,
            seen: it.trail.seen.0,
            address: it.trail.address.to_string(),
            places: it.trail.places,
        })
        .collect()
}

impl Desk {
    pub(super) async fn sessions(
        &self,
        request: &Request<Incoming>,
        who: &str,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let id = path.strip_prefix("/sessions/").map(decoded);
        let method = request.method();
        if *method != Method::DELETE && (*method != Method::GET || id.is_some()) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
        }
        if !self.rules.borrow().policy.accounts.follow_sessions() {
            let error = "sessions are not followed".to_owned();
            let hint = "write `accounts: { sessions: {} }` into the policy";
            return Complaint::new(StatusCode::CONFLICT, error, Some(hint)).answer();
        }
        if *method == Method::GET {
            return json(StatusCode::OK, &list(&self.guard));
        }
        if let Err(complaint) = self.may_change().await {
            return complaint.answer();
        }
        let which = match (id, query(request, "user")) {
            (None, Some(user)) => Ended::User(user),
            (None, None) => Ended::All,
            (Some(id), _) => match self.known(&id) {
                Some(token) => Ended::One(token),
                None => {
                    let error = format!("`{id}` is no session that is known");
                    return Complaint::new(StatusCode::NOT_FOUND, error, None).answer();
                }
            },
        };
        let why = query(request, "reason").unwrap_or_default();
        let sessions = self.guard.end_sessions(&which, who, &why);
        let durable = self.guard.settled().await;
        json(StatusCode::OK, &SessionsDone { sessions, durable })
    }

    fn known(&self, id: &str) -> Option<u64> {
        let token = u64::from_str_radix(id, 16).ok()?;
        self.guard.ledger().sitting(token).map(|_| token)
    }
}

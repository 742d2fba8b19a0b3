//! What happens to n8n's sessions.

use std::net::IpAddr;

use serde::Serialize;

use super::Event;
use crate::{Level, names::event};

/// A session is used in another network than before.
#[derive(Clone, Debug, Serialize)]
pub struct SessionMoved {
    /// The request's id.
    pub request_id: String,
    /// Who asks.
    pub client: IpAddr,
    /// The user, by n8n's own id.
    pub user: String,
    /// Where it was used before.
    pub from: String,
    /// Where it is used now.
    pub to: String,
}

impl Event for SessionMoved {
    const NAME: &'static str = event::SESSION_MOVED;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// The operator has ended sessions.
#[derive(Clone, Debug, Serialize)]
pub struct SessionsEnded {
    /// How many of those that are known.
    pub sessions: usize,
    /// Who did it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Event for SessionsEnded {
    const NAME: &'static str = event::SESSIONS_ENDED;
}

//! Whoever is signed in, as a request shows it, and what is remembered of their session.

use gateway_n8n::{Session, session_token};
use gateway_policy::{Client, Login};
use http::HeaderMap;

use crate::{Recalled, Rules, Warden};

/// A session that is shown, and its cookie as a keyed hash.
#[derive(Debug, Default)]
pub(crate) struct Signed {
    pub(crate) session: Session,
    pub(crate) token: u64,
    /// Whether it is over, or used from where it must not be: what is asked with it keeps it no longer
    /// alive, and makes no place a known one.
    pub(crate) void: bool,
}

impl Signed {
    /// What a request with these fields shows.
    pub(crate) fn of(headers: &HeaderMap, warden: &impl Warden) -> Self {
        let session = Session::of(headers);
        let token = session.claims().and_then(|_| session_token(headers));
        Self { token: token.map_or(0, |token| warden.session(token)), session, void: false }
    }

    /// What is known of it.
    pub(crate) fn login(&self, client: Client, rules: &Rules, warden: &impl Warden) -> Login<'_> {
        let now = warden.now();
        let Some(claims) = self.session.claims() else {
            return Login { session: Some(&self.session), now, ..Login::default() };
        };
        let Recalled { revoked, history } = if rules.policy.accounts.follow_sessions() {
            warden.recalls(self.token, claims, client, rules)
        } else {
            Recalled::default()
        };
        let excused = warden.is_excused(&claims.user);
        Login { session: Some(&self.session), excused, revoked, history, keys: &[], now }
    }
}

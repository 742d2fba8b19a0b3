//! n8n's sessions: which are used, since when, from where, and which have been ended.

use std::{net::IpAddr, sync::PoisonError};

use gateway_policy::Timestamp;

use super::Ledger;
use crate::{Ended, Sitting};

impl Ledger {
    /// What is remembered of the session with this cookie, by its keyed hash.
    #[must_use]
    pub fn sitting(&self, token: u64) -> Option<Sitting> {
        self.sessions().get(token).cloned()
    }

    /// Whether the operator has ended it.
    #[must_use]
    pub fn is_ended(&self, token: u64, user: &str, issued: Timestamp) -> bool {
        self.sessions().is_ended(token, user, issued)
    }

    /// Remembers a session that n8n has taken, or made.
    pub fn begins(&self, token: u64, sitting: Sitting) {
        if let Some(account) = sitting.account {
            self.is_user(&sitting.user, account);
        }
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        self.journal.post(sessions.put(token, sitting));
    }

    /// Takes down that a session was used; tells the place of before, if it is used in another.
    pub fn used(
        &self,
        token: u64,
        address: IpAddr,
        place: Option<&str>,
        at: Timestamp,
    ) -> Option<String> {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        let (before, changes) = sessions.used(token, address, place, at);
        if !changes.is_empty() {
            self.journal.post(changes);
        }
        before
    }

    /// Ends sessions; tells how many of those that are known.
    pub fn end_sessions(&self, which: &Ended, at: Timestamp) -> usize {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        let (count, changes) = sessions.end(which, at);
        self.journal.post(changes);
        drop(sessions);
        // Whoever has signed in with a stolen password is at home nowhere.
        let uprooted = match which {
            Ended::One(_) => Vec::new(),
            Ended::User(user) => self.known_mut().persons.uproot(Some(user)),
            Ended::All => self.known_mut().persons.uproot(None),
        };
        if !uprooted.is_empty() {
            self.journal.post(uprooted);
        }
        count
    }

    /// Every session that is remembered, the one that was used last first.
    #[must_use]
    pub fn all_sessions(&self) -> Vec<(u64, Sitting)> {
        let mut all: Vec<_> =
            self.sessions().iter().map(|(token, it)| (token, it.clone())).collect();
        all.sort_by_key(|(_, it)| std::cmp::Reverse(it.trail.seen));
        all
    }
}

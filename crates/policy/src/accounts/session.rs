//! How long a session may last, and from where it may be used.

use std::{fmt, net::IpAddr, time::Duration};

use gateway_n8n::Claims;

use crate::{Reason, Source, Timestamp};

/// How long a session may last, and from where it may be used.
#[derive(Clone, Copy, Debug)]
pub struct SessionRule {
    /// How long after its user has signed in.
    pub max_age: Option<Duration>,
    /// How long after it was used last.
    pub idle: Option<Duration>,
    /// What becomes of one that is used from another network.
    pub new_network: NewNetwork,
    /// What made it.
    pub source: Source,
}

/// What becomes of a session that is used from another network than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewNetwork {
    /// Nothing.
    #[default]
    Allow,
    /// It is told.
    Report,
    /// Its user has to sign in again there.
    Refuse,
}

/// What is remembered of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Since when its user is signed in.
    pub began: Timestamp,
    /// When it was used last.
    pub seen: Timestamp,
    /// Whether it was never used from where it is used now.
    pub elsewhere: bool,
}

/// Where addresses are, in words by which networks are told apart.
pub trait Whereabouts: fmt::Debug + Send + Sync {
    /// The network of an address; nothing if it is not known.
    fn of(&self, address: IpAddr) -> Option<String>;
}

impl SessionRule {
    /// Why a session with `claims` is over, in a reason and in words, if it is. Of one that is not
    /// remembered, what its cookie says of its beginning counts.
    pub(super) fn ended(
        &self,
        claims: &Claims,
        history: Option<History>,
        now: Timestamp,
    ) -> Option<(Reason, &'static str)> {
        let issued = Timestamp(claims.issued);
        let began = history.map_or(issued, |it| it.began.min(issued));
        let seen = history.map_or(issued, |it| it.seen.max(issued));
        let over = |limit: Option<Duration>, since: Timestamp| {
            limit.is_some_and(|limit| now.since(since) > limit)
        };
        if over(self.max_age, began) {
            Some((Reason::SessionEnded, "its user has signed in too long ago"))
        } else if over(self.idle, seen) {
            Some((Reason::SessionEnded, "it was not used for too long"))
        } else if self.new_network == NewNetwork::Refuse && history.is_some_and(|it| it.elsewhere) {
            Some((Reason::SessionElsewhere, "it was never used from this network"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_age_by_rest_and_by_place() {
        let rule = SessionRule {
            max_age: Some(Duration::from_secs(1000)),
            idle: Some(Duration::from_secs(100)),
            new_network: NewNetwork::Refuse,
            source: Source::Default,
        };
        let claims = |issued| Claims { user: "u".to_owned(), used_mfa: true, issued, ends: 9999 };
        let history = |began, seen, elsewhere| {
            Some(History { began: Timestamp(began), seen: Timestamp(seen), elsewhere })
        };
        let (ended, elsewhere) = (Some(Reason::SessionEnded), Some(Reason::SessionElsewhere));
        for (issued, history, now, expected) in [
            (0, None, 100, None),
            (0, None, 101, ended),
            (0, history(0, 950, false), 1000, None),
            (0, history(0, 1000, false), 1001, ended),
            // n8n has given a new cookie since.
            (900, history(0, 1000, false), 1001, ended),
            (900, None, 1000, None),
            (0, history(0, 0, false), 101, ended),
            (0, history(0, 50, true), 100, elsewhere),
        ] {
            let found = rule.ended(&claims(issued), history, Timestamp(now)).map(|it| it.0);
            assert_eq!(found, expected, "{issued} {history:?} {now}");
        }
        let told = SessionRule { new_network: NewNetwork::Report, ..rule };
        assert_eq!(told.ended(&claims(0), history(0, 50, true), Timestamp(100)), None);
    }
}

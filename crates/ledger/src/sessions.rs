//! n8n's sessions, as far as they have been seen: since when, when last, from where; and those that
//! the operator has ended.
//!
//! Only sessions that n8n has taken are remembered, so that nobody who makes some up makes others
//! forgotten.

use std::{collections::BTreeMap, hash::RandomState, net::IpAddr, time::Duration};

use gateway_policy::Timestamp;
use lru::LruCache;

use crate::{Account, Change, Trail};

/// How many sessions are remembered at the most.
const SESSIONS: usize = 10_000;

/// How long it is remembered that a user's sessions were ended: no cookie of n8n's lasts longer.
const REMEMBERED: Duration = Duration::from_hours(24 * 366);

/// A session that n8n has taken. It is named by a keyed hash of its cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sitting {
    /// The user, by n8n's own id.
    pub user: String,
    /// The account that they signed in with, if that was seen.
    pub account: Option<Account>,
    /// The first cookie of several that followed each other.
    pub line: u64,
    /// Since when they are signed in.
    pub began: Timestamp,
    /// When its cookie ends.
    pub ends: Timestamp,
    /// Where it was used.
    pub trail: Trail,
}

/// Sessions that the operator has ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// One, by a keyed hash of its cookie. It is remembered until the cookie ends.
    One(u64),
    /// Those of a user, until then.
    User(String),
    /// All, until then.
    All,
}

#[derive(Debug)]
pub(crate) struct Sessions {
    sittings: LruCache<u64, Sitting, RandomState>,
    ended: BTreeMap<Ended, Timestamp>,
}

impl Default for Sessions {
    fn default() -> Self {
        let sittings = LruCache::unbounded_with_hasher(RandomState::new());
        Self { sittings, ended: BTreeMap::new() }
    }
}

impl Sessions {
    pub(crate) fn get(&self, token: u64) -> Option<&Sitting> {
        self.sittings.peek(&token)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Sitting)> {
        self.sittings.iter().map(|(token, sitting)| (*token, sitting))
    }

    pub(crate) fn ended(&self) -> impl Iterator<Item = (&Ended, Timestamp)> {
        self.ended.iter().map(|(ended, at)| (ended, *at))
    }

    /// Whether the operator has ended a session of `user`'s whose cookie was made at `issued`.
    pub(crate) fn is_ended(&self, token: u64, user: &str, issued: Timestamp) -> bool {
        if self.ended.is_empty() {
            return false;
        }
        let before = |ended: &Ended| self.ended.get(ended).is_some_and(|until| issued <= *until);
        self.ended.contains_key(&Ended::One(token))
            || before(&Ended::All)
            || before(&Ended::User(user.to_owned()))
    }

    /// Remembers a session, in place of what was known of its cookie.
    pub(crate) fn put(&mut self, token: u64, sitting: Sitting) -> Vec<Change> {
        let change = Change::Session(token, Some(sitting.clone()));
        self.sittings.put(token, sitting);
        let full = self.sittings.len() > SESSIONS;
        let gone = if full { self.sittings.pop_lru() } else { None };
        std::iter::once(change).chain(gone.map(|(it, _)| Change::Session(it, None))).collect()
    }

    /// Takes down that a session was used, in `place` if that is known; tells the place that it was
    /// used in before, if this is another, and what has changed.
    pub(crate) fn used(
        &mut self,
        token: u64,
        address: IpAddr,
        place: Option<&str>,
        at: Timestamp,
    ) -> (Option<String>, Vec<Change>) {
        let Some(sitting) = self.sittings.get_mut(&token) else { return (None, Vec::new()) };
        let (before, changed) = sitting.trail.used(address, place, at);
        let change = changed.then(|| Change::Session(token, Some(sitting.clone())));
        (before, change.into_iter().collect())
    }

    /// Ends sessions, and tells how many of those that are known are among them.
    pub(crate) fn end(&mut self, which: &Ended, at: Timestamp) -> (usize, Vec<Change>) {
        let mut changes = Vec::new();
        let line = |token: u64| self.sittings.peek(&token).map(|it| it.line);
        let concerned = |token: u64, sitting: &Sitting| match which {
            Ended::One(one) => {
                token == *one || line(*one) == Some(sitting.line) || sitting.line == *one
            }
            Ended::User(user) => sitting.user == *user,
            Ended::All => true,
        };
        let all = self.sittings.iter().map(|(token, sitting)| (*token, sitting));
        let hit: Vec<_> = all
            .filter(|(token, it)| concerned(*token, it))
            .map(|(token, it)| (token, it.line, it.ends))
            .collect();
        let mut end = |ended: Ended, until| {
            changes.push(Change::Ended(ended.clone(), Some(until)));
            self.ended.insert(ended, until);
        };
        // Each that is known by itself, too: n8n may have a clock of its own.
        for (token, _, ends) in &hit {
            end(Ended::One(*token), *ends);
        }
        if !matches!(which, Ended::One(_)) {
            end(which.clone(), at);
        }
        for (token, ..) in &hit {
            self.sittings.pop(token);
            changes.push(Change::Session(*token, None));
        }
        let lines: std::collections::BTreeSet<u64> = hit.iter().map(|(_, line, _)| *line).collect();
        (lines.len(), changes)
    }

    /// Takes over what a store kept of a session, or of an end.
    pub(crate) fn restore(&mut self, change: Change, now: Timestamp) -> Vec<Change> {
        match change {
            Change::Session(token, Some(sitting)) if self.get(token).is_none() => {
                if sitting.ends < now {
                    return vec![Change::Session(token, None)];
                }
                let kept =
                    |it: &Change| !matches!(it, Change::Session(it, Some(_)) if *it == token);
                self.put(token, sitting).into_iter().filter(kept).collect()
            }
            Change::Ended(ended, Some(until)) => {
                let lasts = match ended {
                    Ended::One(_) => until,
                    Ended::User(_) | Ended::All => until + REMEMBERED,
                };
                if lasts < now {
                    return vec![Change::Ended(ended, None)];
                }
                self.ended.entry(ended).or_insert(until);
                Vec::new()
            }
            Change::Session(..)
            | Change::Ended(_, None)
            | Change::Ban(..)
            | Change::Past(..)
            | Change::Visitor(..)
            | Change::Webhook(..)
            | Change::Person(..)
            | Change::ApiKey(..)
            | Change::Message(..)
            | Change::Window(..) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sitting(user: &str, line: u64) -> Sitting {
        Sitting {
            user: user.to_owned(),
            account: None,
            line,
            began: Timestamp(0),
            ends: Timestamp(1000),
            trail: Trail::new(
                IpAddr::from([192, 0, 2, 1]),
                vec!["192.0.2.0/24".to_owned()],
                Timestamp(0),
            ),
        }
    }

    #[test]
    fn a_use_is_taken_down_once_a_minute_and_in_each_place() {
        let mut sessions = Sessions::default();
        sessions.put(1, sitting("u", 1));
        let address = IpAddr::from([192, 0, 2, 9]);
        let mut used = |place: &str, at| {
            let (before, changes) = sessions.used(1, address, Some(place), Timestamp(at));
            (before, changes.len())
        };
        assert_eq!(used("192.0.2.0/24", 59), (None, 0));
        assert_eq!(used("192.0.2.0/24", 60), (None, 1));
        assert_eq!(used("203.0.113.0/24", 61), (Some("192.0.2.0/24".to_owned()), 1));
        assert_eq!(used("203.0.113.0/24", 62), (None, 0));
        assert_eq!(sessions.used(7, address, None, Timestamp(0)), (None, Vec::new()));
    }

    #[test]
    fn what_the_operator_ends_is_over() {
        let mut sessions = Sessions::default();
        for (token, user, line) in [(1, "u", 1), (2, "u", 1), (3, "u", 3), (4, "v", 4)] {
            sessions.put(token, sitting(user, line));
        }
        let ended = |it: &Sessions, token, user| it.is_ended(token, user, Timestamp(50));
        assert_eq!(sessions.end(&Ended::One(1), Timestamp(60)).0, 1);
        assert!(ended(&sessions, 1, "u") && ended(&sessions, 2, "u"), "its next cookie as well");
        assert!(!ended(&sessions, 3, "u") && !ended(&sessions, 4, "v"));
        assert_eq!(sessions.end(&Ended::User("u".to_owned()), Timestamp(60)).0, 1);
        assert!(ended(&sessions, 3, "u") && !ended(&sessions, 4, "v"));
        assert!(!sessions.is_ended(9, "u", Timestamp(61)), "they may sign in again");
        assert_eq!(sessions.end(&Ended::All, Timestamp(60)).0, 1);
        assert!(ended(&sessions, 4, "v") && ended(&sessions, 9, "w"));
        assert_eq!(sessions.iter().count(), 0);
    }

    #[test]
    fn sessions_are_bounded() {
        let mut sessions = Sessions::default();
        for token in 0..20_000 {
            sessions.put(token, sitting("u", token));
        }
        assert_eq!(sessions.iter().count(), SESSIONS);
    }
}

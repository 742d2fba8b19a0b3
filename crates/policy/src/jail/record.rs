//! What is held against one client.

use std::{
    collections::VecDeque,
    ops::{Add, Sub},
    time::Duration,
};

use gateway_n8n::Surface;

use super::{Jail, Offence, Sentence};

/// A moment: seconds since 1970. It only ever comes from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// How long after `earlier` it is; nothing if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// So many seconds later, or earlier if it is below 0.
    #[must_use]
    pub fn moved(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(seconds(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(seconds(span)))
    }
}

/// One offence, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// What.
    pub offence: Offence,
    /// Where, if a surface was found.
    pub surface: Option<Surface>,
    /// The request's id; 0 where there was none.
    pub request: u64,
    /// Whose account was tried: a keyed hash that tells nothing.
    pub account: Option<u64>,
}

/// The bans that a client has had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// How many.
    pub count: u32,
    /// When the last ones began, oldest first, at most [`Past::REMEMBERED`].
    pub began: VecDeque<Timestamp>,
    /// When the last one ends.
    pub ends: Timestamp,
}

impl Past {
    /// How many bans are remembered with their times.
    pub const REMEMBERED: usize = 100;

    /// Adds a ban that began at `at` and ends at `ends`.
    pub fn add(&mut self, at: Timestamp, ends: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.ends = self.ends.max(ends);
        self.began.push_back(at);
        if self.began.len() > Self::REMEMBERED {
            self.began.pop_front();
        }
    }

    pub(super) fn within(&self, span: Duration, now: Timestamp) -> usize {
        self.began.iter().filter(|at| now.since(**at) < span).count()
    }
}

/// What is held against one client.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The bans it has had.
    pub past: Past,
    held: Vec<(Jail, VecDeque<Note>)>,
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Where the client sits.
    pub jail: Jail,
    /// The jail that counted: another one only with [`Jail::Recidive`].
    pub because: Jail,
    /// When it began.
    pub since: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// The client's how manyth it is, from 1.
    pub nth: u32,
    /// What it is for, oldest first.
    pub notes: Vec<Note>,
    /// Whether it is only told and not carried out.
    pub dry_run: bool,
}

/// What a jail has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The jail.
    pub jail: Jail,
    /// How much it holds now.
    pub count: usize,
    /// How much is too much.
    pub most: u16,
}

/// What follows from an offence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Each jail that counted it.
    pub counted: Vec<Count>,
    /// The ban, if it was one too many.
    pub ban: Option<Ban>,
}

/// How many offences a ban tells of (fail2ban's `dbmaxmatches`).
const TOLD: usize = 10;

impl Record {
    /// Holds `note` in a jail, forgets what is older than its `find_time` or more than `most`, and
    /// counts.
    pub(super) fn hold(&mut self, sentence: &Sentence, most: u16, note: Note) -> usize {
        let at = self.held.iter().position(|(jail, _)| *jail == sentence.jail);
        let at = at.unwrap_or_else(|| {
            self.held.push((sentence.jail, VecDeque::new()));
            self.held.len() - 1
        });
        let Some((_, notes)) = self.held.get_mut(at) else { return 0 };
        // A clock that was set back must not keep an offence for ever.
        let fresh = |old: &Note| {
            note.at.since(old.at) < sentence.find_time && old.at.since(note.at).is_zero()
        };
        notes.retain(fresh);
        notes.push_back(note);
        while notes.len() > usize::from(most) {
            notes.pop_front();
        }
        notes.len()
    }

    /// Whether a jail holds something about `account` already.
    pub(super) fn has(&self, jail: Jail, account: Option<u64>) -> bool {
        account.is_some()
            && self.notes().any(|(held, note)| held == jail && note.account == account)
    }

    /// Takes what a jail holds, the last of it to be told.
    pub(super) fn take(&mut self, jail: Jail) -> Vec<Note> {
        let at = self.held.iter().position(|(held, _)| *held == jail);
        let notes: Vec<Note> = at.map(|at| self.held.swap_remove(at).1.into()).unwrap_or_default();
        let before = notes.len().saturating_sub(TOLD);
        notes.into_iter().skip(before).collect()
    }

    /// Forgets the failures of somebody who has signed in to `account` after all. Failures on
    /// other accounts stay: whoever has an account of their own must not clear their guesses at
    /// somebody else's with it.
    pub fn succeeded(&mut self, account: Option<u64>) {
        let forgiven = [
            Jail::SignIn,
            Jail::SignInSlow,
            Jail::SecondFactor,
            Jail::LeakedPassword,
            Jail::ApiKey,
        ];
        for (jail, notes) in &mut self.held {
            if forgiven.contains(jail) {
                notes.retain(|note| note.account != account);
            }
        }
        self.held.retain(|(_, notes)| !notes.is_empty());
    }

    /// How many offences it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.iter().map(|(_, notes)| notes.len()).sum()
    }

    /// Everything it holds, by jail, oldest first.
    pub fn notes(&self) -> impl Iterator<Item = (Jail, &Note)> {
        self.held.iter().flat_map(|(jail, notes)| notes.iter().map(|note| (*jail, note)))
    }
}

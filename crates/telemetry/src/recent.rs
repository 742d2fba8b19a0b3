//! What happened lately, for somebody who looks: kept in memory, the oldest forgotten first.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use crate::AccessRecord;

/// How many refusals are kept. With its path one takes less than a KiB.
const REFUSALS: usize = 512;

/// How many attempts to sign in are kept.
const SIGN_INS: usize = 256;

/// The longest path that is kept, in bytes: a stranger makes them up.
const LONGEST_PATH: usize = 400;

/// The last refusals and sign-ins.
#[derive(Debug)]
pub struct Recent {
    /// Requests that were refused, or would have been.
    pub refusals: Ring<Refusal>,
    /// Attempts to sign in.
    pub sign_ins: Ring<SignIn>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { refusals: Ring::new(REFUSALS), sign_ins: Ring::new(SIGN_INS) }
    }
}

/// Why a request was refused, besides what its access record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFor {
    /// The reason, by name.
    pub reason: &'static str,
    /// The line of the policy, or what else did it.
    pub rule: Option<String>,
    /// Whether it passed all the same, because nothing is refused in a dry run.
    pub dry_run: bool,
}

/// A request that was refused, or would have been. What is secret has been taken out of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When its record was written.
    pub at: SystemTime,
    /// Its id.
    pub request: u64,
    /// Who asked.
    pub client: IpAddr,
    /// The surface; nothing if none was found.
    pub surface: Option<&'static str>,
    /// The method.
    pub method: Box<str>,
    /// Path and query, redacted and cut off where it is long.
    pub path: String,
    /// What the client got.
    pub status: u16,
    /// Why.
    pub why: RefusedFor,
}

impl Refusal {
    pub(crate) fn of(record: AccessRecord<'_>, why: RefusedFor) -> Self {
        let AccessRecord { request_id, client, surface, method, mut path, status, .. } = record;
        if path.len() > LONGEST_PATH {
            let end = (0..=LONGEST_PATH).rev().find(|at| path.is_char_boundary(*at));
            path.truncate(end.unwrap_or(0));
            path.push('…');
            path.shrink_to_fit();
        }
        let (request, method) = (request_id, method.into());
        Self { at: now(), request, client, surface, method, path, status, why }
    }
}

/// An attempt to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// When it was answered.
    pub at: SystemTime,
    /// The request's id.
    pub request_id: String,
    /// Who tried.
    pub client: IpAddr,
    /// The surface.
    pub surface: Option<&'static str>,
    /// The account, as a keyed hash.
    pub account: Option<String>,
    /// Whether the client or the device had signed in to it before.
    pub known: bool,
    /// What went wrong; nothing if it succeeded.
    pub failure: Option<SignInFailure>,
}

/// What went wrong with an attempt to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInFailure {
    /// What was tried: `sign_in`, `mail_token`, `api_key` and so on.
    pub attempt: &'static str,
    /// Why it failed, as an offence.
    pub because: &'static str,
    /// The jail that counts it first.
    pub jail: Option<&'static str>,
    /// How much that jail holds against the client now.
    pub count: Option<usize>,
}

/// The last so many of something, numbered from 1.
#[derive(Debug)]
pub struct Ring<T> {
    most: usize,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    items: VecDeque<T>,
    last: u64,
}

impl<T: Clone> Ring<T> {
    fn new(most: usize) -> Self {
        // It grows as it fills: most gateways refuse little.
        Self { most, kept: Mutex::new(Kept { items: VecDeque::new(), last: 0 }) }
    }

    /// Keeps one more.
    pub(crate) fn push(&self, item: T) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if kept.items.len() == self.most { kept.items.pop_front() } else { None };
        kept.items.push_back(item);
        kept.last += 1;
        // What is let go of is freed after the lock.
        drop(kept);
        drop(oldest);
    }

    /// What came after the one with the number `after`, with their numbers, the last one first; and
    /// how many there were since the start.
    #[must_use]
    pub fn after(&self, after: u64) -> (Vec<(u64, T)>, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = (0..=kept.last).rev();
        let new = numbers.zip(kept.items.iter().rev()).take_while(|(number, _)| *number > after);
        (new.map(|(number, item)| (number, item.clone())).collect(), kept.last)
    }
}

#[expect(clippy::disallowed_methods, reason = "what is kept says when it was")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_numbers_go_on() {
        let ring = Ring::new(3);
        assert_eq!(ring.after(0), (Vec::new(), 0));
        for letter in ["a", "b", "c", "d"] {
            ring.push(letter);
        }
        assert_eq!(ring.after(0), (vec![(4, "d"), (3, "c"), (2, "b")], 4));
        assert_eq!(ring.after(3), (vec![(4, "d")], 4));
        assert_eq!(ring.after(4), (Vec::new(), 4));
        assert_eq!(ring.after(9), (Vec::new(), 4), "of another process");
    }

    #[test]
    fn a_long_path_is_cut_off_between_two_characters() {
        let record = AccessRecord {
            request_id: 7,
            client: IpAddr::from([192, 0, 2, 1]),
            surface: None,
            method: "GET",
            path: "/é".repeat(4000),
            http: "2",
            tls: None,
            client_certificate: None,
            status: 404,
            n8n_status: None,
            reason: Some("closed"),
            revision: 1,
            received: 0,
            sent: 0,
            duration_ms: 0.0,
            n8n_ms: None,
        };
        let why = RefusedFor { reason: "closed", rule: None, dry_run: false };
        let kept = Refusal::of(record, why);
        assert!(kept.path.len() <= LONGEST_PATH + '…'.len_utf8() && kept.path.ends_with('…'));
    }
}

//! One host: what is served for it, what is remembered of it, and what is due. Arithmetic alone.

use std::time::SystemTime;

use zeroize::Zeroizing;

use super::{Renewal, Standing, State};
use crate::{
    Acme, Identity, Shown,
    acme::LONGEST_LIMIT,
    renewal::{Plan, Window, back_off, plan, spacing},
    store::Record,
};

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) record: Record,
    /// What a CA has issued; nothing as long as there is only a temporary certificate.
    pub(super) identity: Option<Identity>,
    /// What the CA said of it.
    pub(super) suggestion: Option<Suggestion>,
    /// The chain and key that could not be written down yet.
    pub(super) unkept: Option<Unkept>,
    /// When its file was written, as this process last saw it.
    pub(super) written: Option<SystemTime>,
}

/// What could not be written down yet: PEM.
pub(super) struct Unkept {
    pub(super) chain: String,
    pub(super) key: Zeroizing<String>,
}

impl std::fmt::Debug for Unkept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unkept").finish_non_exhaustive()
    }
}

/// When a CA would like a certificate to be renewed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suggestion {
    /// Nothing where it has no wishes.
    pub(super) window: Option<Window>,
    /// When to ask again, in seconds since 1970.
    pub(super) ask_again: i64,
}

impl Host {
    fn plan(&self) -> Option<Plan> {
        let window = self.suggestion.and_then(|it| it.window);
        self.identity.as_ref().map(|identity| plan(identity, window))
    }

    /// Whether a certificate is to be got now.
    pub(super) fn is_due(&self, acme: &Acme, now: i64) -> bool {
        if self.record.waits(now).is_some() {
            return false;
        }
        let Some(identity) = &self.identity else { return true };
        // One of a CA that is not asked any more, of its staging directory for one, is replaced; and
        // one that is revoked.
        let url = self.record.directory_url.as_ref();
        let foreign = url.is_some_and(|url| acme.directories.iter().all(|it| it.url != *url));
        if foreign || self.record.revoked.as_ref() == Some(&identity.serial) {
            return true;
        }
        self.due(now).is_some_and(|due| now >= due)
    }

    /// When the certificate is to be renewed: as planned, but whatever the dates say, orders that
    /// succeed do not follow one another in a circle.
    fn due(&self, now: i64) -> Option<i64> {
        let (identity, plan) = self.identity.as_ref().zip(self.plan())?;
        let issued = self.record.issued.filter(|then| *then <= now);
        let rested = issued.map(|then| then.saturating_add(spacing(identity)));
        Some(rested.map_or(plan.at, |rested| plan.at.max(rested)))
    }

    /// When something may be due next.
    pub(super) fn next(&self, now: i64) -> i64 {
        self.record.waits(now).or_else(|| self.due(now)).unwrap_or(now)
    }

    /// How long what is served is good for, in seconds; nothing if nothing good is.
    pub(super) fn left(&self, now: i64) -> Option<i64> {
        self.identity.as_ref().map(|it| it.not_after - now).filter(|left| *left > 0)
    }

    /// Whether it cannot wait any longer, not even for a disk.
    pub(super) fn is_dire(&self, now: i64) -> bool {
        self.identity.as_ref().is_some_and(|it| {
            let life = it.not_after - it.not_before;
            it.not_after - now < life / 6
        })
    }

    pub(super) fn standing(&self, shown: &Shown, now: i64) -> Standing {
        let Shown { identity, temporary } = shown;
        let renewal = self.plan().map(|Plan { window, at, source }| Renewal {
            from: window.from,
            until: window.until,
            at,
            source,
        });
        let next = self.record.waits(now).or_else(|| self.due(now));
        Standing {
            host: self.name.clone(),
            state: match (temporary, identity.not_after > now) {
                (true, _) => State::Temporary,
                (false, true) => State::Valid,
                (false, false) => State::Expired,
            },
            issuer: identity.issuer.clone(),
            serial: identity.serial.clone(),
            not_before: identity.not_before,
            not_after: identity.not_after,
            directory: self.record.directory.clone(),
            challenge: self.record.challenge,
            renewal,
            next_attempt: next,
            failures: self.record.failures,
            last_error: self.record.last_error.clone(),
        }
    }
}

/// How often challenges may fail at a CA within an hour, and what an hour is.
const FAILURES_AN_HOUR: usize = 4;
const HOUR: i64 = 3600;

/// After how many starts that ended an attempt an open order is waited with like any other.
const WAKINGS: u32 = 3;

impl Record {
    /// Takes down that this is a new process. An attempt that the last one did not end counts as
    /// failed, or a machine that dies of it again and again would order again and again.
    pub(super) fn woke(&mut self, now: i64, host: &str) {
        self.drop_limits(now);
        if !std::mem::take(&mut self.under_way) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        // What has been ordered can be fetched; that costs the CA nothing.
        if self.orders.is_empty() || self.failures > WAKINGS {
            self.failed = Some(now);
            self.not_before = Some(now + back_off(self.failures, None, host));
        }
    }

    /// Before when nothing is tried. What was written when the clock was ahead does not count.
    fn waits(&self, now: i64) -> Option<i64> {
        let failed = self.failed.is_some_and(|failed| failed <= now);
        self.not_before.filter(|then| failed && *then > now)
    }

    /// Forgets what went wrong, but not what a CA has asked for.
    pub(super) fn forgive(&mut self) {
        (self.failures, self.failed, self.not_before) = (0, None, None);
        self.last_error = None;
    }

    /// Forgets the limits that have passed, and those that a clock ahead of its time has left.
    pub(super) fn drop_limits(&mut self, now: i64) {
        let longest = i64::try_from(LONGEST_LIMIT).unwrap_or(i64::MAX);
        self.limited.retain(|_, until| *until > now && until.saturating_sub(now) <= longest);
    }

    /// How long a CA without a staging directory is left alone because challenges failed there, in
    /// seconds: Let's Encrypt lets a host fail five times an hour.
    pub(crate) fn must_rest(&mut self, url: &str, now: i64) -> Option<i64> {
        let lost = self.lost.get_mut(url)?;
        lost.retain(|then| (0..HOUR).contains(&now.saturating_sub(*then)));
        let first = *lost.first()?;
        (lost.len() >= FAILURES_AN_HOUR).then_some(first + HOUR - now)
    }
}

//! Jails: what is held against a client, when that is too much, and how long it is banned then.
//!
//! A state machine without a clock and without dice: time and chance are arguments, so that an
//! attack can be replayed. The words are fail2ban's.

mod offence;
mod record;

use std::{net::IpAddr, sync::Arc, time::Duration};

pub use offence::{Jail, Offence};
pub use record::{Ban, Count, Note, Past, Record, Timestamp, Verdict};

use ipnet::IpNet;

use crate::{Network, Source};

/// When a jail bans, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// The jail.
    pub jail: Jail,
    /// How many offences within `find_time` are too many, 1 to [`Sentence::MAX_RETRY`].
    pub max_retry: u16,
    /// How long an offence is held against a client.
    pub find_time: Duration,
    /// How long the first ban lasts.
    pub ban_time: Duration,
    /// Whether the jail only tells what it would do.
    pub dry_run: bool,
}

impl Sentence {
    /// The largest `max_retry`; a site may have eight times as much.
    pub const MAX_RETRY: u16 = 200;

    /// How many offences of `whose` are too many; nothing if they are not counted at all.
    fn most(&self, whose: Whose) -> Option<u16> {
        let times = match whose {
            Whose::Client => 1,
            Whose::Workplace => self.jail.shared(),
            Whose::Site => self.jail.site()?,
        };
        Some(self.max_retry.saturating_mul(times))
    }
}

/// Whose offences are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A client's.
    Client,
    /// An address's from which people work in the editor.
    Workplace,
    /// A whole IPv6 site's.
    Site,
}

/// How bans grow. fail2ban's `bantime.increment` and its settings, with its own formula:
/// `ban_time * 2^n * factor` for a client that was banned `n` times before, or
/// `ban_time * multipliers[n] * factor`; the first ban is `ban_time`.
///
/// Source: fail2ban `config/jail.conf`, `server/observer.py` (`incrBanTime`).
#[derive(Clone, Debug, PartialEq)]
pub struct Increment {
    /// A factor, above 0.
    pub factor: f64,
    /// What `ban_time` is multiplied by after no ban, one ban, and so on; the last one holds for
    /// all that follow. Powers of two if there are none. As in fail2ban, the first ban does not
    /// look at it.
    pub multipliers: Vec<u32>,
    /// The longest ban.
    pub max_time: Duration,
    /// Up to so much is added by chance, so that nobody can tell when a ban ends.
    pub rnd_time: Duration,
}

/// How long the bans of the policy last at the most, whatever it says: a ban ends.
pub const LONGEST_BAN: Duration = Duration::from_hours(24 * 366 * 10);

/// The longest exponent of the formula, as in fail2ban.
const MAX_DOUBLINGS: u32 = 20;

/// The length of a site's IPv6 prefix (RFC 6177).
const SITE: u8 = 48;

/// The IPv6 site that `net` is a part of, if it is part of one.
#[must_use]
pub fn site_of(net: IpNet) -> Option<IpNet> {
    let part = matches!(net, IpNet::V6(_)) && net.prefix_len() > SITE;
    if part { IpNet::new(net.addr(), SITE).ok().map(|site| site.trunc()) } else { None }
}

/// Everything about bans. By default there are none.
#[derive(Clone, Debug, Default)]
pub struct Bans {
    /// Whose offences are not counted.
    pub never: Vec<(Arc<Network>, Source)>,
    /// When each jail bans.
    pub jails: Vec<Sentence>,
    /// How bans grow; nothing if they do not.
    pub increment: Option<Increment>,
    /// When a client that was banned again and again is banned for long.
    pub recidive: Option<Sentence>,
}

impl Bans {
    /// The same, only told and not carried out.
    #[must_use]
    pub fn dry(self) -> Self {
        let dry = |it: Sentence| Sentence { dry_run: true, ..it };
        let (jails, recidive) = (self.jails.into_iter().map(dry).collect(), self.recidive.map(dry));
        Self { jails, recidive, ..self }
    }

    /// Whether `address` can be banned as far as the policy goes.
    #[must_use]
    pub fn never(&self, address: IpAddr) -> Option<&Network> {
        let found = self.never.iter().find(|(network, _)| network.contains(address));
        found.map(|(network, _)| &**network)
    }

    /// Holds an offence of `whose` against whoever has `record`, and says what follows. `chance` is
    /// between 0 and 1.
    ///
    /// More than one jail may count it; the verdict is the longest ban among them.
    pub fn note(&self, record: &mut Record, note: Note, whose: Whose, chance: f64) -> Verdict {
        let mut verdict = Verdict::default();
        // Whoever shows the same key again guesses nothing: a job whose key has expired.
        let same = |jail| note.offence == Offence::WrongKey && record.has(jail, note.account);
        let jails: Vec<&Sentence> = self
            .jails
            .iter()
            .filter(|it| note.offence.counts_in(it.jail) && !same(it.jail))
            .collect();
        for sentence in jails {
            let Some(most) = sentence.most(whose) else { continue };
            let count = record.hold(sentence, most, note);
            verdict.counted.push(Count { jail: sentence.jail, count, most });
            if count < usize::from(most) {
                continue;
            }
            let notes = record.take(sentence.jail);
            let ban = self.ban(record, sentence, note.at, notes, chance);
            let longer = |old: &Ban| (old.dry_run, ban.until) < (ban.dry_run, old.until);
            if !verdict.ban.as_ref().is_some_and(longer) {
                verdict.ban = Some(ban);
            }
        }
        if let Some(ban) = verdict.ban.as_mut().filter(|ban| !ban.dry_run) {
            record.past.add(ban.since, ban.until);
            self.relapse(record, ban);
        }
        verdict
    }

    fn ban(
        &self,
        record: &Record,
        sentence: &Sentence,
        now: Timestamp,
        notes: Vec<Note>,
        chance: f64,
    ) -> Ban {
        let before = record.past.count;
        let lasts = match (&self.increment, before) {
            (Some(increment), 1..) => increment.lasts(sentence.ban_time, before, chance),
            (Some(_) | None, _) => sentence.ban_time,
        };
        Ban {
            jail: sentence.jail,
            because: sentence.jail,
            since: now,
            until: now + lasts.min(LONGEST_BAN),
            nth: before + 1,
            notes,
            dry_run: sentence.dry_run,
        }
    }

    /// Makes of one ban too many a long one.
    fn relapse(&self, record: &Record, ban: &mut Ban) {
        let Some(recidive) = &self.recidive else { return };
        if record.past.within(recidive.find_time, ban.since) < usize::from(recidive.max_retry) {
            return;
        }
        let until = ban.since + recidive.ban_time.min(LONGEST_BAN);
        if !recidive.dry_run && until > ban.until {
            (ban.jail, ban.until) = (Jail::Recidive, until);
        }
    }

    /// Whether an account's password has leaked, after it was shown `count` times without the
    /// second factor and without a success in between: at the third time, and now and then after.
    #[must_use]
    pub fn is_leak(count: u32) -> bool {
        count == 3 || (count > 0 && count.is_multiple_of(10))
    }
}

impl Increment {
    fn lasts(&self, ban_time: Duration, before: u32, chance: f64) -> Duration {
        let multiplier = match self.multipliers.as_slice() {
            [] => f64::from(1_u32 << before.min(MAX_DOUBLINGS)),
            [.., last] => {
                let nth = self.multipliers.get(usize::try_from(before).unwrap_or(usize::MAX));
                f64::from(*nth.unwrap_or(last))
            }
        };
        let seconds = ban_time.as_secs_f64() * multiplier * self.factor;
        let seconds = seconds + self.rnd_time.as_secs_f64() * chance.clamp(0.0, 1.0);
        let grown = Duration::try_from_secs_f64(seconds).unwrap_or(self.max_time);
        // A ban that grows is never shorter than the first one.
        grown.min(self.max_time).max(ban_time)
    }
}

#[cfg(test)]
mod tests;

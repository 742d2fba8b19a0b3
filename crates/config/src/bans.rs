//! Who is banned when: the file's `bans` over fail2ban's own numbers.

use std::time::Duration;

use gateway_policy::{Bans, Increment, Jail, LONGEST_BAN, Place, Sentence};

use crate::{
    access::{Surroundings, networks_of},
    at::{At, Keyed},
    de::Session,
    problem::did_you_mean,
    raw,
    text::Span,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// Jail, `max_retry`, `find_time` and `ban_time` in seconds. Where fail2ban has no word for it
/// (its default is 5, 10m, 10m): honest people are far below, whoever guesses is not.
const DEFAULTS: [(Jail, u16, u64, u64); 9] = [
    (Jail::SignIn, 5, 10 * MINUTE, 10 * MINUTE),
    // Whoever stays below the jail above has 700 guesses a day.
    (Jail::SignInSlow, 30, DAY, DAY),
    (Jail::SecondFactor, 5, 10 * MINUTE, 10 * MINUTE),
    // Each sign-in with a second factor is one, and is forgiven when the code is right.
    (Jail::LeakedPassword, 10, HOUR, HOUR),
    (Jail::ApiKey, 10, 10 * MINUTE, 10 * MINUTE),
    (Jail::Scan, 10, 10 * MINUTE, HOUR),
    (Jail::Attack, 3, 10 * MINUTE, DAY),
    (Jail::Flood, 60, MINUTE, 10 * MINUTE),
    (Jail::Protocol, 20, 10 * MINUTE, 10 * MINUTE),
];

/// fail2ban's own `[recidive]`.
const RECIDIVE: (Jail, u16, u64, u64) = (Jail::Recidive, 5, DAY, WEEK);

fn sentence((jail, max_retry, find_time, ban_time): (Jail, u16, u64, u64)) -> Sentence {
    let (find_time, ban_time) = (Duration::from_secs(find_time), Duration::from_secs(ban_time));
    Sentence { jail, max_retry, find_time, ban_time, dry_run: false }
}

pub(crate) fn bans(raw: raw::Bans, around: &Surroundings<'_>) -> (Bans, bool) {
    let raw::Bans { never, jails, increment, recidive, nftables } = raw;
    let session = around.session;
    let recidive = match recidive.and_then(|it| it.value).unwrap_or_default() {
        raw::Switch::Plain(false) => None,
        raw::Switch::Plain(true) => Some(sentence(RECIDIVE)),
        raw::Switch::Set(raw) => set(sentence(RECIDIVE), raw, session),
    };
    let bans = Bans {
        never: networks_of(never, around),
        jails: jails_of(jails, session),
        increment: match increment.and_then(|it| it.value).unwrap_or_default() {
            raw::Switch::Plain(false) => None,
            raw::Switch::Plain(true) => Some(growing(raw::Increment::default(), session)),
            raw::Switch::Set(raw) => Some(growing(raw, session)),
        },
        recidive,
    };
    (bans, nftables.and_then(|it| it.value).unwrap_or(false))
}

fn jails_of(raw: Option<At<Keyed<raw::Jail>>>, session: &Session<'_>) -> Vec<Sentence> {
    let mut all: Vec<Sentence> = DEFAULTS.into_iter().map(sentence).collect();
    for (name, value) in raw.and_then(|raw| raw.value).unwrap_or_default().0 {
        let (Some(label), Some(raw)) = (name.value, value.value) else { continue };
        let found = Jail::named(&label);
        let at = all.iter().position(|it| found == Some(it.jail));
        let (Some(at), Some(jail)) = (at, found) else {
            unknown(&label, name.place, session);
            continue;
        };
        let before = all.remove(at);
        all.retain(|it| it.jail != jail);
        if let Some(written) = set(before, raw, session) {
            all.insert(at, written);
        }
    }
    all
}

fn unknown(label: &str, place: Place, session: &Session<'_>) {
    let names = Jail::counting().map(Jail::name);
    let hint = match label {
        "recidive" => "`recidive` stands beside `jails`".to_owned(),
        _ => did_you_mean(label, names.clone())
            .unwrap_or_else(|| format!("jails: {}", names.collect::<Vec<_>>().join(", "))),
    };
    session.error(place, format!("there is no jail `{label}`"), Some(hint));
}

/// A jail as the file sets it; nothing if it is closed.
fn set(default: Sentence, raw: raw::Jail, session: &Session<'_>) -> Option<Sentence> {
    let raw::Jail { max_retry, find_time, ban_time, enabled, dry_run } = raw;
    let most = Sentence::MAX_RETRY;
    let max_retry = match max_retry {
        Some(At { place, value: Some(value) }) if value == 0 || value > most => {
            let message = format!("`max_retry` is between 1 and {most}");
            session.error(place, message, None);
            default.max_retry
        }
        other => other.and_then(|it| it.value).unwrap_or(default.max_retry),
    };
    let enabled = enabled.and_then(|it| it.value).unwrap_or(true);
    let sentence = Sentence {
        jail: default.jail,
        max_retry,
        find_time: time(find_time, default.find_time, session),
        ban_time: time(ban_time, default.ban_time, session),
        dry_run: dry_run.and_then(|it| it.value).unwrap_or(false),
    };
    enabled.then_some(sentence)
}

fn time(raw: Option<At<Span>>, default: Duration, session: &Session<'_>) -> Duration {
    match raw {
        Some(At { place, value: Some(Span(span)) }) if span < Duration::from_secs(1) => {
            session.error(place, "a second is the least", None);
            default
        }
        Some(At { place, value: Some(Span(span)) }) if span > LONGEST_BAN => {
            session.error(place, "ten years are the most: a ban ends", None);
            default
        }
        other => other.and_then(|it| it.value).map_or(default, |it| it.0),
    }
}

fn growing(raw: raw::Increment, session: &Session<'_>) -> Increment {
    let raw::Increment { factor, multipliers, max_time, rnd_time } = raw;
    let factor = match factor {
        Some(At { place, value: Some(value) }) if !value.is_finite() || value <= 0.0 => {
            session.error(place, "a factor is above 0", None);
            1.0
        }
        other => other.and_then(|it| it.value).unwrap_or(1.0),
    };
    let multipliers = multipliers.and_then(|it| it.value).map(|it| it.0).unwrap_or_default();
    Increment {
        factor,
        multipliers: multipliers.into_iter().filter_map(|it| it.value).collect(),
        max_time: time(max_time, Duration::from_secs(WEEK), session),
        rnd_time: rnd_time.and_then(|it| it.value).map_or(Duration::ZERO, |it| it.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jail_that_counts_has_a_default() {
        let with: Vec<_> = DEFAULTS.iter().map(|it| it.0).collect();
        assert_eq!(with, Jail::counting().collect::<Vec<_>>());
        assert!(DEFAULTS.iter().all(|it| (1..=Sentence::MAX_RETRY).contains(&it.1)));
    }
}

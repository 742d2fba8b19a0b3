//! What is asked of accounts: the file's `accounts`.

use std::{fmt, ops::RangeInclusive, path::PathBuf};

use gateway_n8n::LONGEST_PASSWORD;
use gateway_policy::{Accounts, PasswordRule, SecondFactor, Source};

use crate::{
    at::{At, OneOrMany},
    de::Session,
    networks,
    raw::{self, Switch},
    world::unreadable,
};

/// The length of a SHA-1 hash in digits.
const HASH: usize = 40;

/// What is asked of accounts, and the list of passwords that have leaked.
pub(crate) fn accounts(raw: raw::Accounts, session: &Session<'_>) -> (Accounts, Option<PathBuf>) {
    let raw::Accounts { require_mfa, password: new } = raw;
    let (password, leaked) = new.map_or((None, None), |it| password(it, session));
    let second_factor = require_mfa.and_then(|it| second_factor(it, session));
    (Accounts { second_factor, password }, leaked)
}

fn password(
    raw: At<raw::Password>,
    session: &Session<'_>,
) -> (Option<PasswordRule>, Option<PathBuf>) {
    let raw::Password { min_length, classes, strength, leaked } = raw.value.unwrap_or_default();
    let leaked = leaked.and_then(|file| list(&file, session));
    let rule = PasswordRule {
        min_length: within(min_length, 8..=LONGEST_PASSWORD, 8, session),
        classes: within(classes, 1..=4, 1, session),
        strength: within(strength, 1..=4, 0, session),
        leaked: leaked.is_some(),
        source: Source::Written(raw.place),
    };
    (Some(rule), leaked)
}

fn within<T: PartialOrd + fmt::Display>(
    field: Option<At<T>>,
    range: RangeInclusive<T>,
    default: T,
    session: &Session<'_>,
) -> T {
    let Some(At { place, value: Some(value) }) = field else { return default };
    if !range.contains(&value) {
        session.error(place, format!("between {} and {}", range.start(), range.end()), None);
    }
    value
}

/// A list of hashes: its beginning tells whether it is one.
fn list(file: &At<String>, session: &Session<'_>) -> Option<PathBuf> {
    let full = networks::full_path(file, session)?;
    let hint = "sorted lines `SHA-1:count`: `haveibeenpwned-downloader pwned-passwords`";
    match session.world.beginning(&full, HASH) {
        Ok(hash) if hash.len() == HASH && hash.iter().all(u8::is_ascii_hexdigit) => Some(full),
        Ok(_) => {
            let message = format!("{}: no list of SHA-1 hashes", full.display());
            session.error(file.place, message, Some(hint.to_owned()));
            None
        }
        Err(why) => {
            let (message, hint) = unreadable(&full, &why, session.world);
            session.error(file.place, message, hint);
            None
        }
    }
}

fn second_factor(
    raw: At<Switch<raw::SecondFactor>>,
    session: &Session<'_>,
) -> Option<SecondFactor> {
    let raw::SecondFactor { from, except } = match raw.value? {
        Switch::Plain(false) => return None,
        Switch::Plain(true) => raw::SecondFactor::default(),
        Switch::Set(set) => set,
    };
    Some(SecondFactor {
        from: from.and_then(|day| day.value).map(|day| day.0),
        except: except.map(|list| users(list, session)).unwrap_or_default(),
        source: Source::Written(raw.place),
    })
}

/// Users by the addresses that they sign in with, as n8n looks them up, or by n8n's ids.
fn users(list: At<OneOrMany<String>>, session: &Session<'_>) -> Vec<String> {
    let names = list.value.map(|list| list.0).unwrap_or_default();
    let named = |one: At<String>| {
        let name = one.value?.trim().to_lowercase();
        let is_id = name.len() == 36 && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !name.contains('@') && !is_id {
            let hint = "an address such as `ci@example.com`, or an id as `/rest/users` shows it";
            let message = format!("`{name}` is neither an address nor a user's id");
            session.error(one.place, message, Some(hint.to_owned()));
        }
        Some(name)
    };
    names.into_iter().filter_map(named).collect()
}

//! What is asked of accounts: the file's `accounts`.

mod api_keys;

use std::{fmt, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use gateway_n8n::{LONGEST_PASSWORD, Surface};
use gateway_policy::{
    Access, Accounts, AddressRule, NewNetwork, PasswordRule, Place, SecondFactor, SessionRule,
    Source, Whereabouts, Who,
};

use crate::{
    Needs,
    access::Surroundings,
    at::{At, OneOrMany},
    de::Session,
    grants::{Authorities, who},
    networks,
    raw::{self, Switch},
    text::Span,
    world::unreadable,
};

/// The shortest time that a session may last: its uses are taken down by the minute.
const SHORTEST: Duration = Duration::from_mins(5);

/// The length of a SHA-1 hash in digits.
const HASH: usize = 40;

/// The places that are opened to others than the surface they belong to: the field, and each place.
const PLACES: [(&str, &[(Surface, &str)]); 4] = [
    ("owner_setup", &[(Surface::SignIn, "owner/setup")]),
    ("invitations", &[(Surface::Rest, "invitations")]),
    (
        "sign_up",
        &[(Surface::SignIn, "invitations/accept"), (Surface::SignIn, "resolve-signup-token")],
    ),
    (
        "password_reset",
        &[
            (Surface::SignIn, "forgot-password"),
            (Surface::SignIn, "resolve-password-token"),
            (Surface::SignIn, "change-password"),
        ],
    ),
];

/// What is asked of accounts, and the list of passwords that have leaked. Who may come to the
/// places where accounts are made goes to `access`.
pub(crate) fn accounts(
    raw: raw::Accounts,
    around: &Surroundings<'_>,
    access: &mut Access,
    authorities: &mut Authorities<'_>,
    needs: &mut Needs,
) -> (Accounts, Option<PathBuf>) {
    let session = around.session;
    let raw::Accounts {
        require_mfa,
        sessions: lasting,
        api_keys: keys,
        password: new,
        owner_setup,
        invitations,
        sign_up,
        password_reset,
        allowed_emails,
    } = raw;
    let opened = [owner_setup, invitations, sign_up, password_reset];
    keep_to_editors(access);
    for ((name, places), list) in PLACES.into_iter().zip(opened) {
        let Some(At { place, value: Some(list) }) = list else { continue };
        let Some(who) = who(place, list, around, authorities) else { continue };
        for (surface, path) in places {
            open(name, (*surface, path), who.clone(), place, access, session);
        }
    }
    let (password, leaked) = new.map_or((None, None), |it| password(it, session));
    let second_factor = require_mfa.and_then(|it| second_factor(it, session));
    let addresses = allowed_emails.map(|it| allowed(it, session));
    let (sessions, whereabouts) = lasting.map_or((None, None), |it| sessions(it, needs, session));
    let (api_keys, of_keys) = api_keys::api_keys(keys, whereabouts.is_some(), around, needs);
    let whereabouts = whereabouts.or(of_keys);
    (Accounts { second_factor, sessions, api_keys, whereabouts, password, addresses }, leaked)
}

/// Whoever claims n8n first owns it: a surface `sign-in` that is opened to others does not open that.
fn keep_to_editors(access: &mut Access) {
    let editor = access.of(Surface::Editor).root();
    let (who, source) = (editor.value.clone(), editor.source);
    let sign_in = access.of(Surface::SignIn);
    let written = matches!(sign_in.root().source, Source::Written(_));
    if written && !sign_in.iter().any(|rule| rule.path == "owner/setup") {
        let source = match source {
            Source::Written(place) => Source::FollowsEditor(place),
            Source::FollowsEditor(_) | Source::Default => source,
        };
        access.set(Surface::SignIn, "owner/setup", who, source);
    }
}

fn open(
    name: &str,
    (surface, path): (Surface, &str),
    who: Who,
    place: Place,
    access: &mut Access,
    session: &Session<'_>,
) {
    let there = access.of(surface).iter().find(|rule| rule.path == path).map(|it| it.source);
    if let Some(source @ Source::Written(_)) = there {
        let message =
            format!("`access` says who may call `{}/{path}`, too ({source})", surface.name());
        let hint = format!("say it once: leave `accounts.{name}` or that line out");
        session.error(place, message, Some(hint));
    }
    if matches!(who, Who::Anyone) && name == "owner_setup" {
        let hint = "name the networks that you claim it from".to_owned();
        session.warning(place, "anyone may claim an n8n that has no owner", Some(hint));
    }
    access.set(surface, path, who, Source::Written(place));
}

fn allowed(raw: At<OneOrMany<String>>, session: &Session<'_>) -> AddressRule {
    let list = raw.value.map(|list| list.0).unwrap_or_default();
    let pattern = |one: At<String>| {
        let pattern = one.value?.trim().to_lowercase();
        if pattern.matches('@').count() != 1 {
            let hint = "such as `\"*@example.com\"`".to_owned();
            session.error(one.place, format!("`{pattern}` is no pattern of addresses"), Some(hint));
        }
        Some(pattern)
    };
    let patterns = list.into_iter().filter_map(pattern).collect();
    AddressRule { patterns, source: Source::Written(raw.place) }
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

fn sessions(
    raw: At<raw::Sessions>,
    needs: &mut Needs,
    session: &Session<'_>,
) -> (Option<SessionRule>, Option<Arc<dyn Whereabouts>>) {
    let raw::Sessions { max_age, idle, new_network, database } = raw.value.unwrap_or_default();
    let long_enough = |field: Option<At<Span>>| {
        let At { place, value } = field?;
        let Span(span) = value?;
        if span < SHORTEST {
            session.error(place, "five minutes are the least", None);
        }
        Some(span)
    };
    let rule = SessionRule {
        max_age: long_enough(max_age),
        idle: long_enough(idle),
        new_network: moved(new_network).unwrap_or(NewNetwork::Report),
        source: Source::Written(raw.place),
    };
    let whereabouts = database.and_then(|file| networks::whereabouts(&file, needs, session));
    (Some(rule), whereabouts)
}

fn moved(written: Option<At<raw::NewNetwork>>) -> Option<NewNetwork> {
    Some(match written?.value? {
        raw::NewNetwork::Allow => NewNetwork::Allow,
        raw::NewNetwork::Report => NewNetwork::Report,
        raw::NewNetwork::Refuse => NewNetwork::Refuse,
    })
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

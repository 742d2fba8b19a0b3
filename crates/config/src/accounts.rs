//! What is asked of accounts: the file's `accounts`.

use gateway_policy::{Accounts, SecondFactor, Source};

use crate::{
    at::{At, OneOrMany},
    de::Session,
    raw::{self, Switch},
};

pub(crate) fn accounts(raw: raw::Accounts, session: &Session<'_>) -> Accounts {
    let raw::Accounts { require_mfa } = raw;
    Accounts { second_factor: require_mfa.and_then(|it| second_factor(it, session)) }
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

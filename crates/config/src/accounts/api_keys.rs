//! What is asked of API keys: the file's `accounts.api_keys`.

use std::sync::Arc;

use gateway_n8n::RESOURCES;
use gateway_policy::{
    ApiKeys, Fingerprint, KeyRule, Limit, Network, NewNetwork, Per, Source, Whereabouts,
};

use super::moved;
use crate::{
    Needs,
    access::{Surroundings, network},
    at::{At, OneOrMany},
    networks,
    problem::did_you_mean,
    rates::quota,
    raw,
    text::Rate,
};

/// How many digits of a fingerprint stand in the name of its limit.
const DIGITS: usize = 12;

/// How many keys may have rules of their own: their limits are labels of metrics.
const MOST: usize = 256;

/// What is asked of keys, and where addresses are, unless sessions have said so.
pub(super) fn api_keys(
    raw: Option<At<raw::ApiKeys>>,
    located: bool,
    around: &Surroundings<'_>,
    needs: &mut Needs,
) -> (Option<ApiKeys>, Option<Arc<dyn Whereabouts>>) {
    let Some(At { place, value }) = raw else { return (None, None) };
    let raw::ApiKeys { networks, read_only, resources, rate, burst, new_network, database, keys } =
        value.unwrap_or_default();
    let base = KeyRule {
        networks: None,
        read_only: false,
        resources: None,
        rate: None,
        new_network: NewNetwork::Report,
        source: Source::Written(place),
    };
    let written = raw::ApiKey { networks, read_only, resources, rate, burst, new_network };
    let all = rule(written, "api-keys", &base, around);
    let mut api_keys = ApiKeys { all, keys: [].into(), users: [].into() };
    let own = keys.and_then(|it| it.value).unwrap_or_default().0;
    if let Some((key, _)) = own.get(MOST) {
        around.session.error(key.place, format!("more than {MOST} rules"), None);
    }
    for (key, value) in own.into_iter().take(MOST) {
        single(&mut api_keys, key, value.value.unwrap_or_default(), around);
    }
    if let Some(At { place, .. }) = database.as_ref().filter(|_| located) {
        let hint = Some("`sessions.database` counts for keys as well".to_owned());
        around.session.error(*place, "where addresses are is said twice", hint);
        return (Some(api_keys), None);
    }
    let whereabouts = database.and_then(|file| networks::whereabouts(&file, needs, around.session));
    (Some(api_keys), whereabouts)
}

/// What is asked of a single key, or of a user's. What is no name is not said again: it could be a key.
fn single(api_keys: &mut ApiKeys, key: At<String>, raw: raw::ApiKey, around: &Surroundings<'_>) {
    let (name, place) = (key.value.unwrap_or_default(), key.place);
    let source = Source::Written(place);
    let twice = || around.session.error(place, "the same name stands there twice", None);
    if let Ok(fingerprint) = name.parse::<Fingerprint>() {
        let name: String = name.chars().skip("sha256:".len()).take(DIGITS).collect();
        let base = KeyRule { source, ..api_keys.all.clone() };
        let rule = rule(raw, &format!("api-key {name}"), &base, around);
        if api_keys.keys.insert(fingerprint, rule).is_some() {
            twice();
        }
        return;
    }
    let user = name.strip_prefix("user:").map(|it| it.trim().to_lowercase());
    let is_id = |it: &String| {
        !it.is_empty()
            && it.len() <= 64
            && it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let Some(user) = user.filter(is_id) else {
        let hint = "`\"sha256:…\"`, as `n8n-gateway api-keys fingerprint` says it, or `\"user:…\"` with \
                    n8n's id of the user";
        let message = "this is neither a key's fingerprint nor a user";
        around.session.error(place, message, Some(hint.to_owned()));
        return;
    };
    // Besides what is asked of all: what is not said is not asked once more.
    let base = KeyRule {
        networks: None,
        read_only: false,
        resources: None,
        rate: None,
        new_network: NewNetwork::Allow,
        source,
    };
    let rule = rule(raw, &format!("api-keys of a user at {place}"), &base, around);
    if api_keys.users.insert(user, rule).is_some() {
        twice();
    }
}

fn rule(raw: raw::ApiKey, name: &str, base: &KeyRule, around: &Surroundings<'_>) -> KeyRule {
    let raw::ApiKey { networks, read_only, resources, rate, burst, new_network } = raw;
    let limit = match (rate, burst) {
        (Some(rate), burst) => limited(&rate, burst.as_ref(), name, around),
        (None, Some(burst)) => {
            let hint = Some("rate: 60/min".to_owned());
            around.session.error(burst.place, "`burst` without `rate`", hint);
            None
        }
        // Each rule has a budget of its own by the key: that of all keys serves.
        (None, None) => base.rate.clone(),
    };
    KeyRule {
        networks: networks.map(|list| from(list, around)).or_else(|| base.networks.clone()),
        read_only: read_only.and_then(|it| it.value).unwrap_or(base.read_only),
        resources: resources.map(|list| known(list, around)).or_else(|| base.resources.clone()),
        rate: limit,
        new_network: moved(new_network).unwrap_or(base.new_network),
        source: base.source,
    }
}

fn from(list: At<OneOrMany<String>>, around: &Surroundings<'_>) -> Vec<Arc<Network>> {
    let names = list.value.map(|it| it.0).unwrap_or_default();
    if names.is_empty() {
        let hint = Some("`access: { public-api: nobody }` closes it to everybody".to_owned());
        around.session.error(list.place, "no key could be used", hint);
    }
    names.into_iter().filter_map(|one| network(one.place, &one.value?, around)).collect()
}

fn known(list: At<OneOrMany<String>>, around: &Surroundings<'_>) -> Vec<String> {
    let names = list.value.map(|it| it.0).unwrap_or_default();
    if names.is_empty() {
        around.session.error(list.place, "no key could be used", None);
    }
    let named = |one: At<String>| {
        let name = one.value?.trim().to_ascii_lowercase();
        if !RESOURCES.contains(&name.as_str()) {
            let hint = did_you_mean(&name, RESOURCES)
                .unwrap_or_else(|| format!("they are {}", RESOURCES.join(", ")));
            // A newer n8n may have more of them.
            let message = format!("n8n 2.40.7 has no resource `{name}`");
            around.session.warning(one.place, message, Some(hint));
        }
        Some(name)
    };
    names.into_iter().filter_map(named).collect()
}

fn limited(
    rate: &At<Rate>,
    burst: Option<&At<u32>>,
    name: &str,
    around: &Surroundings<'_>,
) -> Option<Limit> {
    let Rate(Some(written)) = rate.value.as_ref()? else { return None };
    let quota = quota(*written, burst, rate.place, around.session)?;
    Some(Limit {
        name: format!("{name} per {}", Per::Key.name()).into(),
        per: Per::Key,
        quota,
        strangers: false,
        dry_run: false,
        source: Source::Written(rate.place),
    })
}

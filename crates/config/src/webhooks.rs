//! What is asked of the calls of webhooks: the file's `webhooks`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gateway_n8n::{Surface, Tail};
use gateway_policy::{Asked, Network, Place, Source, Webhook, Webhooks};
use gateway_signatures::Proof;
use http::Method;

use crate::{
    access::{Surroundings, network, with_stars},
    at::{At, Keyed, OneOrMany},
    raw,
    text::{Size, Span},
};

mod proof;

/// The largest body that is read to be checked: many times what providers send on most days.
const SIZE: u64 = 1 << 20;

/// The longest that a message is remembered.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// What is asked of which webhook, and the proofs that are asked for, in order.
pub(crate) fn webhooks(
    raw: Option<At<Keyed<raw::Webhook>>>,
    around: &Surroundings<'_>,
) -> (Webhooks, Vec<Proof>) {
    let (mut webhooks, mut proofs) = (Webhooks::default(), Vec::new());
    let mut seen = BTreeSet::new();
    for (key, value) in raw.and_then(|raw| raw.value).unwrap_or_default().0 {
        let target = target(&key, around);
        let webhook = value.value.map(|raw| webhook(raw, key.place, &mut proofs, around));
        let (Some((surface, path)), Some(Some(mut webhook))) = (target, webhook) else { continue };
        webhook.path = format!("{}/{path}", surface.name()).into();
        if !seen.insert((surface, path.clone())) {
            around.session.error(key.place, "the same webhook stands there twice", None);
        }
        webhooks.set(surface, &path, webhook, Source::Written(key.place));
    }
    (webhooks, proofs)
}

/// The surface and the path below it, from a path as n8n has it.
fn target(key: &At<String>, around: &Surroundings<'_>) -> Option<(Surface, String)> {
    let text = key.value.as_deref()?;
    let wrong = |message: String, hint: Option<&str>| {
        around.session.error(key.place, message, hint.map(str::to_owned));
        None
    };
    if text.contains('%') || text.contains('?') {
        return wrong(
            format!("`{text}` is more than a path"),
            Some("as it is named in n8n, decoded"),
        );
    }
    let located = match around.surfaces.locate(text, false) {
        Ok(located) => located,
        Err(why) => return wrong(format!("`{text}` would never be let through: {why}"), None),
    };
    if !text.starts_with('/') || located.surface.row().tail != Tail::Secret {
        let hint = "a path as n8n prints it: `/webhook/orders`";
        return wrong(format!("`{text}` is not the path of a webhook"), Some(hint));
    }
    Some((located.surface, with_stars(located.tail)))
}

fn webhook(
    raw: raw::Webhook,
    place: Place,
    proofs: &mut Vec<Proof>,
    around: &Surroundings<'_>,
) -> Option<Webhook> {
    let raw::Webhook {
        signature,
        secret,
        hmac,
        bearer,
        basic,
        tolerance,
        once,
        methods,
        content_types,
        size,
        from,
    } = raw;
    let session = around.session;
    let written = proof::Written { signature, secret, hmac, bearer, basic, tolerance };
    let proof = proof::proof(written, place, session);
    let head_only =
        methods.is_none() && content_types.is_none() && size.is_none() && from.is_none();
    if matches!(proof, Ok(None)) && head_only {
        let hint = "signature: github, or another check".to_owned();
        session.error(place, "nothing is asked of this webhook", Some(hint));
    }
    let proof = proof.ok()?;
    let once = once.map(|it| it.value.map(|span| (it.place, span.0)));
    let asked = match proof {
        None if once.is_some() => {
            session.error(place, "`once` is about signed messages", None);
            None
        }
        None => None,
        Some((proof, name, tolerance)) => {
            let once = remembered(&proof, once.flatten(), tolerance, around);
            let asked = Asked { proof: proofs.len(), name, reads_body: proof.reads_body(), once };
            proofs.push(proof);
            Some(asked)
        }
    };
    let size = size.and_then(|it| it.value).map(|Size(size)| size);
    let reads_body = asked.as_ref().is_some_and(|it| it.reads_body);
    Some(Webhook {
        name: format!("webhook at {place}").into(),
        path: "".into(),
        methods: methods_of(methods, around),
        content_types: types_of(content_types, around),
        from: from.map(|list| senders(list, around)),
        size: size.or_else(|| reads_body.then_some(SIZE)),
        proof: asked,
    })
}

/// For how long a message is not taken again.
fn remembered(
    proof: &Proof,
    once: Option<(Place, Duration)>,
    tolerance: Duration,
    around: &Surroundings<'_>,
) -> Option<Duration> {
    // From as early as its time may be to as late.
    let believed = tolerance * 2;
    let default = believed + Duration::from_secs(1);
    let (place, once) = match once {
        None => return proof.is_stamped().then_some(default),
        Some((_, Duration::ZERO)) => return None,
        Some(once) => once,
    };
    if !proof.reads_body() {
        let message = "one message cannot be told from another by a token or a password";
        around.session.error(place, message, None);
    } else if once > LONGEST {
        around.session.error(place, "a message is remembered for a week at the most", None);
    } else if proof.is_stamped() && once < believed {
        let hint = format!("`once: {}s` or more; without it, it is so long", default.as_secs());
        let message = "a message would be taken again: it is believed for twice the `tolerance`";
        around.session.error(place, message, Some(hint));
    } else if proof.is_stamped() {
        return Some(once.max(default));
    }
    Some(once)
}

fn methods_of(raw: Option<At<OneOrMany<String>>>, around: &Surroundings<'_>) -> Vec<Method> {
    let list = raw.and_then(|raw| raw.value).map(|it| it.0).unwrap_or_default();
    let method = |one: At<String>| {
        let text = one.value?;
        let method = Method::from_bytes(text.as_bytes()).ok();
        let heard = method.filter(gateway_n8n::has_method);
        if heard.is_none() {
            let hint = "POST, GET …, in capitals".to_owned();
            let message = format!("n8n listens to no method `{text}`");
            around.session.error(one.place, message, Some(hint));
        }
        heard
    };
    list.into_iter().filter_map(method).collect()
}

fn types_of(raw: Option<At<OneOrMany<String>>>, around: &Surroundings<'_>) -> Vec<String> {
    let list = raw.and_then(|raw| raw.value).map(|it| it.0).unwrap_or_default();
    let kind = |one: At<String>| {
        let text = one.value?.to_ascii_lowercase();
        let plain = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_graphic());
        let parts = text.split_once('/');
        if !parts.is_some_and(|(a, b)| plain(a) && plain(b) && !b.contains(['/', ';', ','])) {
            let hint = "application/json, without parameters".to_owned();
            around.session.error(one.place, format!("`{text}` is no media type"), Some(hint));
            return None;
        }
        Some(text)
    };
    list.into_iter().filter_map(kind).collect()
}

fn senders(list: At<OneOrMany<String>>, around: &Surroundings<'_>) -> Vec<Arc<Network>> {
    let names = list.value.map(|it| it.0).unwrap_or_default();
    if names.is_empty() {
        let hint = "leave `from` out for senders from anywhere".to_owned();
        around.session.error(list.place, "nobody could send it", Some(hint));
    }
    names.into_iter().filter_map(|one| network(one.place, &one.value?, around)).collect()
}

/// A length of time, with its place.
type Spanned = Option<At<Span>>;

//! What a sender has to show.

use std::{borrow::Cow, time::Duration};

use gateway_policy::Place;
use gateway_signatures as signatures;
use gateway_signatures::{Clock, Field, Part, Proof, Provider, Scheme, Signed, Stamp, template};
use http::HeaderName;

use super::Spanned;
use crate::{
    Secret,
    at::{At, OneOrMany},
    compile::required,
    de::Session,
    raw,
};

/// How far a signature's time may be off, as Stripe, Slack and the standard have it.
const TOLERANCE: Duration = Duration::from_secs(300);

/// The farthest that it may be.
const FARTHEST: Duration = Duration::from_hours(24);

type Secrets = Option<At<OneOrMany<Secret>>>;

/// What is written of it.
pub(super) struct Written {
    pub(super) signature: Option<At<raw::Signature>>,
    pub(super) secret: Secrets,
    pub(super) hmac: Option<At<raw::Hmac>>,
    pub(super) bearer: Secrets,
    pub(super) basic: Secrets,
    pub(super) tolerance: Spanned,
}

/// That something is wrong, and was reported.
pub(super) struct Reported;

/// The proof, what it is called, and how far its time may be off; nothing if none is asked for.
pub(super) fn proof(
    written: Written,
    place: Place,
    session: &Session<'_>,
) -> Result<Option<(Proof, &'static str, Duration)>, Reported> {
    check(&written, place, session)?;
    let Written { signature, secret, hmac, bearer, basic, tolerance } = written;
    if let Some(list) = bearer {
        let secrets = secrets(list, session)?.into_iter().map(|(_, it)| made(&it)).collect();
        return Ok(Some((Proof::bearer(secrets), "bearer", Duration::ZERO)));
    }
    if let Some(list) = basic {
        let secrets = secrets(list, session)?;
        if let Some((place, _)) = secrets.iter().find(|(_, it)| !it.expose().contains(':')) {
            session.error(*place, "not `user:password`", None);
            return Err(Reported);
        }
        let secrets = secrets.iter().map(|(_, it)| made(it)).collect();
        return Ok(Some((Proof::basic(secrets), "basic", Duration::ZERO)));
    }
    let Some(signature) = signature else { return Ok(None) };
    let Some(list) = secret else {
        let hint = "secret: \"${file:/run/secrets/…}\"".to_owned();
        session.error(signature.place, "`secret` is missing", Some(hint));
        return Err(Reported);
    };
    let span = tolerance.as_ref().and_then(|it| it.value.as_ref()).map_or(TOLERANCE, |it| it.0);
    let (proof, name) = signed(&signature, &secrets(list, session)?, hmac, span, session)?;
    let said = match &tolerance {
        Some(_) if !proof.is_stamped() => "this signature says no time",
        Some(_) if span < Duration::from_secs(1) || span > FARTHEST => {
            "a signature's time may be off by a second to a day"
        }
        Some(_) | None => return Ok(Some((proof, name, span))),
    };
    session.error(tolerance.map_or(place, |it| it.place), said, None);
    Err(Reported)
}

/// That what is written belongs together.
fn check(written: &Written, place: Place, session: &Session<'_>) -> Result<(), Reported> {
    let Written { signature, secret, hmac, bearer, basic, tolerance } = written;
    let ways = [signature.is_some(), bearer.is_some(), basic.is_some()];
    if ways.into_iter().filter(|it| *it).count() > 1 {
        let hint = "one of `signature`, `bearer` and `basic`".to_owned();
        session.error(place, "a sender shows one thing", Some(hint));
        return Err(Reported);
    }
    if signature.is_some() {
        return Ok(());
    }
    for (is_there, name) in [(secret.is_some(), "secret"), (hmac.is_some(), "hmac")] {
        if is_there {
            let hint = "signature: github, or hmac".to_owned();
            session.error(place, format!("`{name}` without `signature`"), Some(hint));
            return Err(Reported);
        }
    }
    if let Some(tolerance) = tolerance {
        session.error(tolerance.place, "only a signature says a time", None);
        return Err(Reported);
    }
    Ok(())
}

/// A signature, and what it is called.
fn signed(
    signature: &At<raw::Signature>,
    secrets: &[(Place, Secret)],
    hmac: Option<At<raw::Hmac>>,
    tolerance: Duration,
    session: &Session<'_>,
) -> Result<(Proof, &'static str), Reported> {
    let kind = signature.value.ok_or(Reported)?;
    let seconds = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
    match (Provider::named(name_of(kind)), hmac) {
        (Some(_), Some(hmac)) => {
            session.error(hmac.place, "`hmac` is for `signature: hmac`", None);
            Err(Reported)
        }
        (Some(provider), None) => {
            let texts: Vec<&str> = secrets.iter().map(|(_, it)| it.expose()).collect();
            let proof = Proof::by(provider, &texts, seconds).map_err(|why| {
                let place = secrets.first().map_or(signature.place, |(place, _)| *place);
                session.error(place, why.to_string(), None);
                Reported
            })?;
            Ok((proof, provider.name()))
        }
        (None, hmac) => {
            let scheme = scheme(hmac, signature.place, session)?;
            let secrets = secrets.iter().map(|(_, it)| made(it)).collect();
            Ok((Proof::of(scheme, secrets, seconds), "hmac"))
        }
    }
}

/// The provider's name in the table of signatures; `hmac` has none.
fn name_of(kind: raw::Signature) -> &'static str {
    match kind {
        raw::Signature::Github => "github",
        raw::Signature::Stripe => "stripe",
        raw::Signature::Slack => "slack",
        raw::Signature::Shopify => "shopify",
        raw::Signature::Gitlab => "gitlab",
        raw::Signature::Twilio => "twilio",
        raw::Signature::Zendesk => "zendesk",
        raw::Signature::StandardWebhooks => "standard-webhooks",
        raw::Signature::Svix => "svix",
        raw::Signature::Hmac => "hmac",
    }
}

fn made(secret: &Secret) -> signatures::Secret {
    signatures::Secret::new(secret.expose())
}

fn secrets(
    list: At<OneOrMany<Secret>>,
    session: &Session<'_>,
) -> Result<Vec<(Place, Secret)>, Reported> {
    let all = list.value.ok_or(Reported)?.0;
    if all.is_empty() {
        session.error(list.place, "there is no secret that anybody could have", None);
        return Err(Reported);
    }
    all.into_iter().map(|one| Ok((one.place, one.value.ok_or(Reported)?))).collect()
}

fn scheme(
    raw: Option<At<raw::Hmac>>,
    place: Place,
    session: &Session<'_>,
) -> Result<Scheme, Reported> {
    let hint = "hmac: { header: x-signature }";
    let place = raw.as_ref().map_or(place, |it| it.place);
    let raw = required(raw, "hmac", place, hint, session).ok_or(Reported)?;
    let raw::Hmac { header, prefix, algorithm, encoding, signed, timestamp } = raw;
    let name = |field: At<String>| {
        let text = field.value.ok_or(Reported)?;
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
            session.error(field.place, format!("`{text}` is no header field"), None);
            Reported
        })
    };
    if header.is_none() {
        session.error(place, "`hmac.header` is missing", Some(hint.to_owned()));
    }
    let header = name(header.ok_or(Reported)?)?;
    let (place, text) = match signed {
        Some(At { place, value }) => (place, value.ok_or(Reported)?),
        None => (place, "{body}".to_owned()),
    };
    let parts = template(&text).map_err(|why| {
        let hint = "signed: \"{timestamp}.{body}\"".to_owned();
        session.error(place, why, Some(hint));
        Reported
    })?;
    let stamp = timestamp.map(name).transpose()?;
    if stamp.is_some() != parts.contains(&Part::Timestamp) {
        let message = "a time is of use where it is signed: `timestamp` names its header field, and \
                       `signed` has `{timestamp}` in it";
        session.error(place, message, None);
        return Err(Reported);
    }
    Ok(Scheme {
        header,
        field: Field::Plain(Cow::Owned(prefix.and_then(|it| it.value).unwrap_or_default())),
        algorithm: match algorithm.and_then(|it| it.value) {
            Some(raw::Algorithm::Sha1) => signatures::Algorithm::Sha1,
            Some(raw::Algorithm::Sha512) => signatures::Algorithm::Sha512,
            Some(raw::Algorithm::Sha256) | None => signatures::Algorithm::Sha256,
        },
        encoding: match encoding.and_then(|it| it.value) {
            Some(raw::Encoding::Base64) => signatures::Encoding::Base64,
            Some(raw::Encoding::Hex) | None => signatures::Encoding::Hex,
        },
        stamp: stamp.map_or(Stamp::None, |name| Stamp::Header(name, Clock::Unix)),
        signed: Signed::Parts(Cow::Owned(parts)),
    })
}

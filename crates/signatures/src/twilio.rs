//! What Twilio signs: the URL as its customer wrote it, and each name and value of a form in the order of
//! names; of a body that is no form, the hash is in the URL.
//!
//! Source: `twilio-node`, `lib/webhooks/webhooks.js`.

use std::borrow::Cow;

use aws_lc_rs::digest;
use http::header;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Message, Unproven, scheme::Encoding, signed::Piece};

/// The most values that a form may have.
const FIELDS: usize = 1000;

/// What browsers and Node encode in a query and in a path (URL standard, 1.3), as far as a target of
/// HTTP can have it.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// What Node's `querystring` leaves as it is (`querystring.js`, `noEscape`).
const LEGACY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is signed, in each of the spellings that Twilio's own library tries.
pub(crate) fn url_and_form<'m>(message: &Message<'m>) -> Result<Vec<Vec<Piece<'m>>>, Unproven> {
    let query = message.target.split_once('?').map_or("", |(_, query)| query);
    let mut hashes = form_urlencoded::parse(query.as_bytes());
    let hash = hashes.find(|(name, _)| name == "bodySHA256").map(|(_, hash)| hash);
    let form = match hash {
        Some(hash) => {
            let body = Encoding::Hex.write(digest::digest(&digest::SHA256, message.body).as_ref());
            // What the URL says is signed, and nothing secret.
            if hash != body.as_str() {
                return Err(Unproven::Wrong);
            }
            String::new()
        }
        None if message.body.is_empty() => String::new(),
        None if is_form(message)? => form(message.body)?,
        None => return Err(Unproven::Malformed),
    };
    let piece = |url| vec![Piece::Made(url), Piece::Made(form.clone())];
    Ok(spellings(message).into_iter().map(piece).collect())
}

/// The URL as it came, then as `new URL` writes it, then with a query as Node's `querystring` does; each
/// without a port and with one. Each stands once.
fn spellings(message: &Message<'_>) -> Vec<String> {
    let (host, with_port) = authorities(message.authority);
    let (path, query) = match message.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (message.target, None),
    };
    let target = |path: &str, query: Option<Cow<'_, str>>| {
        query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    };
    let normal = utf8_percent_encode(path, PATH).to_string();
    let encoded: Option<Cow<'_, str>> = query.map(|it| utf8_percent_encode(it, QUERY).into());
    let old = query.map(|it| if it.is_empty() { Cow::Borrowed(it) } else { legacy(it).into() });
    let targets = [message.target.to_owned(), target(&normal, encoded), target(&normal, old)];
    let mut all = Vec::new();
    for target in targets {
        for authority in [host, &*with_port] {
            let url = format!("https://{authority}{target}");
            if !all.contains(&url) {
                all.push(url);
            }
        }
    }
    all
}

/// The host alone, and with the port that was asked for or else that of HTTPS.
fn authorities(authority: &str) -> (&str, Cow<'_, str>) {
    // A colon in brackets is a part of the address.
    let named = authority
        .rsplit_once(':')
        .filter(|(_, port)| !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit()));
    match named {
        Some((host, _)) => (host, Cow::Borrowed(authority)),
        None => (authority, Cow::Owned(format!("{authority}:443"))),
    }
}

/// A query as Node's `querystring` reads and writes it: values of a name stand together where the first
/// of them was, names that are numbers come first.
fn legacy(query: &str) -> String {
    let mut fields: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).take(FIELDS) {
        match fields.iter_mut().find(|(it, _)| *it == name) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        }
    }
    // As V8 orders an object's fields.
    let index = |name: &str| {
        let number = name.parse::<u32>().ok().filter(|it| it.to_string() == name);
        number.filter(|it| *it < u32::MAX)
    };
    fields.sort_by_key(|(name, _)| index(name).map_or((1, 0), |index| (0, index)));
    let written = |it: &str| utf8_percent_encode(it, LEGACY).to_string();
    let pairs = fields.iter().flat_map(|(name, values)| {
        values.iter().map(move |value| format!("{}={}", written(name), written(value)))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn is_form(message: &Message<'_>) -> Result<bool, Unproven> {
    let kind = message.only(&header::CONTENT_TYPE)?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // Other encodings would have to be undone before the form is read.
    let plain = message.only(&header::CONTENT_ENCODING)?.is_none();
    Ok(plain && kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Names and values, by name; of a name with several values, each value once and in order.
fn form(body: &[u8]) -> Result<String, Unproven> {
    let fields: Vec<_> = form_urlencoded::parse(body).take(FIELDS + 1).collect();
    if fields.len() > FIELDS {
        return Err(Unproven::Malformed);
    }
    let mut fields = fields;
    fields.sort();
    fields.dedup();
    Ok(fields.into_iter().flat_map(|(name, value)| [name, value]).collect())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// As `twilio` 6 tries them, told by a copy of its `getExpectedTwilioSignature` that prints its URL.
    #[test]
    fn a_url_is_spelled_as_twilios_library_spells_it() {
        for (authority, target, expected) in [
            ("a.test", "/x", &["a.test/x", "a.test:443/x"][..]),
            ("a.test:443", "/x", &["a.test/x", "a.test:443/x"]),
            ("a.test:8443", "/x?", &["a.test/x?", "a.test:8443/x?"]),
            ("[::1]", "/x", &["[::1]/x", "[::1]:443/x"]),
            (
                "a.test",
                "/x?b=1&a=it's&b=+&7",
                &[
                    "a.test/x?b=1&a=it's&b=+&7",
                    "a.test:443/x?b=1&a=it's&b=+&7",
                    "a.test/x?b=1&a=it%27s&b=+&7",
                    "a.test:443/x?b=1&a=it%27s&b=+&7",
                    "a.test/x?7=&b=1&b=%20&a=it's",
                    "a.test:443/x?7=&b=1&b=%20&a=it's",
                ],
            ),
        ] {
            let headers = HeaderMap::new();
            let message = Message { headers: &headers, authority, target, body: b"" };
            let expected: Vec<_> = expected.iter().map(|it| format!("https://{it}")).collect();
            assert_eq!(spellings(&message), expected, "{authority}{target}");
        }
    }
}

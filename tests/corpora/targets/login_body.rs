//! The form of a sign-in: no bytes are a panic, and an account that is read is the one that
//! every other spelling of the form names.

use gateway_n8n::{FORM_LIMIT, account};
use http::{HeaderMap, HeaderValue, header};

const FIELD: &str = "emailOrLdapLoginId";

const TYPES: [&str; 5] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "Application/JSON; charset=utf-8",
    "application/xml",
    "application/json;charset=latin1",
];

const ENCODINGS: [Option<&str>; 4] = [None, Some("gzip"), Some("deflate"), Some("br")];

fn headers(kind: &'static str, encoding: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    headers
}

/// The first byte chooses what the others are said to be.
pub(super) fn run(bytes: &[u8]) {
    let Some((how, body)) = bytes.split_first() else { return };
    let kind = TYPES[usize::from(how % 5)];
    let encoding = ENCODINGS[usize::from(how / 5 % 4)];
    let Ok(found) = account(&headers(kind, encoding), body, FIELD) else { return };
    let name = found.expose();
    assert!(body.len() <= FORM_LIMIT && !name.is_empty());
    assert_ne!(encoding, Some("br"));
    // Both forms again, as every client would write them: one account.
    let json = serde_json::json!({ FIELD: name, "password": "x" }).to_string();
    let again = account(&headers(TYPES[0], None), json.as_bytes(), FIELD);
    let once = again.expect("a name that was read").expose().to_owned();
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("password", "x")
        .append_pair(FIELD, name)
        .finish();
    let urlencoded = account(&headers(TYPES[1], None), form.as_bytes(), FIELD);
    // What is no text for one reader is refused in this form.
    if !name.contains('\u{fffd}') {
        assert_eq!(urlencoded.expect("a name that was read").expose(), once, "{name:?}");
    }
    if encoding.is_none() && kind == TYPES[0] {
        let text = std::str::from_utf8(body).unwrap();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let form: serde_json::Value = serde_json::from_str(text).unwrap();
        assert!(form[FIELD].as_str().unwrap().to_lowercase().contains(name), "{name:?}");
    }
}

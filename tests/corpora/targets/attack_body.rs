//! Bodies in which attacks are looked for: no bytes are a panic, how they come makes no difference,
//! and a field that a library finds in JSON is found.

use std::sync::LazyLock;

use gateway_n8n::attacks::{Entry, Multipart, Shape, catalogue, found_in};
use http::{HeaderMap, HeaderValue, header};

static ALL: LazyLock<Vec<Entry>> = LazyLock::new(catalogue);

const TYPES: [&str; 4] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "application/xml",
    "multipart/form-data; boundary=b",
];

const ENCODINGS: [Option<&str>; 3] = [None, Some("gzip"), Some("deflate")];

/// As much as is read of a body.
const LIMIT: usize = 64 * 1024;

fn shapes() -> impl Iterator<Item = &'static Shape> {
    ALL.iter().flat_map(|entry| &entry.shapes)
}

/// What is found in a form that comes in pieces of this size; nothing if it cannot be read.
fn in_form(headers: &HeaderMap, body: &[u8], size: usize) -> Option<Vec<usize>> {
    let mut reader = Multipart::new(headers, shapes())?;
    let mut found = Vec::new();
    for piece in body.chunks(size) {
        found = reader.take(piece).ok()?.to_vec();
    }
    Some(found)
}

fn has_prototype(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().any(|(name, value)| name == "__proto__" || has_prototype(value))
        }
        serde_json::Value::Array(list) => list.iter().any(has_prototype),
        _ => false,
    }
}

/// The first byte chooses what the others are said to be.
pub(super) fn run(bytes: &[u8]) {
    let Some((how, body)) = bytes.split_first() else { return };
    let kind = TYPES[usize::from(how % 4)];
    let encoding = ENCODINGS[usize::from(how / 4 % 3)];
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if kind.starts_with("multipart") {
        let whole = in_form(&headers, body, LIMIT);
        let size = usize::from(how / 16) + 1;
        assert_eq!(in_form(&headers, body, size), whole, "in pieces of {size}");
        return;
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let found = found_in(shapes(), &headers, body, LIMIT);
    if kind == TYPES[0]
        && encoding.is_none()
        && let Ok(found) = found
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(body)
    {
        assert!(!has_prototype(&value) || !found.is_empty(), "{value}");
    }
}

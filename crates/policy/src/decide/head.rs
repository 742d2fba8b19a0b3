//! What a head says of itself: whom it is for, and whether it wants to become something else.

use http::{Method, Version, header, request};

use crate::Authority;

/// The one authority that the head names: in its target, in its one `Host`, or alike in both
/// (RFC 9112 3.2, RFC 9113 8.3.1).
#[must_use]
pub fn claimed_host(head: &request::Parts) -> Option<Authority<'_>> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (None, _) => None,
        (Some(field), None) => Some(Authority::parse(field.to_str().ok()?).ok()?),
        (Some(_), Some(_)) => return None,
    };
    let target = match head.uri.authority() {
        Some(authority) => Some(Authority::parse(authority.as_str()).ok()?),
        None => None,
    };
    match (target, field) {
        (Some(target), Some(field)) => {
            let same = target.host.eq_ignore_ascii_case(field.host) && target.port == field.port;
            same.then_some(target)
        }
        (target, field) => target.or(field),
    }
}

/// Whether the request is a WebSocket's opening handshake (RFC 6455 4.1) and nothing besides.
pub(super) fn asks_for_websocket(head: &request::Parts) -> bool {
    let mut upgrade = head.headers.get_all(header::UPGRADE).iter();
    // Hardly a request has one.
    let Some(first) = upgrade.next() else { return false };
    let websocket = first.as_bytes().eq_ignore_ascii_case(b"websocket");
    let alone = upgrade.next().is_none();
    let mut tokens = head.headers.get_all(header::CONNECTION).iter();
    let named = tokens.any(|field| {
        field
            .as_bytes()
            .split(|b| *b == b',')
            .any(|it| it.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let bodiless = !head.headers.contains_key(header::TRANSFER_ENCODING)
        && head.headers.get(header::CONTENT_LENGTH).is_none_or(|it| it == "0");
    websocket
        && alone
        && named
        && bodiless
        && head.method == Method::GET
        && head.version == Version::HTTP_11
}

//! Where an answer of n8n's ends has to have one meaning. hyper reads more than one who comes after
//! it would: what it lets pass and two readers could read differently is refused here.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// What is wrong with the head of an answer.
///
/// Source: RFC 9112 6.1 to 6.3, RFC 9110 8.6 and 7.8.
pub(crate) fn flaw<B>(answer: &Response<B>) -> Option<&'static str> {
    let headers = answer.headers();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (coding, length) = (codings.next(), lengths.next());
    if coding.is_some() && length.is_some() {
        return Some("an answer with a length and a transfer coding");
    }
    if codings.next().is_some() || coding.is_some_and(|it| !is_chunked(it)) {
        return Some("an answer in a transfer coding that nobody asked for");
    }
    if lengths.next().is_some() || length.is_some_and(|it| !is_number(it)) {
        return Some("an answer whose length is not one number");
    }
    let switching = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    (switching && !is_websocket(headers)).then_some("101 to something other than a WebSocket")
}

fn is_chunked(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let first = protocols.next();
    first.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && protocols.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_answer_ends_has_one_meaning() {
        let cases: [(&str, &[(&str, &str)], bool); 17] = [
            ("a length", &[("content-length", "5")], true),
            ("chunks", &[("transfer-encoding", "chunked")], true),
            ("chunks, loudly", &[("transfer-encoding", "CHUNKED")], true),
            ("neither", &[("content-type", "text/plain")], true),
            ("both", &[("content-length", "5"), ("transfer-encoding", "chunked")], false),
            ("two lengths", &[("content-length", "5"), ("content-length", "6")], false),
            ("the same twice", &[("content-length", "5"), ("content-length", "5")], false),
            ("a list", &[("content-length", "5, 5")], false),
            ("a sign", &[("content-length", "+5")], false),
            ("hexadecimal", &[("content-length", "0x5")], false),
            ("nothing", &[("content-length", "")], false),
            ("gzip", &[("transfer-encoding", "gzip")], false),
            ("gzip in chunks", &[("transfer-encoding", "gzip, chunked")], false),
            ("chunks in gzip", &[("transfer-encoding", "chunked, gzip")], false),
            ("identity", &[("transfer-encoding", "identity")], false),
            ("nearly", &[("transfer-encoding", "xchunked")], false),
            ("twice", &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
        ];
        for (name, fields, sound) in cases {
            let mut answer = Response::builder();
            for (field, value) in fields {
                answer = answer.header(*field, *value);
            }
            let answer = answer.body(()).unwrap();
            assert_eq!(flaw(&answer).is_none(), sound, "{name}: {:?}", flaw(&answer));
        }
    }

    #[test]
    fn who_switches_protocols_switches_to_a_websocket() {
        for (protocol, sound) in
            [("websocket", true), ("WebSocket", true), ("h2c", false), ("websocket, h2c", false)]
        {
            let answer = Response::builder().status(101).header("upgrade", protocol);
            assert_eq!(flaw(&answer.body(()).unwrap()).is_none(), sound, "{protocol}");
        }
        assert!(flaw(&Response::builder().status(101).body(()).unwrap()).is_some());
    }
}

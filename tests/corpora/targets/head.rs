//! HTTP/1: how bytes come changes nothing, and what passes is to another reader (`httparse`) just
//! as many messages that end at the same places.

use gateway_edge::strict::{Follows, Head, Then, Wire};
use httparse::{EMPTY_HEADER, Request, Status, parse_chunk_size, parse_headers};

/// More than a head may have unless it is said otherwise.
const HEAD_FIELDS: usize = 128;

/// The first byte says how long the pieces are that the others come in.
pub(super) fn run(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = seen(std::iter::once(bytes));
    let pieces = bytes.chunks(usize::from(piece % 32) + 1);
    assert_eq!(seen(pieces), whole, "it matters how bytes come");
    let (passed, then, heads) = whole;
    let (read, open) = read(&bytes[..passed]);
    assert_eq!(read, heads, "not as many heads");
    // What passes ends with a message, unless a body is on its way or was cut off.
    let bad_head = matches!(then, Then::BadHead(_));
    assert!(!(bad_head && open), "a message is open where the next head is refused");
}

/// How many bytes pass, what is with the rest, and how many heads there were. What asks for
/// another protocol is told that it stays.
fn seen<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> (usize, Then, u64) {
    let (mut wire, mut held, mut passed) = (Wire::default(), Vec::new(), 0);
    let mut then = Then::More;
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let seen = wire.look(&held);
            assert!(seen.passed <= held.len());
            held.drain(..seen.passed);
            passed += seen.passed;
            then = seen.then;
            match then {
                Then::Answer => wire.stays(),
                Then::More => break,
                Then::BadHead(_) | Then::BadBody => return (passed, then, wire.heads()),
            }
        }
    }
    (passed, then, wire.heads())
}

/// As `httparse` reads it: how many heads, and whether a message is not at its end.
fn read(bytes: &[u8]) -> (u64, bool) {
    let (mut rest, mut heads) = (bytes, 0);
    while !rest.is_empty() {
        let mut fields = [EMPTY_HEADER; HEAD_FIELDS];
        let mut request = Request::new(&mut fields);
        let Ok(Status::Complete(length)) = request.parse(rest) else {
            panic!("no head for another reader: {}", rest.escape_ascii())
        };
        let mut head = Head::default();
        let passed = head.read(rest).unwrap().unwrap();
        assert_eq!(passed.length, length, "another end of the head");
        assert_eq!(passed.follows, framing(&request), "another body");
        let (method, target) = head.asked(rest).unwrap();
        assert_eq!((request.method, request.path), (text(method), text(target)));
        heads += 1;
        rest = &rest[length..];
        let body = match passed.follows {
            Follows::Nothing => Some(0),
            Follows::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= rest.len())
            }
            Follows::Chunks => chunks(rest),
        };
        let Some(body) = body else { return (heads, true) };
        rest = &rest[body..];
    }
    (heads, false)
}

fn text(bytes: &[u8]) -> Option<&str> {
    Some(std::str::from_utf8(bytes).unwrap())
}

/// What RFC 9112 6.3 makes of the fields.
fn framing(request: &Request<'_, '_>) -> Follows {
    let values = |name: &str| {
        let named = request.headers.iter().filter(|it| it.name.eq_ignore_ascii_case(name));
        named.map(|it| it.value).collect::<Vec<_>>()
    };
    match (&values("transfer-encoding")[..], &values("content-length")[..]) {
        ([], []) => Follows::Nothing,
        ([], [length]) => match std::str::from_utf8(length).unwrap().trim().parse().unwrap() {
            0 => Follows::Nothing,
            length => Follows::Length(length),
        },
        ([coding], []) => {
            assert!(coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            Follows::Chunks
        }
        other => panic!("passed with {other:?}"),
    }
}

/// Where a chunked body ends; none if it does not.
fn chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let Status::Complete((line, size)) = parse_chunk_size(bytes.get(at..)?).ok()? else {
            return None;
        };
        at += line;
        if size == 0 {
            let mut fields = [EMPTY_HEADER; HEAD_FIELDS];
            let Status::Complete((end, _)) = parse_headers(bytes.get(at..)?, &mut fields).ok()?
            else {
                return None;
            };
            return Some(at + end);
        }
        at = at.checked_add(usize::try_from(size).ok()?)?;
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
}

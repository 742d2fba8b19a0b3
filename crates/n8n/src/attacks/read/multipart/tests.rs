use std::borrow::Cow;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::attacks::{BodyTest, Kinds, Text, text::TRAVERSAL};

const FORM: &str = "--b\r\n\
    Content-Disposition: form-data; name=\"field-0\"\r\n\r\n\
    a value\r\n--\r\n\
    --b\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"x.txt\"\r\n\
    Content-Type: text/plain\r\n\r\n\
    Content-Disposition: form-data; filename=\"../x\"\r\n\
    --b--\r\n";

fn headers(kind: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
}

fn shape(test: BodyTest) -> Shape {
    Shape { surfaces: vec![], methods: vec![], route: None, head: vec![], body: vec![test] }
}

fn value(path: &str, text: &'static str) -> Shape {
    let text = Text::Contains(vec![Cow::Borrowed(text)]);
    shape(BodyTest::Field(Kinds::All, path.parse().unwrap(), Some(text)))
}

/// What is found in a form that comes in pieces of `size` bytes.
fn found(shape: &Shape, kind: &'static str, body: &str, size: usize) -> Result<bool, Unreadable> {
    let mut reader = Multipart::new(&headers(kind), [shape].into_iter()).unwrap();
    let mut any = false;
    for piece in body.as_bytes().chunks(size) {
        any = !reader.take(piece)?.is_empty();
    }
    Ok(any)
}

const KIND: &str = "multipart/form-data; boundary=b";

#[test]
fn parts_are_found_however_they_come() {
    let (names, text) = (shape(BodyTest::FileName(TRAVERSAL)), value("field-0", "a value\r\n--"));
    for size in [1, 2, 3, 7, 1000] {
        assert_eq!(found(&names, KIND, FORM, size), Ok(false), "a file's own text is no head");
        let bad = FORM.replace("x.txt", "../../x");
        assert_eq!(found(&names, KIND, &bad, size), Ok(true));
        assert_eq!(found(&text, KIND, FORM, size), Ok(true), "{size}");
        assert_eq!(found(&value("field-0", "--b--"), KIND, FORM, size), Ok(false), "{size}");
        assert_eq!(found(&value("file", "form-data"), KIND, FORM, size), Ok(false), "of a file");
    }
}

#[test]
fn names_are_found_however_they_are_spelled() {
    let names = shape(BodyTest::FileName(TRAVERSAL));
    for (spelled, bad) in [
        ("filename=\"../x\"", true),
        ("FileName=../x", true),
        ("filename*=UTF-8''..%2Fx", true),
        ("filename=\"a\\..\\x\"", true),
        ("filename=\"&#0046;&#0046;&#0047;x\"", true),
        ("filename=\"a.txt\"; filename=\"../x\"", true),
        ("filename=\"a&#0047;..\"", true),
        ("filename=\"a..b.txt\"", false),
        ("name=\"../x\"", false),
        ("filename=\"\"", false),
    ] {
        let form = format!("--b\r\nContent-Disposition: form-data; {spelled}\r\n\r\n\r\n--b--\r\n");
        assert_eq!(found(&names, KIND, &form, 5), Ok(bad), "{spelled}");
    }
}

#[test]
fn what_formidable_could_read_otherwise_is_not_read() {
    let text = value("a", "x");
    let with = |head: &str| format!("--b\r\n{head}\r\n\r\neA==\r\n--b--\r\n");
    let base64 =
        with("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64");
    assert_eq!(found(&text, KIND, &base64, 9), Err(Unreadable::Parts));
    let names = shape(BodyTest::FileName(TRAVERSAL));
    assert_eq!(found(&names, KIND, &base64, 9), Ok(false), "nobody asks for values");
    assert_eq!(found(&text, KIND, &with("no field"), 9), Err(Unreadable::Parts));
    assert_eq!(found(&text, KIND, &with(&"x".repeat(HEAD)), 9), Err(Unreadable::Parts));
    let often = with(&format!("Content-Disposition: form-data; {}", "filename=".repeat(2000)));
    assert_eq!(found(&names, KIND, &often, 4096), Err(Unreadable::Parts));
    for kind in [
        "multipart/form-data; boundary=; boundary=b",
        "multipart/form-data; boundary=b; x=json",
        "multipart/form-data; boundary=b; charset=ascii",
        "multipart/form-data; boundary=b; charset=utf-16le",
    ] {
        assert_eq!(found(&names, kind, FORM, 9), Err(Unreadable::Parts), "{kind}");
    }
    assert_eq!(found(&names, "multipart/form-data; boundary=b; charset=UTF-8", FORM, 9), Ok(false));
    // Each ends a part, or a head, for formidable alone.
    for odd in ["\r\n--b\rX", "\r\n--b-\n", "\r\n--bX", "\r\n--b \r\n"] {
        let form = FORM.replacen("a value", &format!("a value{odd}"), 1);
        assert_eq!(found(&names, KIND, &form, 9), Err(Unreadable::Parts), "{odd:?}");
    }
    let endless = "--b\r\nabc\r\nfilename";
    assert_eq!(found(&names, KIND, endless, 1), Err(Unreadable::Parts));
    let long = format!("--b\r\nA: b\r\n\r\n{}\r\n--b--", "x".repeat(VALUES + 1));
    assert_eq!(found(&text, KIND, &long, 4096), Err(Unreadable::Size));
    assert_eq!(found(&names, KIND, &long, 4096), Ok(false));
}

#[test]
fn boundaries_are_what_formidable_finds() {
    for (kind, expected) in [
        ("multipart/form-data; boundary=b", Some("b")),
        ("multipart/form-data; Boundary=\"a b\"; charset=utf-8", Some("a b")),
        ("multipart/form-data; boundary=b; x", Some("b")),
        ("multipart/form-data; xboundary=c; boundary=b", Some("c")),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
    ] {
        assert_eq!(boundary(kind), expected, "{kind}");
    }
    assert_eq!(parameter("form-data; filename=\"x\"; name=\"y\"", "name"), Some("y"));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_pieces_make_no_difference(
        body in "(--b|\r\n|--|[a-z:;=\"/.]{0,4}|filename=\"\\.\\./\"|Content-Disposition: ){0,40}",
        size in 1_usize..9,
    ) {
        let both = [shape(BodyTest::FileName(TRAVERSAL)), value("**.*", "a")];
        for shape in &both {
            prop_assert_eq!(found(shape, KIND, &body, size), found(shape, KIND, &body, 1000));
        }
    }
}

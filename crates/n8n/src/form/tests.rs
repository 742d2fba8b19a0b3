use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use proptest::prelude::*;

use super::*;

const FIELD: &str = "emailOrLdapLoginId";

fn fields_of(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn read(fields: &[(HeaderName, &str)], body: &[u8]) -> Result<String, UnreadableForm> {
    let headers = fields_of(fields);
    account(&headers, body, FIELD).map(|it| it.expose().to_owned())
}

fn typed(kind: &str, body: &str) -> Result<String, UnreadableForm> {
    read(&[(header::CONTENT_TYPE, kind)], body.as_bytes())
}

fn json_of(name: &str) -> String {
    serde_json::json!({ FIELD: name, "password": "x" }).to_string()
}

const JSON: &str = "application/json";
const URLENCODED: &str = "application/x-www-form-urlencoded";

#[test]
fn each_form_that_n8n_reads_is_read() {
    let json = json_of("a@b.c");
    for kind in [JSON, "Application/JSON", "application/json; charset=UTF-8", "application/json;"] {
        assert_eq!(typed(kind, &json).as_deref(), Ok("a@b.c"), "{kind}");
    }
    let form = format!("password=x&{FIELD}=a%40b.c");
    assert_eq!(typed(URLENCODED, &form).as_deref(), Ok("a@b.c"));
    assert_eq!(typed(URLENCODED, &format!("{FIELD}=+a@b.c+&")).as_deref(), Ok("a@b.c"));

    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(json.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(json.as_bytes()).unwrap();
    let zlib = zlib.finish().unwrap();
    let encoded = |encoding: &'static str, body: &[u8]| {
        read(&[(header::CONTENT_TYPE, JSON), (header::CONTENT_ENCODING, encoding)], body)
    };
    assert_eq!(encoded("gzip", &gzip).as_deref(), Ok("a@b.c"));
    assert_eq!(
        encoded("gzip", &[gzip.clone(), gzip.clone()].concat()),
        Err(UnreadableForm::Syntax)
    );
    assert_eq!(encoded("deflate", &zlib).as_deref(), Ok("a@b.c"));
    // n8n takes a form under each of these labels as it is.
    for label in ["br", "zstd", "GZIP", "identity", "gzip, gzip", ""] {
        assert_eq!(encoded(label, json.as_bytes()), Err(UnreadableForm::Encoding), "{label}");
    }
    assert_eq!(encoded("gzip", gzip.split_last().unwrap().1), Err(UnreadableForm::Encoding));
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(json.as_bytes()).unwrap();
    assert_eq!(encoded("deflate", &raw.finish().unwrap()), Err(UnreadableForm::Encoding));
}

#[test]
fn what_two_readers_could_read_differently_is_not_read() {
    let json = json_of("a@b.c");
    for kind in [
        "application/json ;charset=utf-8",
        "application/json, text/plain",
        "application/json; charset=utf-16le",
        "application/json; charset=latin1",
        "application/json; charset=utf-8; charset=ascii",
        "application/vnd.api+json",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
    ] {
        assert_eq!(typed(kind, &json), Err(UnreadableForm::Type), "{kind}");
    }
    assert_eq!(read(&[], json.as_bytes()), Err(UnreadableForm::Type));
    let twice = [(header::CONTENT_TYPE, JSON), (header::CONTENT_TYPE, URLENCODED)];
    assert_eq!(read(&twice, json.as_bytes()), Err(UnreadableForm::Type));
    for body in ["", "null", "[]", "\"a\"", "{", "{}x", "\u{feff}\u{feff}{}", r#"{"a":"\ud800"}"#] {
        assert_eq!(typed(JSON, body), Err(UnreadableForm::Syntax), "{body}");
    }
    for body in [r#"{"emailOrLdapLoginId":["a@b.c"]}"#, r#"{"emailorldaploginid":"a"}"#, "{}"] {
        assert_eq!(typed(JSON, body), Err(UnreadableForm::Account), "{body}");
    }
    assert_eq!(
        read(&[(header::CONTENT_TYPE, JSON)], b"{\"a\":\"\xff\"}"),
        Err(UnreadableForm::Syntax)
    );
    let doubled = format!("{FIELD}=a&{FIELD}=b");
    assert_eq!(typed(URLENCODED, &doubled), Err(UnreadableForm::Account));
    assert_eq!(typed(URLENCODED, &format!("{FIELD}=%ff")), Err(UnreadableForm::Syntax));
    let many = format!("{}{FIELD}=a", "&".repeat(1000));
    assert_eq!(typed(URLENCODED, &many), Err(UnreadableForm::Syntax));
}

#[test]
fn the_last_name_counts_however_it_is_written() {
    let body = format!(r#"{{"{FIELD}":"a","\u0065mailOrLdapLoginId":"b"}}"#);
    assert_eq!(typed(JSON, &body).as_deref(), Ok("b"));
}

#[test]
fn spellings_are_one_account() {
    let spaces = "\t\n\u{b}\u{c}\r \u{a0}\u{1680}\u{2000}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";
    for name in ["OWNER@example.com", &format!("{spaces}owner@example.com{spaces}")] {
        assert_eq!(typed(JSON, &json_of(name)).as_deref(), Ok("owner@example.com"), "{name:?}");
    }
    // The sign for Kelvin is a k in lower case, for n8n as for everybody.
    assert_eq!(typed(JSON, &json_of("\u{212a}im@example.com")).as_deref(), Ok("kim@example.com"));
    for other in ["\u{85}a", "a\u{200b}", "\u{180e}a", "\u{1c}a"] {
        assert_eq!(typed(JSON, &json_of(other)).as_deref(), Ok(other), "{other:?}");
    }
    assert_eq!(typed(JSON, &json_of("  ")), Err(UnreadableForm::Account));
    assert_eq!(typed(JSON, &json_of(&"a".repeat(256))), Err(UnreadableForm::Account));
}

#[test]
fn a_bomb_is_too_large() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![b' '; 10 << 20]).unwrap();
    let bomb = gzip.finish().unwrap();
    assert!(bomb.len() < FORM_LIMIT);
    let fields = [(header::CONTENT_TYPE, JSON), (header::CONTENT_ENCODING, "gzip")];
    assert_eq!(read(&fields, &bomb), Err(UnreadableForm::Size));
    assert_eq!(typed(JSON, &" ".repeat(FORM_LIMIT + 1)), Err(UnreadableForm::Size));
}

#[test]
fn no_print_shows_an_account() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, JSON.parse().unwrap());
    let found = account(&headers, json_of("owner@example.com").as_bytes(), FIELD).unwrap();
    assert_eq!(format!("{found:?}"), "Account(***)");
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        kind in "(application/json|application/x-www-form-urlencoded|.{0,20})",
        encoding in "(gzip|deflate)?",
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(kind) = kind.parse() {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        if !encoding.is_empty() {
            headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        }
        drop(account(&headers, &body, FIELD));
    }

    #[test]
    fn json_and_urlencoded_agree(name in "[^\\x00-\\x1f\u{fffd}]{1,40}") {
        let form: String = form_urlencoded::Serializer::new(String::new()).append_pair(FIELD, &name).finish();
        prop_assert_eq!(typed(JSON, &json_of(&name)), typed(URLENCODED, &form));
    }
}

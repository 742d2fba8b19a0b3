//! Bodies are read as n8n reads them. Nothing is built of what is read: each field is held against
//! what is asked for, and forgotten.
//!
//! Source: n8n 2.40.7 `middlewares/body-parser.js`, `http/parse-incoming-message.js`
//! (`@n8n/backend-network`), `webhooks/webhook-form-data.js`, and formidable 3.

mod json;
mod multipart;
mod xml;

use std::{borrow::Cow, io::Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderName, HeaderValue, header};

pub use multipart::Multipart;

use super::{BodyTest, Kinds, Shape, Text, field::Trail};

/// Why a body cannot be read as n8n would read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its text is encoded otherwise than in UTF-8.
    #[error("its text is not in UTF-8")]
    Charset,
    /// It is not compressed as it says.
    #[error("it is not compressed as it says")]
    Encoding,
    /// It is larger than what is read.
    #[error("it is too large")]
    Size,
    /// Its parts lie too deep in each other.
    #[error("it is nested too deeply")]
    Depth,
    /// It is XML that readers could read differently.
    #[error("its XML is malformed")]
    Xml,
    /// It is a form with parts that readers could read differently.
    #[error("its parts are malformed")]
    Parts,
}

/// How deep parts of a body may lie in each other.
const DEPTH: usize = 256;

/// How a body is to be read, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// n8n reads nothing in it, or nobody asks what it would read.
    Unread,
    /// As a whole.
    Whole,
    /// As it passes: it may be large.
    Passing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Urlencoded,
    Xml,
    Multipart,
    Other,
}

/// The first field of a name, as Node gives it.
fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    headers.get(name).map(|it| String::from_utf8_lossy(it.as_bytes()))
}

fn kind(headers: &HeaderMap) -> Kind {
    let Some(field) = first(headers, &header::CONTENT_TYPE) else { return Kind::Other };
    let kind = field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => Kind::Urlencoded,
        it if it.ends_with("/xml") || it.ends_with("+xml") => Kind::Xml,
        it if it.starts_with("multipart/") => Kind::Multipart,
        // Some of n8n's routes read other kinds of JSON as well (`application/json-patch+json`).
        it if it.starts_with("application/json") || it.ends_with("+json") => Kind::Json,
        _ => Kind::Other,
    }
}

/// Whether n8n reads anything in a body with this head.
#[must_use]
pub fn reads(headers: &HeaderMap) -> bool {
    kind(headers) != Kind::Other
}

/// How a body with this head is to be read, for what these shapes ask.
pub fn manner<'s>(headers: &HeaderMap, mut shapes: impl Iterator<Item = &'s Shape>) -> Manner {
    let kind = kind(headers);
    let whole = |xml| move |shape: &Shape| shape.asks_of_whole(xml);
    match kind {
        Kind::Json | Kind::Urlencoded if shapes.any(whole(false)) => Manner::Whole,
        Kind::Xml if shapes.any(whole(true)) => Manner::Whole,
        Kind::Multipart if shapes.any(Shape::asks_of_multipart) => Manner::Passing,
        Kind::Json | Kind::Urlencoded | Kind::Xml | Kind::Multipart | Kind::Other => Manner::Unread,
    }
}

/// Which of `shapes` a body that was read whole has, by their places, of at most `limit` bytes when
/// decoded.
///
/// What n8n cannot read either has nothing in it: n8n refuses it, or gives it to a workflow as the
/// bytes it is.
///
/// # Errors
///
/// [`Unreadable`] if n8n could read something in it that is not read here.
pub fn found_in<'s>(
    shapes: impl Iterator<Item = &'s Shape>,
    headers: &HeaderMap,
    body: &[u8],
    limit: usize,
) -> Result<Vec<usize>, Unreadable> {
    let kind = kind(headers);
    let mut look = Look::new(shapes, kind == Kind::Xml, false);
    let bytes = decoded(headers, body, limit)?;
    look.size(bytes.len());
    if !is_utf8(headers, &bytes) {
        return Err(Unreadable::Charset);
    }
    let text = String::from_utf8_lossy(&bytes);
    // n8n strips one byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut trail = Trail::default();
    match kind {
        Kind::Json => json::read(text, &mut trail, &mut look)?,
        Kind::Xml => xml::read(text, &mut trail, &mut look)?,
        Kind::Urlencoded => {
            for (name, value) in form_urlencoded::parse(text.as_bytes()) {
                trail.enter(&name);
                look.field(&trail, Some(&value));
                trail.leave();
            }
        }
        Kind::Multipart | Kind::Other => {}
    }
    Ok(look.found())
}

/// n8n decodes exactly these two, and takes everything else as the bytes it is.
fn decoded<'b>(
    headers: &HeaderMap,
    body: &'b [u8],
    limit: usize,
) -> Result<Cow<'b, [u8]>, Unreadable> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let mut fields = headers.get_all(header::CONTENT_ENCODING).iter();
    let read = match (fields.next().map(HeaderValue::as_bytes), fields.next()) {
        (Some(b"gzip"), None) => MultiGzDecoder::new(body).take(most).read_to_end(&mut bytes),
        (Some(b"deflate"), None) => ZlibDecoder::new(body).take(most).read_to_end(&mut bytes),
        _ if body.len() > limit => return Err(Unreadable::Size),
        _ => return Ok(Cow::Borrowed(body)),
    };
    read.map_err(|_| Unreadable::Encoding)?;
    if bytes.len() > limit { Err(Unreadable::Size) } else { Ok(Cow::Owned(bytes)) }
}

/// Whether n8n reads the text as UTF-8: Node knows other encodings by which anything can be hidden,
/// base64 and hex among them.
fn is_utf8(headers: &HeaderMap, bytes: &[u8]) -> bool {
    let Some(field) = first(headers, &header::CONTENT_TYPE) else { return true };
    let mut parameters = field.split(';').skip(1).filter_map(|it| it.split_once('='));
    parameters.all(|(name, value)| {
        if !name.trim().eq_ignore_ascii_case("charset") {
            return true;
        }
        let value = super::head::decoded(value.trim()).trim_matches('"').to_ascii_lowercase();
        match value.as_str() {
            "utf-8" | "utf8" => true,
            // The same for letters of ASCII; n8n knows the first and the last by no such name.
            "us-ascii" | "ascii" | "latin1" | "binary" | "iso-8859-1" => bytes.is_ascii(),
            _ => false,
        }
    })
}

/// What is asked of a body, and what of it was found.
#[derive(Debug)]
pub(super) struct Look {
    tests: Vec<(usize, BodyTest)>,
    found: Vec<usize>,
}

impl Look {
    fn new<'s>(shapes: impl Iterator<Item = &'s Shape>, xml: bool, multipart: bool) -> Self {
        let of = |(at, shape): (usize, &Shape)| {
            let tests: Vec<_> = shape.body.iter().map(|test| (at, test.clone())).collect();
            tests
        };
        let concerns = |(_, test): &(usize, BodyTest)| match test {
            BodyTest::Field(Kinds::Xml, ..) => xml,
            BodyTest::Field(Kinds::NotMultipart, ..) | BodyTest::Larger(_) => !multipart,
            BodyTest::FileName(_) => multipart,
            BodyTest::Field(Kinds::All, ..) => true,
        };
        Self {
            tests: shapes.enumerate().flat_map(of).filter(concerns).collect(),
            found: Vec::new(),
        }
    }

    /// What was found, each once, in order.
    fn found(mut self) -> Vec<usize> {
        self.found.sort_unstable();
        self.found.dedup();
        self.found
    }

    fn note(&mut self, holds: impl Fn(&BodyTest) -> bool) {
        let Self { tests, found } = self;
        for (at, test) in tests {
            if !found.contains(at) && holds(test) {
                found.push(*at);
            }
        }
    }

    fn size(&mut self, bytes: usize) {
        self.note(|test| matches!(test, BodyTest::Larger(than) if bytes > *than));
    }

    /// There is something at `trail`: this text, or more fields.
    fn field(&mut self, trail: &Trail, text: Option<&str>) {
        self.note(|test| match test {
            BodyTest::Field(_, path, wanted) => {
                path.is_at(trail)
                    && wanted.as_ref().is_none_or(|it| text.is_some_and(|text| it.holds(text)))
            }
            BodyTest::Larger(_) | BodyTest::FileName(_) => false,
        });
    }

    fn file(&mut self, name: &str) {
        self.note(|test| matches!(test, BodyTest::FileName(wanted) if wanted.holds(name)));
    }

    /// Whether what forms have in their fields is asked for.
    fn asks_for_values(&self) -> bool {
        let wanted = |test: &Option<Text>| test.is_some();
        self.tests.iter().any(|(_, it)| matches!(it, BodyTest::Field(_, _, text) if wanted(text)))
    }
}

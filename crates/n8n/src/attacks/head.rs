//! What a request's head tells.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method, header};
use percent_encoding::percent_decode_str;

use super::{HeadTest, Part, Presence, Shape};
use crate::{Located, Surface};

/// A request's head, as far as attacks can be told by it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'h> {
    /// Where on n8n's surface it is.
    pub surface: Surface,
    /// The path below that surface's first segment, undecoded.
    pub tail: &'h str,
    /// The method.
    pub method: &'h Method,
    /// The query, undecoded.
    pub query: Option<&'h str>,
    /// The header fields.
    pub headers: &'h HeaderMap,
}

impl<'h> Head<'h> {
    /// The head of a request that was located.
    #[must_use]
    pub fn new(located: Located<'h>, head: &'h http::request::Parts) -> Self {
        let Located { surface, tail, .. } = located;
        Self {
            surface,
            tail,
            method: &head.method,
            query: head.uri.query(),
            headers: &head.headers,
        }
    }
}

/// Decoded once, as n8n decodes what it takes from a path.
pub(super) fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

impl Shape {
    /// Whether a request looks like this, as far as its head tells.
    #[must_use]
    pub fn fits(&self, head: &Head<'_>) -> bool {
        self.surfaces.contains(&head.surface)
            && (self.methods.is_empty() || self.methods.contains(head.method))
            && self.route.as_ref().is_none_or(|route| route.fits(head.tail))
            && self.head.iter().all(|test| test.holds(head))
    }
}

impl HeadTest {
    fn holds(&self, head: &Head<'_>) -> bool {
        match &self.part {
            // An encoded slash divides nothing for Express, and everything for what looks a webhook up.
            Part::Segment => {
                let decoded = decoded(head.tail);
                self.presence.holds(decoded.split('/').map(Cow::Borrowed))
            }
            Part::Query(name) => {
                let query = head.query.unwrap_or_default().as_bytes();
                let given = form_urlencoded::parse(query).filter(|(key, _)| is_named(key, name));
                self.presence.holds(given.map(|(_, value)| value))
            }
            Part::Header(name) => {
                let Ok(name) = HeaderName::try_from(&**name) else { return false };
                let fields = head.headers.get_all(name).iter();
                self.presence.holds(fields.map(|it| String::from_utf8_lossy(it.as_bytes())))
            }
            Part::Cookie(name) => {
                let fields = head.headers.get_all(header::COOKIE).iter();
                let crumbs = fields.flat_map(|field| field.as_bytes().split(|b| *b == b';'));
                let crumbs = crumbs.filter_map(|crumb| {
                    crumb.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
                });
                self.presence.holds(crumbs.map(String::from_utf8_lossy))
            }
        }
    }
}

impl Presence {
    fn holds<'v>(&self, mut values: impl Iterator<Item = Cow<'v, str>>) -> bool {
        match self {
            Self::Present => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::Value(text) => values.any(|it| text.holds(&it)),
        }
    }
}

/// Whether a parameter is `name`, or an element of it: Express reads `name[]` and `name[x]` as such
/// where its extended parser is on.
fn is_named(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

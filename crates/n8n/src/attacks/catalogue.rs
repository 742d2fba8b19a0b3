//! The catalogue: what is known, by where it is tried.
//!
//! Each entry has a file in `tests/known-attacks` with requests that must be stopped and such that
//! look like them and must pass.

mod accounts;
mod advised;
mod editor;
mod families;
mod oauth;
mod rights;
mod triggers;

use std::borrow::Cow;

use http::Method;

use super::{BodyTest, Entry, HeadTest, Kinds, Likeness, Part, Presence, Shape, Text};
use crate::Surface;

/// Every attack that is known.
#[must_use]
pub fn catalogue() -> Vec<Entry> {
    let parts = [
        triggers::entries(),
        oauth::entries(),
        accounts::entries(),
        editor::entries(),
        rights::entries(),
        advised::entries(),
        families::entries(),
    ];
    parts.into_iter().flatten().collect()
}

/// Where strangers make workflows run by webhooks.
const WEBHOOKS: [Surface; 3] = [Surface::Webhook, Surface::WebhookTest, Surface::WebhookWaiting];

/// Where strangers fill in forms.
const FORMS: [Surface; 3] = [Surface::Form, Surface::FormTest, Surface::FormWaiting];

/// Where strangers make workflows run.
const TRIGGERS: [Surface; 8] = [
    Surface::Webhook,
    Surface::WebhookTest,
    Surface::WebhookWaiting,
    Surface::Form,
    Surface::FormTest,
    Surface::FormWaiting,
    Surface::Mcp,
    Surface::McpTest,
];

/// Where workflows are written.
const API: [Surface; 3] = [Surface::Rest, Surface::PublicApi, Surface::McpServer];

/// An advisory by its CVE.
fn cve(id: &'static str, title: &'static str, affected: &str, likeness: Likeness) -> Entry {
    let source = Cow::Owned(format!("https://www.cve.org/CVERecord?id={id}"));
    // That each can be read is tested.
    let affected = affected.parse().ok();
    let (id, title) = (Cow::Borrowed(id), Cow::Borrowed(title));
    Entry { id, title, source, affected, likeness, shapes: Vec::new(), advice: "", told: "" }
}

/// An advisory that has no CVE.
fn ghsa(id: &'static str, title: &'static str, affected: &str, likeness: Likeness) -> Entry {
    let source = Cow::Owned(format!("https://github.com/advisories/{id}"));
    Entry { source, ..cve(id, title, affected, likeness) }
}

/// A kind of attacks, which no release is safe from for good.
fn family(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    likeness: Likeness,
) -> Entry {
    Entry { source: Cow::Borrowed(source), affected: None, ..cve(id, title, "", likeness) }
}

impl Entry {
    fn shape(mut self, shape: Shape) -> Self {
        self.shapes.push(shape);
        self
    }

    fn advice(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }

    fn told(self, told: &'static str) -> Self {
        Self { told, ..self }
    }
}

/// Any request on one of these surfaces.
fn on(surfaces: &[Surface]) -> Shape {
    Shape {
        surfaces: surfaces.to_vec(),
        methods: Vec::new(),
        route: None,
        head: Vec::new(),
        body: Vec::new(),
    }
}

impl Shape {
    fn by(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    /// What cannot be read fits nothing; that each can is tested.
    fn at(mut self, route: &str) -> Self {
        match route.parse() {
            Ok(route) => self.route = Some(route),
            Err(_) => self.surfaces.clear(),
        }
        self
    }

    fn head(mut self, part: Part, presence: Presence) -> Self {
        self.head.push(HeadTest { part, presence });
        self
    }

    fn segment(self, text: Text) -> Self {
        self.head(Part::Segment, Presence::Value(text))
    }

    fn query(self, name: &'static str, text: Text) -> Self {
        self.head(Part::Query(Cow::Borrowed(name)), Presence::Value(text))
    }

    fn has_query(self, name: &'static str) -> Self {
        self.head(Part::Query(Cow::Borrowed(name)), Presence::Present)
    }

    fn no_query(self, name: &'static str) -> Self {
        self.head(Part::Query(Cow::Borrowed(name)), Presence::Absent)
    }

    fn no_cookie(self, name: &'static str) -> Self {
        self.head(Part::Cookie(Cow::Borrowed(name)), Presence::Absent)
    }

    fn field(self, path: &str, text: Text) -> Self {
        self.body_field(Kinds::All, path, Some(text))
    }

    fn has_field(self, kinds: Kinds, path: &str) -> Self {
        self.body_field(kinds, path, None)
    }

    fn body_field(mut self, kinds: Kinds, path: &str, text: Option<Text>) -> Self {
        match path.parse() {
            Ok(path) => self.body.push(BodyTest::Field(kinds, path, text)),
            Err(_) => self.surfaces.clear(),
        }
        self
    }

    fn body(mut self, test: BodyTest) -> Self {
        self.body.push(test);
        self
    }
}

/// One of these texts.
fn one_of(texts: &[&'static str]) -> Text {
    Text::OneOf(texts.iter().copied().map(Cow::Borrowed).collect())
}

fn contains(texts: &[&'static str]) -> Text {
    Text::Contains(texts.iter().copied().map(Cow::Borrowed).collect())
}

fn begins(texts: &[&'static str]) -> Text {
    Text::Begins(texts.iter().copied().map(Cow::Borrowed).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_entry_is_whole() {
        let all = catalogue();
        let ids: BTreeSet<_> = all.iter().map(|entry| entry.id.clone()).collect();
        assert_eq!(ids.len(), all.len(), "an id stands once");
        for entry in &all {
            let id = &entry.id;
            assert!(entry.source.starts_with("https://"), "{id}");
            assert!(!entry.title.is_empty() && entry.title.len() <= 80, "{id}");
            assert!(!entry.shapes.is_empty() || !entry.advice.is_empty(), "{id} says nothing");
            let own = id.starts_with(|c: char| c.is_ascii_lowercase());
            assert!(
                own || entry.affected.is_some() || entry.likeness == Likeness::OnlyAttacks,
                "{id}"
            );
            let plain = |c: char| c.is_ascii() && !c.is_ascii_control() && !"\"\\".contains(c);
            assert!(entry.told.chars().all(plain), "{id} is told in a text of JSON");
            assert!(entry.likeness != Likeness::OnlyAttacks || entry.told.is_empty(), "{id}");
            for shape in &entry.shapes {
                assert!(!shape.surfaces.is_empty(), "{id} has a route or a field that is none");
            }
        }
    }
}

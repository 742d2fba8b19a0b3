//! What is known of one attack.

use std::{borrow::Cow, str::FromStr};

use http::Method;

use super::{FieldPath, Text};
use crate::{Affected, Surface};

/// How sure it is that a request of this shape is an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Nothing but an attack looks like this.
    OnlyAttacks,
    /// An honest request looks like this now and then, and can do without.
    Seldom,
    /// Honest requests look the same: only whoever does not need the function can do without.
    Often,
}

/// An attack that is known, or a kind of them.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its advisory's id, or a name of our own: lower case, digits and `-`. It is a label of metrics.
    pub id: Cow<'static, str>,
    /// What it does, in a line.
    pub title: Cow<'static, str>,
    /// Where to read about it; empty for an operator's own.
    pub source: Cow<'static, str>,
    /// The releases that have the flaw; nothing for what is no flaw of a release.
    pub affected: Option<Affected>,
    /// How sure a match is.
    pub likeness: Likeness,
    /// What its requests look like: any of these. Empty for what no request tells.
    pub shapes: Vec<Shape>,
    /// What to do about it besides or instead, if there is anything.
    pub advice: &'static str,
    /// What whoever is refused for it reads, if that may be somebody honest; letters, and no quotes.
    pub told: &'static str,
}

/// What a request looks like. All of it has to hold.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Where it is made.
    pub surfaces: Vec<Surface>,
    /// How; empty for any method.
    pub methods: Vec<Method>,
    /// The path below the surface's first segment; nothing for any.
    pub route: Option<Route>,
    /// What is in its head.
    pub head: Vec<HeadTest>,
    /// What is in its body: any of these. Empty if the head tells.
    pub body: Vec<BodyTest>,
}

/// Something in a request's head.
#[derive(Clone, Debug)]
pub struct HeadTest {
    /// What is looked at.
    pub part: Part,
    /// What has to be so.
    pub presence: Presence,
}

/// A part of a request's head.
#[derive(Clone, Debug)]
pub enum Part {
    /// A segment of the path below the surface, decoded once: any of them.
    Segment,
    /// A parameter of the query, decoded; as it is spelled.
    Query(Cow<'static, str>),
    /// A header field; in any case.
    Header(Cow<'static, str>),
    /// A cookie.
    Cookie(Cow<'static, str>),
}

/// What has to be so of a part.
#[derive(Clone, Debug)]
pub enum Presence {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is there, and one of its values is so.
    Value(Text),
}

/// Something in a request's body.
#[derive(Clone, Debug)]
pub enum BodyTest {
    /// It has more bytes, decoded.
    Larger(usize),
    /// There is such a field, and its text is so if there is anything to be said of it.
    Field(Kinds, FieldPath, Option<Text>),
    /// A file of a form is called so.
    FileName(Text),
}

/// In which kinds of bodies a field is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// In all that n8n reads.
    All,
    /// In all but the parts of a `multipart/form-data`.
    NotMultipart,
    /// In XML.
    Xml,
}

/// A path below a surface's first segment: segments, `*` for any one, a final `**` for whatever
/// follows. Empty for the surface's first segment itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    segments: Vec<Cow<'static, str>>,
    /// Whether more may follow.
    open: bool,
}

/// What is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path below a surface has no slash at its ends, none doubled, and `**` at its end alone")]
pub struct InvalidPath;

impl Route {
    /// Whether `tail` is this path. A segment is compared in any case, decoded once.
    #[must_use]
    pub fn fits(&self, tail: &str) -> bool {
        let mut given =
            tail.strip_suffix('/').unwrap_or(tail).split('/').filter(|it| !it.is_empty());
        let same = |wanted: &Cow<'_, str>| {
            given.next().is_some_and(|it| {
                wanted == "*" || super::head::decoded(it).eq_ignore_ascii_case(wanted)
            })
        };
        self.segments.iter().all(same) && (self.open || given.next().is_none())
    }
}

impl FromStr for Route {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let (text, open) = match text.strip_suffix("**") {
            Some("") => ("", true),
            Some("/") => return Err(InvalidPath),
            Some(rest) => (rest.strip_suffix('/').ok_or(InvalidPath)?, true),
            None => (text, false),
        };
        let mut segments = Vec::new();
        for segment in text.split('/').filter(|_| !text.is_empty()) {
            if segment.is_empty() || segment.contains("**") {
                return Err(InvalidPath);
            }
            segments.push(Cow::Owned(segment.to_owned()));
        }
        Ok(Self { segments, open })
    }
}

impl Shape {
    /// Whether something in a file's parts or name is asked for, or in a field of a form.
    pub(super) fn asks_of_multipart(&self) -> bool {
        self.body.iter().any(|test| match test {
            BodyTest::FileName(_) | BodyTest::Field(Kinds::All, ..) => true,
            BodyTest::Larger(_) | BodyTest::Field(Kinds::NotMultipart | Kinds::Xml, ..) => false,
        })
    }

    /// Whether something is asked for in what n8n reads whole.
    pub(super) fn asks_of_whole(&self, xml: bool) -> bool {
        self.body.iter().any(|test| match test {
            BodyTest::Larger(_) | BodyTest::Field(Kinds::All | Kinds::NotMultipart, ..) => true,
            BodyTest::Field(Kinds::Xml, ..) => xml,
            BodyTest::FileName(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_compared_as_n8n_could() {
        for (route, tail, fits) in [
            ("auth/**", "auth/embed", true),
            ("auth/**", "AUTH/embed/x", true),
            ("auth/**", "auth", true),
            ("auth/**", "authx", false),
            ("invitations/*/accept", "invitations/7/accept/", true),
            ("invitations/*/accept", "invitations/accept", false),
            ("executions/*/stop", "executions/1/%73top", true),
            ("", "", true),
            ("", "x", false),
            ("**", "", true),
            ("*", "12", true),
            ("*", "12/yes", false),
        ] {
            assert_eq!(route.parse::<Route>().unwrap().fits(tail), fits, "{route} {tail}");
        }
        for wrong in ["/a", "a/", "a//b", "a**", "**/a", "/**"] {
            assert_eq!(wrong.parse::<Route>(), Err(InvalidPath), "{wrong}");
        }
    }
}

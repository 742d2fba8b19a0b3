//! YAML as a tree in which every node knows its place.
//!
//! Only what a policy needs: no anchors, no aliases, no tags, no keys but plain text, one document.

use gateway_policy::Place;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use crate::de::Session;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Scalar {
        text: String,
        /// Written without quotes: `true`, `5` and `null` mean what they say.
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// Deeper than any policy is.
const DEEPEST: usize = 16;

/// Reads one document. What is wrong with it goes to the session; nothing comes back if there is
/// no tree at all.
pub(crate) fn parse(text: &str, session: &Session<'_>) -> Option<Node> {
    let mut reader = Reader { events: Parser::new_from_str(text), session, end: end(text) };
    let root = loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd, span) => {
                session.error(reader.place(span.start), "the file is empty", None);
                return None;
            }
            (event, span) => break reader.node(event, span, 0)?,
        }
    };
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Some(root),
            (Event::DocumentStart(_), span) => {
                session.error(reader.place(span.start), "a second document in one file", None);
                return None;
            }
            _ => {}
        }
    }
}

struct Reader<'t, 's> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    session: &'s Session<'s>,
    /// After the last character.
    end: Place,
}

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        match self.events.next()? {
            Ok(next) => Some(next),
            Err(error) => {
                self.session.error(self.place(*error.marker()), error.info(), None);
                None
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Option<Node> {
        let place = self.place(span.start);
        if depth > DEEPEST {
            self.session.error(place, "nested too deeply", None);
            return None;
        }
        let kind = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(place, anchor, tag.is_some());
                Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(place, anchor, tag.is_some());
                Kind::Sequence(self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(place, anchor, tag.is_some());
                Kind::Mapping(self.mapping(depth)?)
            }
            Event::Alias(_) => {
                self.session.error(place, "aliases are not supported", None);
                return None;
            }
            _ => return None,
        };
        Some(Node { place, kind })
    }

    fn sequence(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(nodes),
                (event, span) => nodes.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Option<Vec<(Key, Node)>> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Some(entries);
            }
            let key = match self.node(event, span, depth + 1)? {
                Node { place, kind: Kind::Scalar { text, .. } } => Key { place, text },
                Node { place, kind: Kind::Sequence(_) | Kind::Mapping(_) } => {
                    self.session.error(place, "a key must be plain text", None);
                    return None;
                }
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match entries.iter().find(|(other, _)| other.text == key.text) {
                Some((first, _)) => {
                    let message = format!("`{}` is written twice", key.text);
                    let hint = format!("the first stands in line {}", first.place.line);
                    self.session.error(key.place, message, Some(hint));
                }
                None => entries.push((key, value)),
            }
        }
    }

    /// What the parser finds missing at the end, it looks for in a line that is not there.
    fn place(&self, marker: Marker) -> Place {
        Place { line: marker.line(), column: marker.col() + 1 }.min(self.end)
    }

    fn refuse_extras(&self, place: Place, anchor: usize, tag: bool) {
        if anchor != 0 || tag {
            self.session.error(place, "anchors and tags are not supported", None);
        }
    }
}

/// The place after the last character, as YAML breaks lines (1.2.2, 5.4).
fn end(text: &str) -> Place {
    let breaks = text.matches('\n').count() + text.matches('\r').count();
    let last = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    Place { line: breaks - text.matches("\r\n").count() + 1, column: last.chars().count() + 1 }
}

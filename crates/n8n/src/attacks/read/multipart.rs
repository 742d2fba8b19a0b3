//! A `multipart/form-data`, read as it passes: it may have files of any size, of which nothing is
//! kept. Its parts' heads are looked at, and the values of its fields.
//!
//! Where a part ends is read as formidable reads it (`parsers/Multipart.js`, 3.5): a line break, two
//! hyphens and the boundary, then a line break or two hyphens. What else may follow a boundary, and heads
//! and types that formidable takes apart in ways of its own, is not read at all: no browser and no program
//! writes it.

use http::{HeaderMap, header};
use memchr::memmem::{Finder, find, rfind};

use super::{Look, Shape, Unreadable, first};
use crate::attacks::field::Trail;

/// The longest head of a part, in bytes. Browsers' are a few hundred.
const HEAD: usize = 16 * 1024;

/// How often a part may name its file: twice, where old and new programs are to read it.
const NAMES: usize = 4;

/// How many bytes the values of a form's fields may have together, if anybody asks what is in them.
const VALUES: usize = 1024 * 1024;

/// A reader of one form.
#[derive(Debug)]
pub struct Multipart {
    /// What stands between two parts.
    between: Finder<'static>,
    state: State,
    /// What came, and how much of it has been read.
    waiting: Vec<u8>,
    read: usize,
    look: Look,
    /// How many bytes of values may still come, and whether more are passed over.
    room: usize,
    lenient: bool,
}

#[derive(Debug)]
enum State {
    /// In a part.
    Part(Option<Value>),
    /// Behind what stands between two parts.
    Between(Option<Value>),
    Head,
    End,
    /// n8n could find other parts in it.
    Wrong,
}

/// The value of a field as far as it has come, if somebody asks for it.
#[derive(Debug)]
struct Value {
    name: String,
    text: Vec<u8>,
}

impl Multipart {
    /// A reader for a form with this head; nothing if n8n would find no parts in it.
    #[must_use]
    pub fn new<'s>(headers: &HeaderMap, shapes: impl Iterator<Item = &'s Shape>) -> Option<Self> {
        let field = first(headers, &header::CONTENT_TYPE)?;
        let is_wrong = is_ambiguous(&field);
        let boundary = boundary(&field).or_else(|| is_wrong.then_some(""))?;
        let between = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        Some(Self {
            between,
            state: if is_wrong { State::Wrong } else { State::Part(None) },
            // A form begins as if a line had ended before it.
            waiting: b"\r\n".to_vec(),
            read: 0,
            look: Look::new(shapes, false, true),
            room: VALUES,
            lenient: false,
        })
    }

    /// Whether any of these shapes asks for what a form's fields have in them.
    pub fn asks_for_values<'s>(shapes: impl Iterator<Item = &'s Shape>) -> bool {
        Look::new(shapes, false, true).asks_for_values()
    }

    /// The same, where no more of the values than [`VALUES`] is looked at and the rest is nobody's concern.
    #[must_use]
    pub fn leniently(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Takes the next bytes and gives what has been found so far, by the shapes' places.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] if n8n could read something that is not read here.
    pub fn take(&mut self, data: &[u8]) -> Result<&[usize], Unreadable> {
        self.waiting.extend_from_slice(data);
        while self.step()? {}
        // Once for all that has been read: what is left is short.
        self.waiting.drain(..self.read);
        self.read = 0;
        Ok(&self.look.found)
    }

    fn rest(&self) -> &[u8] {
        self.waiting.get(self.read..).unwrap_or_default()
    }

    /// Reads on; gives whether there may be more to read in what waits.
    fn step(&mut self) -> Result<bool, Unreadable> {
        match std::mem::replace(&mut self.state, State::End) {
            State::End => {
                self.read = self.waiting.len();
                Ok(false)
            }
            State::Wrong => {
                self.state = State::Wrong;
                Err(Unreadable::Parts)
            }
            State::Part(value) => self.part(value),
            State::Between(value) => self.between(value),
            State::Head => self.head(),
        }
    }

    fn part(&mut self, mut value: Option<Value>) -> Result<bool, Unreadable> {
        let at = self.between.find(self.rest());
        let length = self.between.needle().len();
        // What could be the beginning of what stands between stays.
        let own = at.unwrap_or_else(|| (self.rest().len() + 1).saturating_sub(length));
        if let Some(asked) = &mut value {
            match self.room.checked_sub(own) {
                Some(room) => {
                    self.room = room;
                    asked.text.extend_from_slice(self.rest().get(..own).unwrap_or_default());
                }
                None if self.lenient => value = None,
                None => return Err(Unreadable::Size),
            }
        }
        self.read += own;
        self.state = if at.is_some() {
            self.read += length;
            State::Between(value)
        } else {
            State::Part(value)
        };
        Ok(at.is_some())
    }

    fn between(&mut self, value: Option<Value>) -> Result<bool, Unreadable> {
        let Some(next) = self.rest().first_chunk::<2>().copied() else {
            self.state = State::Between(value);
            return Ok(false);
        };
        if !matches!(&next, b"\r\n" | b"--") {
            // formidable remembers a half of what it has seen, and ends the next part by it.
            self.state = State::Wrong;
            return Err(Unreadable::Parts);
        }
        if let Some(Value { name, text }) = value {
            self.field(&name, &text);
        }
        self.read += 2;
        self.state = if &next == b"--" { State::End } else { State::Head };
        Ok(true)
    }

    fn head(&mut self) -> Result<bool, Unreadable> {
        // A head without fields ends at once.
        let end = if self.rest().starts_with(b"\r\n") {
            Some(0)
        } else {
            find(self.rest(), b"\r\n\r\n").map(|at| at + 2)
        };
        let Some(end) = end else {
            // A line without a colon ends a head for formidable, and the rest would be its part.
            let lines = rfind(self.rest(), b"\r\n").and_then(|at| self.rest().get(..at));
            let whole = lines.is_none_or(has_colons);
            self.state = if whole { State::Head } else { State::Wrong };
            let fits = self.rest().len() <= HEAD;
            return if whole && fits { Ok(false) } else { Err(Unreadable::Parts) };
        };
        let head = String::from_utf8_lossy(self.rest().get(..end).unwrap_or_default()).into_owned();
        self.read += end + 2;
        let name = self.read_head(&head)?;
        self.state = State::Part(name.map(|name| Value { name, text: Vec::new() }));
        Ok(true)
    }

    /// Looks at a part's head; gives the name of the field whose value follows, if it is one.
    fn read_head(&mut self, head: &str) -> Result<Option<String>, Unreadable> {
        let (mut name, mut is_file) = (None, false);
        for line in head.split("\r\n").filter(|it| !it.is_empty()) {
            let (field, value) = line.split_once(':').ok_or(Unreadable::Parts)?;
            match field.to_ascii_lowercase().as_str() {
                "content-disposition" => {
                    name = parameter(value, "name").map(str::to_owned).or(name);
                    self.file(value)?;
                }
                // What formidable takes for a file has one, and what has none is a field.
                "content-type" => is_file = true,
                "content-transfer-encoding" if self.look.asks_for_values() => {
                    let plain = ["7bit", "8bit", "binary", "utf-8"];
                    let value = value.trim().to_ascii_lowercase();
                    if !plain.contains(&value.as_str()) {
                        return Err(Unreadable::Parts);
                    }
                }
                _ => {}
            }
        }
        let name = name.unwrap_or_default();
        self.field(&name, b"");
        let wanted = !is_file && self.look.asks_for_values();
        Ok(wanted.then_some(name))
    }

    /// Looks at whatever could be taken for a file's name.
    fn file(&mut self, disposition: &str) -> Result<(), Unreadable> {
        let lower = disposition.to_ascii_lowercase();
        if lower.matches("filename").count() > NAMES {
            return Err(Unreadable::Parts);
        }
        for (at, _) in lower.match_indices("filename") {
            let rest = disposition.get(at..).and_then(|it| it.split_once('='));
            let Some((_, name)) = rest else { continue };
            let name = name.trim().trim_matches('"');
            self.look.file(name);
            // `filename*` has it encoded, and formidable reads references to characters.
            let decoded = super::super::head::decoded(name);
            let (_, plain) = decoded.rsplit_once('\'').unwrap_or(("", &decoded));
            self.look.file(plain);
            self.look.file(&decoded);
            // formidable reads references, and leaves what is behind the last backslash.
            let read = references_read(name);
            self.look.file(&read);
            self.look.file(read.rsplit('\\').next().unwrap_or_default());
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        let mut trail = Trail::default();
        trail.enter(name);
        self.look.field(&trail, Some(&String::from_utf8_lossy(value)));
    }
}

/// Whether n8n could take the form for something else, or with another boundary or in another coding: what
/// formidable's plugins look for anywhere in the type, and what Node decodes otherwise.
fn is_ambiguous(field: &str) -> bool {
    let lower = field.to_ascii_lowercase();
    let others = ["json", "urlencoded", "octet-stream"];
    let charset = lower.split(';').skip(1).filter_map(|it| it.trim().strip_prefix("charset"));
    let is_utf8 = |value: &str| {
        let value = value.trim().trim_start_matches('=').trim().trim_matches('"');
        matches!(value, "utf-8" | "utf8")
    };
    !field.is_ascii()
        || lower.matches("boundary=").count() > 1
        || others.iter().any(|other| lower.contains(other))
        || !charset.clone().all(is_utf8)
}

/// Whether each line has a colon.
fn has_colons(lines: &[u8]) -> bool {
    let mut rest = Some(lines);
    while let Some(lines) = rest {
        let end = find(lines, b"\r\n");
        let line = end.map_or(lines, |end| lines.get(..end).unwrap_or_default());
        if !line.contains(&b':') {
            return false;
        }
        rest = end.and_then(|end| lines.get(end + 2..));
    }
    true
}

/// The boundary, as formidable finds it.
fn boundary(field: &str) -> Option<&str> {
    let at = field.to_ascii_lowercase().find("boundary=")?;
    let rest = field.get(at + "boundary=".len()..)?;
    let quoted = rest.strip_prefix('"').and_then(|it| it.split_once('"')).map(|(it, _)| it);
    let bare = rest.split(';').next();
    quoted.filter(|it| !it.is_empty()).or(bare).filter(|it| !it.is_empty())
}

/// The value of a parameter that is `name` and not the end of another one's name.
fn parameter<'h>(field: &'h str, name: &str) -> Option<&'h str> {
    let lower = field.to_ascii_lowercase();
    let wanted = format!("{name}=");
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let starts = lower.match_indices(&wanted).map(|(at, _)| at);
    let mut alone = starts.filter(|at| {
        let before = at.checked_sub(1).and_then(|it| lower.as_bytes().get(it));
        !before.is_some_and(word)
    });
    let rest = field.get(alone.next()? + wanted.len()..)?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split([';', ' ', '\t']).next(),
    }
}

/// `&#0047;` is a slash to formidable.
fn references_read(name: &str) -> String {
    let mut said = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("&#") {
        said.push_str(before);
        let c = after.get(..4).and_then(|it| char::from_u32(it.parse().ok()?));
        match c.filter(|_| after.get(4..5) == Some(";")) {
            Some(c) => {
                said.push(c);
                rest = after.get(5..).unwrap_or_default();
            }
            None => {
                said.push_str("&#");
                rest = after;
            }
        }
    }
    said.push_str(rest);
    said
}

#[cfg(test)]
mod tests;

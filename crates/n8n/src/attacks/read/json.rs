//! JSON, as `JSON.parse` reads it.
//!
//! What `JSON.parse` takes is read alike, and more than that: nothing is refused for its syntax, so
//! that no two readers can differ in it. A half of a surrogate pair, a number of any size and a
//! field that stands twice are in the JSON of honest senders, and no library that is kept takes all
//! three. What `JSON.parse` does not take n8n does not read either.

use std::borrow::Cow;

use super::{DEPTH, Look, Unreadable};
use crate::attacks::field::Trail;

/// Fields whose text n8n reads as JSON again: a workflow within a workflow
/// (`n8n-nodes-base.executeWorkflow`).
const NESTED: [&str; 1] = ["workflowJson"];

/// Reads a text. It takes time in proportion to its length.
pub(super) fn read(text: &str, trail: &mut Trail, look: &mut Look) -> Result<(), Unreadable> {
    Reader { text, at: 0, trail, look, inside: Vec::new() }.read()
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    trail: &'t mut Trail,
    look: &'t mut Look,
    /// What the reader is in, from the outside in.
    inside: Vec<Inside>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// An object, where a field's name comes next.
    Name,
    /// An object, where a field's value comes next.
    Value,
    List,
}

impl<'t> Reader<'t> {
    fn read(mut self) -> Result<(), Unreadable> {
        while let Some(byte) = self.next() {
            match byte {
                b'{' => self.open(Inside::Name)?,
                b'[' => self.open(Inside::List)?,
                b'}' | b']' => self.close(),
                b',' => self.and(),
                b'"' => {
                    let text = self.string();
                    self.text(&text)?;
                }
                b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
                _ => {
                    let text = self.literal();
                    self.text(text)?;
                }
            }
        }
        while !self.inside.is_empty() {
            self.close();
        }
        Ok(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += 1;
        byte
    }

    /// An object or a list begins.
    fn open(&mut self, inside: Inside) -> Result<(), Unreadable> {
        if self.trail.depth() >= DEPTH {
            return Err(Unreadable::Depth);
        }
        self.look.field(self.trail, None);
        self.inside.push(inside);
        // A field's own name takes the place of the empty one.
        self.trail.enter("");
        Ok(())
    }

    fn close(&mut self) {
        if self.inside.pop().is_some() {
            self.trail.leave();
        }
    }

    /// The next field or element.
    fn and(&mut self) {
        if let Some(inside @ Inside::Value) = self.inside.last_mut() {
            *inside = Inside::Name;
        }
    }

    /// A name or a value.
    fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        if let Some(inside @ Inside::Name) = self.inside.last_mut() {
            *inside = Inside::Value;
            self.trail.leave();
            self.trail.enter(text);
            return Ok(());
        }
        self.look.field(self.trail, Some(text));
        if NESTED.contains(&self.trail.last()) && text.trim_start().starts_with('{') {
            return read(text, self.trail, self.look);
        }
        Ok(())
    }

    /// The rest of a string, without its quotes.
    fn string(&mut self) -> Cow<'t, str> {
        let from = self.at;
        let mut escaped = false;
        while let Some(byte) = self.next() {
            match byte {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                }
                _ => {}
            }
        }
        let text = self.text.get(from..self.at.saturating_sub(1)).unwrap_or_default();
        if escaped { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) }
    }

    /// The rest of a number, `true`, `false`, `null`, or of what is none of them.
    fn literal(&mut self) -> &'t str {
        let from = self.at.saturating_sub(1);
        let ends = |byte: u8| b"{}[]:,\" \t\n\r".contains(&byte);
        while self.text.as_bytes().get(self.at).is_some_and(|byte| !ends(*byte)) {
            self.at += 1;
        }
        self.text.get(from..self.at).unwrap_or_default()
    }
}

/// What an escaped text says; half of a surrogate pair is a replacement character.
fn unescaped(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        said.push_str(before);
        let mut marks = after.chars();
        let mark = marks.next();
        rest = marks.as_str();
        match mark {
            Some('b') => said.push('\u{8}'),
            Some('f') => said.push('\u{c}'),
            Some('n') => said.push('\n'),
            Some('r') => said.push('\r'),
            Some('t') => said.push('\t'),
            Some('u') => {
                let (c, length) = unit(rest);
                said.push(c);
                rest = rest.get(length..).unwrap_or_default();
            }
            Some(other) => said.push(other),
            None => {}
        }
    }
    said.push_str(rest);
    said
}

/// The character of an escape behind its `\u`, and how many bytes tell it.
fn unit(text: &str) -> (char, usize) {
    let hex = |at: usize| {
        let digits = text.get(at..at + 4).filter(|it| it.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = hex(0) else { return (char::REPLACEMENT_CHARACTER, 0) };
    if let Some(c) = char::from_u32(first) {
        return (c, 4);
    }
    let second = text.get(4..6).filter(|it| *it == "\\u").and_then(|_| hex(6));
    match second {
        Some(second @ 0xdc00..=0xdfff) if first < 0xdc00 => {
            let c = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            (c.unwrap_or(char::REPLACEMENT_CHARACTER), 10)
        }
        _ => (char::REPLACEMENT_CHARACTER, 4),
    }
}

#[cfg(test)]
mod tests;

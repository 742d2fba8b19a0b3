//! The head of a request, byte by byte: where it ends and what follows, or what is wrong with it.
//!
//! A verdict depends on the bytes up to the one that decides it, never on how they came. Stricter
//! than RFC 9112 where readers are known to differ: whatever two of them could read differently is
//! refused, also if one reading is the right one.

use std::ops::Range;

use super::{class::Class, flaw::Flaw};
use crate::HeadSize;

/// The longest method; the longest that is registered has 17.
pub(crate) const METHOD_BYTES: usize = 24;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// No body.
    Nothing,
    /// A body of so many bytes.
    Length(u64),
    /// A body in chunks (RFC 9112 7.1).
    Chunks,
}

/// A head that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its length in bytes.
    pub length: usize,
    /// What follows it.
    pub follows: Follows,
    /// Whether it asks for another protocol, so that the answer decides what comes after the body
    /// (RFC 9110 7.8).
    pub upgrade: bool,
}

/// A head that is being read.
#[derive(Clone, Debug, Default)]
pub struct Head {
    most: HeadSize,
    at: At,
    /// How far it has been read.
    read: usize,
    /// Where the part that is being read began.
    start: usize,
    /// Whether an empty line came first, as some clients send after a body (RFC 9112 2.2).
    blank: bool,
    method: Range<usize>,
    target: Range<usize>,
    name: Range<usize>,
    is_1_1: bool,
    fields: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// The part of a head that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    BlankLf,
    Method,
    Target,
    Version,
    Name,
    Value,
    ValueLf,
    EndLf,
    Ended,
}

/// What a version and its line's end look like; the `?` is the minor version.
const VERSION: &[u8; 10] = b"HTTP/1.?\r\n";

impl Head {
    /// A head that may be so large.
    #[must_use]
    pub fn within(most: HeadSize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Reads on. `bytes` are all of the head that have come, those of earlier calls included, and
    /// whatever follows them.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Passed>, Flaw> {
        let most = bytes.get(..self.most.bytes).unwrap_or(bytes);
        while self.at != At::Ended {
            let Some((next, rest)) = most.get(self.read..).and_then(<[u8]>::split_first) else {
                return if most.len() < self.most.bytes { Ok(None) } else { Err(Flaw::LongHead) };
            };
            self.step(most, *next, rest)?;
        }
        let follows = match (self.chunked, self.length) {
            (true, _) => Follows::Chunks,
            (false, None | Some(0)) => Follows::Nothing,
            (false, Some(length)) => Follows::Length(length),
        };
        Ok(Some(Passed { length: self.read, follows, upgrade: self.upgrade && self.is_1_1 }))
    }

    /// The method and the target, once they are known to be sound.
    #[must_use]
    pub fn asked<'b>(&self, bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
        let target = bytes.get(self.target.clone()).filter(|it| !it.is_empty())?;
        Some((bytes.get(self.method.clone())?, target))
    }

    /// Reads one byte, and all that follow it in the same part.
    fn step(&mut self, bytes: &[u8], next: u8, rest: &[u8]) -> Result<(), Flaw> {
        match self.at {
            At::Start => match next {
                b'\r' if !self.blank => self.turn(At::BlankLf),
                b'\n' => return Err(Flaw::LineEnd),
                _ if Class::Token.has(next) => {
                    (self.at, self.start) = (At::Method, self.read);
                }
                _ => return Err(Flaw::RequestLine),
            },
            At::BlankLf => {
                self.line_feed(next)?;
                (self.at, self.blank) = (At::Start, true);
            }
            At::Method => self.method(bytes)?,
            At::Target => self.target(bytes)?,
            At::Version => self.version(next)?,
            At::Name => self.name(bytes, next)?,
            At::Value => match next {
                _ if Class::Value.has(next) => {
                    let run = rest.iter().position(|it| !Class::Value.has(*it));
                    self.read += 1 + run.unwrap_or(rest.len());
                }
                b'\r' => {
                    self.read += 1;
                    self.at = At::ValueLf;
                }
                b'\n' => return Err(Flaw::LineEnd),
                _ => return Err(Flaw::Value),
            },
            At::ValueLf => {
                let value = bytes.get(self.start..self.read.saturating_sub(1));
                self.line_feed(next)?;
                self.field(bytes, value.unwrap_or_default())?;
                (self.at, self.start) = (At::Name, self.read);
            }
            At::EndLf => {
                self.line_feed(next)?;
                self.at = At::Ended;
            }
            At::Ended => {}
        }
        Ok(())
    }

    /// Goes one byte further, to the beginning of `at`.
    fn turn(&mut self, at: At) {
        self.read += 1;
        (self.at, self.start) = (at, self.read);
    }

    fn line_feed(&mut self, next: u8) -> Result<(), Flaw> {
        if next != b'\n' {
            return Err(Flaw::LineEnd);
        }
        self.read += 1;
        Ok(())
    }

    /// Reads on as long as bytes are of `class`: where another one stands, if one has come. More
    /// than `most` of them are `long`.
    fn run(
        &mut self,
        bytes: &[u8],
        class: Class,
        most: usize,
        long: Flaw,
    ) -> Result<Option<usize>, Flaw> {
        let rest = bytes.get(self.read..).unwrap_or_default();
        let end = rest.iter().position(|it| !class.has(*it)).map(|it| self.read + it);
        self.read = end.unwrap_or(bytes.len());
        if self.read - self.start > most { Err(long) } else { Ok(end) }
    }

    fn method(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        let run = self.run(bytes, Class::Token, METHOD_BYTES, Flaw::RequestLine)?;
        let Some(end) = run else { return Ok(()) };
        if bytes.get(end) != Some(&b' ') {
            return Err(Flaw::RequestLine);
        }
        self.method = self.start..end;
        if bytes.get(self.method.clone()) == Some(b"CONNECT") {
            return Err(Flaw::Connect);
        }
        self.turn(At::Target);
        Ok(())
    }

    fn target(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        let run = self.run(bytes, Class::Target, self.most.target, Flaw::LongTarget)?;
        let Some(end) = run else { return Ok(()) };
        let target = self.start..end;
        match (bytes.get(end), bytes.get(target.clone())) {
            (Some(b' '), Some(target @ [_, ..])) => is_target(target)?,
            _ => return Err(Flaw::RequestLine),
        }
        self.target = target;
        self.turn(At::Version);
        Ok(())
    }

    fn version(&mut self, next: u8) -> Result<(), Flaw> {
        match (VERSION.get(self.read - self.start), next) {
            // A space that should have been encoded: no version begins otherwise.
            (Some(b'H'), found) if found > b' ' && !found.eq_ignore_ascii_case(&b'H') => {
                return Err(Flaw::Target);
            }
            (Some(b'?'), b'0' | b'1') => self.is_1_1 = next == b'1',
            (Some(expected), found) if *expected == found => {}
            _ => return Err(Flaw::RequestLine),
        }
        self.read += 1;
        if self.read - self.start == VERSION.len() {
            (self.at, self.start) = (At::Name, self.read);
        }
        Ok(())
    }

    fn name(&mut self, bytes: &[u8], next: u8) -> Result<(), Flaw> {
        if next == b'\r' && self.read == self.start {
            self.turn(At::EndLf);
            return Ok(());
        }
        let Some(end) = self.run(bytes, Class::Token, self.most.bytes, Flaw::LongHead)? else {
            return Ok(());
        };
        match bytes.get(end) {
            Some(b':') if end > self.start => {}
            Some(b'\n') => return Err(Flaw::LineEnd),
            _ => return Err(Flaw::Name),
        }
        self.fields += 1;
        if self.fields > self.most.fields {
            return Err(Flaw::ManyFields);
        }
        self.name = self.start..end;
        self.turn(At::Value);
        Ok(())
    }

    /// Takes down what a field says of the message's end.
    fn field(&mut self, bytes: &[u8], value: &[u8]) -> Result<(), Flaw> {
        let name = bytes.get(self.name.clone()).unwrap_or_default();
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            7 if is(b"upgrade") => self.upgrade = true,
            14 if is(b"content-length") => {
                if self.chunked {
                    return Err(Flaw::LengthAndCoding);
                }
                let length = number(trimmed(value)).filter(|_| self.length.is_none());
                self.length = Some(length.ok_or(Flaw::Length)?);
            }
            17 if is(b"transfer-encoding") => {
                if self.length.is_some() {
                    return Err(Flaw::LengthAndCoding);
                }
                let chunked = trimmed(value).eq_ignore_ascii_case(b"chunked");
                if !chunked || self.chunked || !self.is_1_1 {
                    return Err(Flaw::Coding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Without the spaces and tabs around it, and nothing else: some trim more (RFC 9110 5.6.3).
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A length: digits alone, and few enough for every reader's integers.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u64, |sum, it| it.is_ascii_digit().then(|| sum * 10 + u64::from(it - b'0')))
}

/// Whether bytes are a target: a path, or an address as it is sent to proxies (RFC 9112 3.2.1,
/// 3.2.2). An asterisk asks about the whole server, and n8n has nothing to say of that.
pub(crate) fn is_target(target: &[u8]) -> Result<(), Flaw> {
    if target.first() == Some(&b'/') {
        return is_encoded(target);
    }
    if target == b"*" {
        return Err(Flaw::Asterisk);
    }
    // Rare, so that it may cost something.
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let rest = rest.ok_or(Flaw::NoPath)?;
    let end = rest.iter().position(|it| matches!(it, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).unwrap_or_default();
    if host.is_empty() || !host.is_ascii() {
        return Err(Flaw::NoPath);
    }
    is_encoded(path)?;
    http::Uri::try_from(target).map(drop).map_err(|_| Flaw::NoPath)
}

/// Whether a path and a query have no bytes that are no part of a URI and that the `http` crate
/// refuses. Nobody sends a fragment, and readers differ on what to do with one.
fn is_encoded(target: &[u8]) -> Result<(), Flaw> {
    let encoded = !target.iter().any(|it| matches!(it, b'#' | b'<' | b'>'));
    let mut parts = target.splitn(2, |it| *it == b'?');
    let path = parts.next().unwrap_or_default();
    let query = parts.next().unwrap_or_default();
    // Some senders of webhooks do not encode the text in their queries, and n8n reads it.
    let sound = path.is_ascii() && !path.contains(&b'`');
    let text = !query.contains(&b'"') && std::str::from_utf8(query).is_ok();
    if encoded && sound && text { Ok(()) } else { Err(Flaw::Target) }
}

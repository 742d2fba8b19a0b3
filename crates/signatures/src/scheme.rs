//! What is signed, with what, and where it is written down.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderName;

/// A way to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The header field with the signature.
    pub header: HeaderName,
    /// How the field is written.
    pub field: Field,
    /// What the signature is made with.
    pub algorithm: Algorithm,
    /// How it is written.
    pub encoding: Encoding,
    /// When it was made.
    pub stamp: Stamp,
    /// What it is made of.
    pub signed: Signed,
}

/// How a header field with signatures is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// One signature behind a prefix, which may be empty.
    Plain(Cow<'static, str>),
    /// `name=value` with commas between them; those of this name are signatures.
    Pairs(&'static str),
    /// `version,signature` with spaces between them; those of this version count.
    Versions(&'static str),
}

/// What a signature is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-1. It is not broken as an HMAC; who still signs with it has no other.
    Sha1,
    /// HMAC with SHA-256.
    Sha256,
    /// HMAC with SHA-512.
    Sha512,
    /// No signature at all: the secret itself is shown.
    Token,
}

impl Algorithm {
    pub(crate) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::Sha1 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => Some(hmac::HMAC_SHA256),
            Self::Sha512 => Some(hmac::HMAC_SHA512),
            Self::Token => None,
        }
    }
}

/// How a signature's bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// In lower case.
    Hex,
    /// With its padding (RFC 4648 4).
    Base64,
}

impl Encoding {
    pub(crate) fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Base64 => BASE64_STANDARD.encode(bytes),
        }
    }
}

/// When a signature was made, as its sender says; the moment is a part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// It is not said.
    None,
    /// In a header field.
    Header(HeaderName, Clock),
    /// Beside the signature, in the pair of this name, in seconds since 1970.
    Pair(&'static str),
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Seconds since 1970.
    Unix,
    /// RFC 3339, in UTC.
    Rfc3339,
}

impl Clock {
    /// The moment in seconds since 1970.
    pub(crate) fn read(self, text: &str) -> Option<i64> {
        match self {
            // A number of digits alone: `parse` would take a sign.
            Self::Unix => {
                let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
                digits.then(|| text.parse().ok()).flatten()
            }
            Self::Rfc3339 => {
                let moment = humantime::parse_rfc3339(text).ok()?;
                let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
                since.as_secs().try_into().ok()
            }
        }
    }
}

/// What a signature is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// One after the other.
    Parts(Cow<'static, [Part]>),
    /// The whole URL, and what a form says, by name; or the body's hash in the URL.
    UrlAndForm,
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(Cow<'static, str>),
    /// The moment, as it is written.
    Timestamp,
    /// The value of a header field.
    Header(HeaderName),
    /// The body, byte for byte.
    Body,
}

/// The parts that a text with `{timestamp}` and `{body}` in it stands for.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn template(text: &str) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or("a `{` without its `}`")?;
        if !before.is_empty() {
            parts.push(Part::Text(Cow::Owned(before.to_owned())));
        }
        parts.push(match name {
            "timestamp" => Part::Timestamp,
            "body" => Part::Body,
            _ => return Err("only `{timestamp}` and `{body}` stand for something"),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(Cow::Owned(rest.to_owned())));
    }
    // Whoever saw one message could send any other.
    if parts.iter().filter(|it| **it == Part::Body).count() == 1 {
        Ok(parts)
    } else {
        Err("`{body}` must be signed, once")
    }
}

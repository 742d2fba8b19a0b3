//! The form of a sign-in: whose account it names, read as n8n reads it or not at all.
//!
//! A guard that reads a form otherwise than n8n does can be told one account while n8n is told
//! another. So this reader takes what n8n's reader and every other takes alike, and the rest is
//! [`UnreadableForm`]: nothing of it may reach n8n.
//!
//! Tried on n8n 2.40.7 (`middlewares/body-parser.js`, `http/parse-incoming-message.js`): it knows a
//! JSON and an urlencoded form by the exact media type, decodes exactly `gzip` and `deflate`, and
//! trims the name and looks it up in lower case. It reads XML as well, but can sign nobody in by
//! it (its parser lower-cases the names of elements), and never answers XML that is broken.

use std::{fmt, io::Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderName, header};
use zeroize::{Zeroize, Zeroizing};

/// The largest form in bytes, before and after decoding. n8n reads 16 MiB; nobody's name and
/// password are that long, and what a guard does not read to its end can hide a second name.
pub const FORM_LIMIT: usize = 64 * 1024;

/// The longest name (n8n's own limit, `LoginRequestDto`).
const LONGEST: usize = 255;

/// The largest number of fields in an urlencoded form: Node's `querystring` reads no more.
const FIELDS: usize = 1000;

/// An account as n8n looks it up. It is wiped from memory when it is dropped.
pub struct Account(Zeroizing<String>);

impl Account {
    /// The name. Keep it out of everything that is printed or kept.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(***)")
    }
}

/// Why a form cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableForm {
    /// Neither JSON nor urlencoded, or said in more than one way.
    #[error("its type is neither JSON nor urlencoded")]
    Type,
    /// Encoded otherwise than with gzip or deflate, or not what it says.
    #[error("its encoding")]
    Encoding,
    /// Larger than any form is.
    #[error("it is too large")]
    Size,
    /// Not what its type says.
    #[error("it is malformed")]
    Syntax,
    /// No account is named, or more than one.
    #[error("it names no account")]
    Account,
}

/// The account that a form names in `field`.
///
/// # Errors
///
/// [`UnreadableForm`] if n8n reads nothing in it, or could read something else.
pub fn account(headers: &HeaderMap, body: &[u8], field: &str) -> Result<Account, UnreadableForm> {
    let kind = media_type(headers)?;
    let text = decoded(headers, body)?;
    let text = std::str::from_utf8(&text).map_err(|_| UnreadableForm::Syntax)?;
    // Node strips one byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let name = match kind {
        Kind::Json => json(text, field)?,
        Kind::Urlencoded => urlencoded(text, field)?,
    };
    normalised(&name).ok_or(UnreadableForm::Account)
}

/// The texts that stand in `fields` of a form, as they are; nothing where a field is missing, or is
/// no text.
///
/// # Errors
///
/// [`UnreadableForm`] if n8n reads nothing in the form, or could read something else.
pub fn texts(
    headers: &HeaderMap,
    body: &[u8],
    fields: &[&str],
) -> Result<Vec<Option<Zeroizing<String>>>, UnreadableForm> {
    let kind = media_type(headers)?;
    let text = decoded(headers, body)?;
    let text = std::str::from_utf8(&text).map_err(|_| UnreadableForm::Syntax)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found = |field: &&str| match kind {
        Kind::Json => json(text, field),
        Kind::Urlencoded => urlencoded(text, field),
    };
    let missing = |found| match found {
        Ok(text) => Ok(Some(text)),
        Err(UnreadableForm::Account) => Ok(None),
        Err(why) => Err(why),
    };
    fields.iter().map(found).map(missing).collect()
}

/// A body of JSON.
pub(crate) fn json_value(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<serde_json::Value, UnreadableForm> {
    let Kind::Json = media_type(headers)? else { return Err(UnreadableForm::Type) };
    let text = decoded(headers, body)?;
    let text = std::str::from_utf8(&text).map_err(|_| UnreadableForm::Syntax)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|_| UnreadableForm::Syntax)
}

/// A text without what `String.prototype.trim` takes from its ends.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_trimmed)
}

enum Kind {
    Json,
    Urlencoded,
}

/// The one value of a field; nothing if there is none.
fn only<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    otherwise: UnreadableForm,
) -> Result<Option<&'h str>, UnreadableForm> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Ok(None),
        (Some(field), None) => field.to_str().map(Some).map_err(|_| otherwise),
        (Some(_), Some(_)) => Err(otherwise),
    }
}

fn media_type(headers: &HeaderMap) -> Result<Kind, UnreadableForm> {
    let field = only(headers, &header::CONTENT_TYPE, UnreadableForm::Type)?;
    let mut parts = field.ok_or(UnreadableForm::Type)?.split(';');
    let kind = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "application/json" => Kind::Json,
        "application/x-www-form-urlencoded" => Kind::Urlencoded,
        _ => return Err(UnreadableForm::Type),
    };
    let utf8 = |parameter: &str| {
        let parameter = parameter.trim().to_ascii_lowercase();
        parameter.is_empty() || matches!(parameter.as_str(), "charset=utf-8" | "charset=utf8")
    };
    if parts.all(utf8) { Ok(kind) } else { Err(UnreadableForm::Type) }
}

fn decoded(headers: &HeaderMap, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnreadableForm> {
    if body.len() > FORM_LIMIT {
        return Err(UnreadableForm::Size);
    }
    let mut text = Zeroizing::new(Vec::new());
    let limit = u64::try_from(FORM_LIMIT).unwrap_or(u64::MAX) + 1;
    let read = match only(headers, &header::CONTENT_ENCODING, UnreadableForm::Encoding)? {
        None => body.take(limit).read_to_end(&mut text),
        Some("gzip") => MultiGzDecoder::new(body).take(limit).read_to_end(&mut text),
        Some("deflate") => ZlibDecoder::new(body).take(limit).read_to_end(&mut text),
        // n8n takes the bytes as they are; another reader would decode them.
        Some(_) => return Err(UnreadableForm::Encoding),
    };
    read.map_err(|_| UnreadableForm::Encoding)?;
    if text.len() > FORM_LIMIT { Err(UnreadableForm::Size) } else { Ok(text) }
}

/// As `JSON.parse` reads it: the last of several fields with one name counts.
fn json(text: &str, field: &str) -> Result<Zeroizing<String>, UnreadableForm> {
    let form: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| UnreadableForm::Syntax)?;
    let mut found = Err(UnreadableForm::Account);
    for (name, value) in form {
        if let serde_json::Value::String(mut value) = value {
            if name == field {
                found = Ok(Zeroizing::new(value));
            } else {
                value.zeroize();
            }
        }
    }
    found
}

/// As Node's `querystring` reads it: two fields with one name are a list, and a list is no name.
fn urlencoded(text: &str, field: &str) -> Result<Zeroizing<String>, UnreadableForm> {
    if text.split('&').count() >= FIELDS {
        return Err(UnreadableForm::Syntax);
    }
    let mut fields = form_urlencoded::parse(text.as_bytes()).filter(|(name, _)| name == field);
    let (first, second) = (fields.next(), fields.next());
    let (Some((_, name)), None) = (first, second) else { return Err(UnreadableForm::Account) };
    let name = Zeroizing::new(name.into_owned());
    // What is not UTF-8 other readers replace in other ways.
    if name.contains('\u{fffd}') { Err(UnreadableForm::Syntax) } else { Ok(name) }
}

/// As n8n looks it up: `String.prototype.trim`, then `toLowerCase`.
fn normalised(name: &str) -> Option<Account> {
    let name = trimmed(name);
    let fits = !name.is_empty() && name.encode_utf16().count() <= LONGEST;
    fits.then(|| Account(Zeroizing::new(name.to_lowercase())))
}

/// White space and line terminators of ECMAScript (ECMA-262 12.2 and 12.3): other than Rust's
/// own, U+FEFF is among them and U+0085 is not.
fn is_trimmed(c: char) -> bool {
    matches!(
        c,
        '\t'..='\r'
            | ' '
            | '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests;

//! The session that a request shows: what its cookie says of whoever signed in.
//!
//! Nobody here checks the cookie's signature; n8n does. So its claims are good for refusing and for
//! nothing else: whoever makes some up is refused by n8n, and nobody can change those of a cookie
//! that n8n takes.
//!
//! Source: n8n 2.40.7 `auth/auth.service.js` (`issueJWT`), and how `cookie` 0.7.2 and
//! `cookie-parser` 1.4.7 read the field: of several with one name the first counts.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde_json::Value;

/// The cookie of a session.
pub(crate) const SESSION: &str = "n8n-auth=";

/// The longest cookie that is looked at, in bytes. n8n's own have about 400.
const LONGEST: usize = 4096;

/// The longest name of a user: n8n's are UUIDs.
const LONGEST_USER: usize = 64;

/// What a session's cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user, by n8n's own id.
    pub user: String,
    /// Whether a second factor was shown when they signed in.
    pub used_mfa: bool,
    /// When n8n made the cookie, in seconds since 1970.
    pub issued: i64,
    /// When it ends.
    pub ends: i64,
}

/// The session that a request shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Session {
    /// It shows none.
    #[default]
    None,
    /// A cookie as n8n makes none. Another reader might find one in it: quotes, percent signs and
    /// a `j:` in front mean something to n8n's.
    Unreadable,
    /// A cookie that says this.
    Shown(Claims),
}

impl Session {
    /// The session that a request with these fields shows.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        match token(headers) {
            None => Self::None,
            Some(token) => claims(token).map_or(Self::Unreadable, Self::Shown),
        }
    }

    /// What it says, if it can be read.
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        match self {
            Self::Shown(claims) => Some(claims),
            Self::None | Self::Unreadable => None,
        }
    }
}

/// The session's cookie in a request: the first of that name, as n8n reads it.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    let mut crumbs = fields.flat_map(|field| field.as_bytes().split(|b| *b == b';'));
    crumbs.find_map(value)
}

/// Whether a request shows anything in place of a session.
pub(crate) fn has_session(headers: &HeaderMap) -> bool {
    token(headers).is_some()
}

/// Whether a part of a `Cookie` field is the session's.
#[must_use]
pub fn is_session_cookie(crumb: &[u8]) -> bool {
    value(crumb).is_some()
}

/// The cookie of the session that an answer gives, if it gives one and does not take one away.
#[must_use]
pub fn given(headers: &HeaderMap) -> Option<&[u8]> {
    let mut cookies = headers.get_all(header::SET_COOKIE).iter();
    cookies.find_map(|cookie| {
        let value = cookie.as_bytes().strip_prefix(SESSION.as_bytes())?;
        let value = value.split(|b| *b == b';').next().unwrap_or_default();
        (!value.is_empty()).then_some(value)
    })
}

/// What a session's cookie says; nothing if n8n made no such one.
#[must_use]
pub fn claims(token: &[u8]) -> Option<Claims> {
    let signed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if token.len() > LONGEST || !token.iter().all(signed) {
        return None;
    }
    let mut parts = token.split(|b| *b == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    let user = payload.get("id")?.as_str()?;
    if user.is_empty() || user.len() > LONGEST_USER {
        return None;
    }
    Some(Claims {
        user: user.to_owned(),
        used_mfa: payload.get("usedMfa").and_then(Value::as_bool).unwrap_or_default(),
        issued: payload.get("iat").and_then(Value::as_i64).unwrap_or_default(),
        ends: payload.get("exp").and_then(Value::as_i64).unwrap_or_default(),
    })
}

/// The value of a crumb that is the session's cookie. n8n trims spaces and tabs around the name.
fn value(crumb: &[u8]) -> Option<&[u8]> {
    let equals = crumb.iter().position(|b| *b == b'=')?;
    let (name, value) = crumb.split_at_checked(equals)?;
    let named = name.trim_ascii() == SESSION.trim_end_matches('=').as_bytes();
    named.then(|| value.get(1..).unwrap_or_default().trim_ascii())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A cookie's value as n8n would make it, signed by nobody.
    pub(crate) fn token_of(payload: &str) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmVk", BASE64_URL_SAFE_NO_PAD.encode(payload))
    }

    fn session(cookies: &[&str]) -> Session {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        Session::of(&headers)
    }

    #[test]
    fn a_session_is_what_n8n_would_read() {
        let with = token_of(r#"{"id":"u1","hash":"h","usedMfa":true,"iat":5,"exp":9}"#);
        let without = token_of(r#"{"id":"u1","hash":"h","usedMfa":false,"iat":5,"exp":9}"#);
        let old = token_of(r#"{"id":"u1","iat":5,"exp":9}"#);
        let used = |it: &[&str]| session(it).claims().map(|claims| claims.used_mfa);
        let nobody = |it: &[&str]| assert_eq!(session(it), Session::Unreadable, "{it:?}");
        assert_eq!(used(&[&format!("n8n-auth={with}")]), Some(true));
        assert_eq!(used(&[&format!("a=1;  n8n-auth ={without}; b=2")]), Some(false));
        assert_eq!(used(&["a=1", &format!("n8n-auth={old}")]), Some(false));
        assert_eq!(used(&[&format!("n8n-auth={with}; n8n-auth={without}")]), Some(true), "first");
        assert_eq!(session(&["a=1", "xn8n-auth=1", "N8N-AUTH=1"]), Session::None);
        nobody(&[&format!("n8n-auth=\"{without}\"")]);
        nobody(&[&format!("n8n-auth=j:\"{without}\"")]);
        nobody(&[&format!("n8n-auth={}", without.replace('.', "%2e"))]);
        nobody(&[&format!("n8n-auth={without}; n8n-auth={with}.x")
            .replace("n8n-auth=ey", "n8n-auth=.ey")]);
        nobody(&["n8n-auth="]);
        nobody(&["n8n-auth=a.b.c"]);
        nobody(&[&format!("n8n-auth={}", token_of(r#"{"id":7}"#))]);
        nobody(&[&format!("n8n-auth={}", "a".repeat(5000))]);
    }

    #[test]
    fn an_answer_gives_a_session_or_takes_one_away() {
        let gives = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.append(header::SET_COOKIE, "other=1".parse().unwrap());
            headers.append(header::SET_COOKIE, cookie.parse().unwrap());
            given(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(gives("n8n-auth=ey; Path=/; HttpOnly"), Some(b"ey".to_vec()));
        assert_eq!(gives("n8n-auth=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), None);
        assert_eq!(gives("n8n-authx=ey"), None);
    }
}

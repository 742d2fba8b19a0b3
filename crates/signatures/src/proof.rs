//! A proof that is asked for, and what becomes of it.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, header};
use zeroize::Zeroizing;

use crate::{
    Algorithm, Clock, Field, Provider, Scheme, Stamp,
    signed::{Piece, contents},
};

/// A field may hold this many signatures: some senders add one for each secret of a rotation.
const SIGNATURES: usize = 16;

/// A secret, as bytes. No print shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// It, as it is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret cannot be one of a provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the base64 of a key, with or without `whsec_` before it")]
pub struct Unfit;

/// A proof that is asked for. Any of its secrets is as good as the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    how: How,
    secrets: Vec<Secret>,
    /// How many seconds a signature may be off.
    tolerance: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    /// A signature in one of these ways, told by the header.
    Signature(Vec<Scheme>),
    /// `Authorization: Bearer …` (RFC 6750 2.1).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617 2); a secret is `user:password`.
    Basic,
}

/// A message that is to be proven.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    /// Its header fields.
    pub headers: &'m HeaderMap,
    /// The host it is for, with the port that its sender used.
    pub authority: &'m str,
    /// Path and query, as they were sent.
    pub target: &'m str,
    /// Its body, byte for byte.
    pub body: &'m [u8],
}

impl<'m> Message<'m> {
    /// The one value of a header field; two could be read in two ways.
    pub(crate) fn only(&self, name: &HeaderName) -> Result<Option<&'m str>, Unproven> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| Unproven::Malformed),
            (Some(_), Some(_)) => Err(Unproven::Malformed),
        }
    }
}

/// What is known of a message that was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The first half of the SHA-256 of what was signed: the same for no other message, however
    /// its signature is written and whichever secret made it.
    pub fingerprint: [u8; 16],
    /// When its signature is too old, in seconds since 1970; never, if it says no time.
    pub until: Option<i64>,
}

/// Why a message is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It does not even try.
    #[error("there is none")]
    Missing,
    /// What it shows cannot be read.
    #[error("it cannot be read")]
    Malformed,
    /// It was signed too long ago.
    #[error("it is too old")]
    Old,
    /// It was signed in time to come.
    #[error("it is from the future")]
    Early,
    /// It is not of whoever has the secret.
    #[error("it is wrong")]
    Wrong,
}

impl Proof {
    /// A signature as `provider` makes it, not older or newer than `tolerance` seconds where it says
    /// a time.
    ///
    /// # Errors
    ///
    /// A secret that is none of this provider's.
    pub fn by(provider: Provider, secrets: &[&str], tolerance: i64) -> Result<Self, Unfit> {
        let decoded = |secret: &&str| {
            let text = secret.strip_prefix("whsec_").unwrap_or(secret);
            let key = BASE64_STANDARD.decode(text).map_err(|_| Unfit)?;
            if key.is_empty() { Err(Unfit) } else { Ok(Secret(Zeroizing::new(key))) }
        };
        let secrets = if provider.encodes_secrets() {
            secrets.iter().map(decoded).collect::<Result<_, _>>()?
        } else {
            secrets.iter().map(|it| Secret::new(it)).collect()
        };
        Ok(Self { how: How::Signature(provider.schemes()), secrets, tolerance })
    }

    /// A signature as `scheme` says.
    #[must_use]
    pub fn of(scheme: Scheme, secrets: Vec<Secret>, tolerance: i64) -> Self {
        Self { how: How::Signature(vec![scheme]), secrets, tolerance }
    }

    /// A bearer token.
    #[must_use]
    pub fn bearer(secrets: Vec<Secret>) -> Self {
        Self { how: How::Bearer, secrets, tolerance: 0 }
    }

    /// A name and a password; a secret is `user:password`.
    #[must_use]
    pub fn basic(secrets: Vec<Secret>) -> Self {
        Self { how: How::Basic, secrets, tolerance: 0 }
    }

    /// Whether it asks for the body.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        match &self.how {
            How::Signature(ways) => ways.iter().any(|it| it.algorithm != Algorithm::Token),
            How::Bearer | How::Basic => false,
        }
    }

    /// Whether what is shown says when it was made.
    #[must_use]
    pub fn is_stamped(&self) -> bool {
        match &self.how {
            How::Signature(ways) => ways.iter().all(|it| it.stamp != Stamp::None),
            How::Bearer | How::Basic => false,
        }
    }

    /// What a client is asked for, if it is HTTP's own kind of proof (RFC 9110 11.6.1).
    #[must_use]
    pub fn challenge(&self) -> Option<&'static str> {
        match self.how {
            How::Signature(_) => None,
            How::Bearer => Some("Bearer"),
            How::Basic => Some("Basic realm=\"webhook\", charset=\"UTF-8\""),
        }
    }

    /// Whether `message` is from whoever has one of the secrets, at `now` in seconds since 1970.
    ///
    /// # Errors
    ///
    /// Why it cannot be believed.
    pub fn check(&self, message: &Message<'_>, now: i64) -> Result<Proven, Unproven> {
        match &self.how {
            How::Signature(ways) => {
                let shown = ways.iter().find(|it| message.headers.contains_key(&it.header));
                self.signature(shown.ok_or(Unproven::Missing)?, message, now)
            }
            How::Bearer => self.credentials(message, "Bearer", |secret| secret.0.to_vec()),
            How::Basic => self.credentials(message, "Basic", |secret| {
                BASE64_STANDARD.encode(&*secret.0).into_bytes()
            }),
        }
    }

    fn signature(
        &self,
        scheme: &Scheme,
        message: &Message<'_>,
        now: i64,
    ) -> Result<Proven, Unproven> {
        let field = message.only(&scheme.header)?.ok_or(Unproven::Missing)?;
        let candidates = candidates(&scheme.field, field)?;
        let Some(algorithm) = scheme.algorithm.hmac() else {
            let shown =
                |secret: &Secret| candidates.iter().any(|it| same(it.as_bytes(), &secret.0));
            return if self.secrets.iter().any(shown) {
                Ok(Proven { fingerprint: [0; 16], until: None })
            } else {
                Err(Unproven::Wrong)
            };
        };
        let (timestamp, at) = stamp(&scheme.stamp, field, message)?;
        if let Some(at) = at {
            // A stranger's number may be any.
            let age = now.saturating_sub(at);
            if age > self.tolerance {
                return Err(Unproven::Old);
            }
            if age < -self.tolerance {
                return Err(Unproven::Early);
            }
        }
        let contents = contents(&scheme.signed, message, timestamp)?;
        for content in &contents {
            for secret in &self.secrets {
                let mut made = hmac::Context::with_key(&hmac::Key::new(algorithm, &secret.0));
                content.iter().for_each(|piece| made.update(piece.bytes()));
                let made = scheme.encoding.write(made.sign().as_ref());
                let is_it =
                    |it: &&str| verify_slices_are_equal(it.as_bytes(), made.as_bytes()).is_ok();
                if candidates.iter().any(is_it) {
                    let until = at.map(|at| at.saturating_add(self.tolerance));
                    return Ok(Proven { fingerprint: fingerprint(content), until });
                }
            }
        }
        Err(Unproven::Wrong)
    }

    fn credentials(
        &self,
        message: &Message<'_>,
        scheme: &str,
        shown: impl Fn(&Secret) -> Vec<u8>,
    ) -> Result<Proven, Unproven> {
        let field = message.only(&header::AUTHORIZATION)?.ok_or(Unproven::Missing)?;
        let (kind, rest) = field.split_once(' ').ok_or(Unproven::Malformed)?;
        if !kind.eq_ignore_ascii_case(scheme) {
            return Err(Unproven::Missing);
        }
        let is_it = |secret: &Secret| same(rest.as_bytes(), &Zeroizing::new(shown(secret)));
        if self.secrets.iter().any(is_it) {
            Ok(Proven { fingerprint: [0; 16], until: None })
        } else {
            Err(Unproven::Wrong)
        }
    }
}

/// Whether two texts are the same, in a time that tells nothing of either, nor of their lengths.
fn same(one: &[u8], other: &[u8]) -> bool {
    let hash = |it| digest::digest(&digest::SHA256, it);
    verify_slices_are_equal(hash(one).as_ref(), hash(other).as_ref()).is_ok()
}

fn fingerprint(content: &[Piece<'_>]) -> [u8; 16] {
    let mut hash = digest::Context::new(&digest::SHA256);
    content.iter().for_each(|piece| hash.update(piece.bytes()));
    let mut first = [0; 16];
    first.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    first
}

/// The signatures in a field.
fn candidates<'f>(shape: &Field, field: &'f str) -> Result<Vec<&'f str>, Unproven> {
    let found: Vec<&str> = match shape {
        Field::Plain(prefix) => field.strip_prefix(&**prefix).into_iter().collect(),
        Field::Pairs(name) => pairs(field, name).take(SIGNATURES + 1).collect(),
        Field::Versions(version) => {
            let all = field.split(' ').filter_map(|it| it.split_once(','));
            all.filter(|(of, _)| of == version).map(|(_, it)| it).take(SIGNATURES + 1).collect()
        }
    };
    if found.is_empty() || found.len() > SIGNATURES { Err(Unproven::Malformed) } else { Ok(found) }
}

fn pairs<'f>(field: &'f str, name: &str) -> impl Iterator<Item = &'f str> {
    let all = field.split(',').filter_map(|it| it.split_once('='));
    all.filter(move |(of, _)| *of == name).map(|(_, value)| value)
}

/// When a message was signed, as it is written and in seconds since 1970.
fn stamp<'m>(
    stamp: &Stamp,
    field: &'m str,
    message: &Message<'m>,
) -> Result<(&'m str, Option<i64>), Unproven> {
    let (text, clock) = match stamp {
        Stamp::None => return Ok(("", None)),
        Stamp::Header(name, clock) => (message.only(name)?.ok_or(Unproven::Missing)?, *clock),
        Stamp::Pair(name) => {
            let mut found = pairs(field, name);
            match (found.next(), found.next()) {
                (Some(text), None) => (text, Clock::Unix),
                _ => return Err(Unproven::Malformed),
            }
        }
    };
    let at = clock.read(text).ok_or(Unproven::Malformed)?;
    Ok((text, Some(at)))
}

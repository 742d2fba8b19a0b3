//! Secrets that cannot be printed.

use std::{borrow::Cow, fmt};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::text::visit_text;

/// The newtype name by which [`Secret`] tells the deserializer what it is.
pub(crate) const SECRET: &str = "$secret";

/// A text that every print masks, and that does not stay in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret that was not written in a policy.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text itself. Keep it out of everything that is printed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Bytes that every print masks, and that do not stay in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The bytes that `secret` is in base64, of either alphabet, padded or not.
    #[must_use]
    pub fn from_base64(secret: &Secret) -> Option<Self> {
        let standard: String = secret
            .expose()
            .trim_end_matches('=')
            .chars()
            .map(|it| match it {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        let decoded = STANDARD_NO_PAD.decode(Zeroizing::new(standard).as_bytes()).ok();
        decoded.filter(|it| !it.is_empty()).map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The bytes themselves. Keep them out of everything that is printed.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let not_empty = |text: &str| match text.trim() {
            "" => Err("is empty".to_owned()),
            secret => Ok(Self(Zeroizing::new(secret.to_owned()))),
        };
        deserializer.deserialize_newtype_struct(SECRET, visit_text("a secret", not_empty))
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A secret: ${file:/path} or ${env:NAME}."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_print_shows_it() {
        let secret = Secret(Zeroizing::new("hunter2".to_owned()));
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }
}

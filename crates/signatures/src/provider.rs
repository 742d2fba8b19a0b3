//! The table of providers: how each signs, and where it says so.

use std::borrow::Cow;

use http::HeaderName;

use crate::{Algorithm, Clock, Encoding, Field, Part, Scheme, Signed, Stamp};

/// Somebody who signs webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider(&'static Row);

#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: &'static str,
    header: &'static str,
    field: Field,
    algorithm: Algorithm,
    encoding: Encoding,
    stamp: At,
    signed: Of,
    /// Whether the secret is the base64 of a key, behind `whsec_`.
    encoded: bool,
    /// Where it is described.
    source: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    Nowhere,
    Header(&'static str, Clock),
    Pair(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
enum Of {
    Body,
    /// A text, the moment, a text, the body.
    Stamped(&'static str, &'static str),
    /// A header's value, a dot, the moment, a dot, the body.
    Numbered(&'static str),
    UrlAndForm,
}

const fn prefix(text: &'static str) -> Field {
    Field::Plain(Cow::Borrowed(text))
}

use self::At::{Nowhere, Pair};
use crate::{
    Algorithm::{Sha1, Sha256, Token},
    Clock::{Rfc3339, Unix},
    Encoding::{Base64, Hex},
};

#[rustfmt::skip]
static TABLE: [Row; 9] = [
    row("github", "x-hub-signature-256", prefix("sha256="), Sha256, Hex, Nowhere, Of::Body,
        "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"),
    row("stripe", "stripe-signature", Field::Pairs("v1"), Sha256, Hex, Pair("t"), Of::Stamped("", "."),
        "https://docs.stripe.com/webhooks#verify-manually"),
    row("slack", "x-slack-signature", prefix("v0="), Sha256, Hex, At::Header("x-slack-request-timestamp", Unix), Of::Stamped("v0:", ":"),
        "https://docs.slack.dev/authentication/verifying-requests-from-slack"),
    row("shopify", "x-shopify-hmac-sha256", prefix(""), Sha256, Base64, Nowhere, Of::Body,
        "https://shopify.dev/docs/apps/build/webhooks/subscribe/https#step-2-validate-the-origin-of-your-webhook-to-ensure-its-coming-from-shopify"),
    // Its newer signing token follows Standard Webhooks.
    row("gitlab", "x-gitlab-token", prefix(""), Token, Hex, Nowhere, Of::Body,
        "https://docs.gitlab.com/user/project/integrations/webhooks/"),
    row("twilio", "x-twilio-signature", prefix(""), Sha1, Base64, Nowhere, Of::UrlAndForm,
        "https://www.twilio.com/docs/usage/security#validating-requests"),
    row("zendesk", "x-zendesk-webhook-signature", prefix(""), Sha256, Base64, At::Header("x-zendesk-webhook-signature-timestamp", Rfc3339), Of::Stamped("", ""),
        "https://developer.zendesk.com/documentation/webhooks/verifying/"),
    whsec("standard-webhooks", "webhook-signature", "webhook-timestamp", "webhook-id",
        "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"),
    whsec("svix", "svix-signature", "svix-timestamp", "svix-id",
        "https://docs.svix.com/receiving/verifying-payloads/how-manual"),
];

#[expect(clippy::too_many_arguments, reason = "the columns of the table")]
const fn row(
    name: &'static str,
    header: &'static str,
    field: Field,
    algorithm: Algorithm,
    encoding: Encoding,
    stamp: At,
    signed: Of,
    source: &'static str,
) -> Row {
    Row { name, header, field, algorithm, encoding, stamp, signed, encoded: false, source }
}

const fn whsec(
    name: &'static str,
    header: &'static str,
    stamp: &'static str,
    id: &'static str,
    source: &'static str,
) -> Row {
    let (field, stamp) = (Field::Versions("v1"), At::Header(stamp, Unix));
    let (algorithm, encoding, signed) = (Sha256, Base64, Of::Numbered(id));
    Row { name, header, field, algorithm, encoding, stamp, signed, encoded: true, source }
}

impl Provider {
    /// Every one.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|it| it.name() == name)
    }

    /// Its name in the policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Where it is described.
    #[must_use]
    pub fn source(self) -> &'static str {
        self.0.source
    }

    /// Whether its secrets are the base64 of a key, behind `whsec_`.
    #[must_use]
    pub fn encodes_secrets(self) -> bool {
        self.0.encoded
    }

    /// How it signs: one way or another, told by the header. Svix lets its customers choose
    /// between its own names of headers and those of the standard that it wrote.
    #[must_use]
    pub fn schemes(self) -> Vec<Scheme> {
        if self.0.encoded {
            TABLE.iter().filter(|row| row.encoded).map(Row::scheme).collect()
        } else {
            vec![self.0.scheme()]
        }
    }
}

impl Row {
    fn scheme(&self) -> Scheme {
        let text = |text: &'static str| Part::Text(Cow::Borrowed(text));
        let name = HeaderName::from_static;
        let parts = match self.signed {
            Of::UrlAndForm => None,
            Of::Body => Some(vec![Part::Body]),
            Of::Stamped(before, between) => {
                Some(vec![text(before), Part::Timestamp, text(between), Part::Body])
            }
            Of::Numbered(id) => Some(vec![
                Part::Header(name(id)),
                text("."),
                Part::Timestamp,
                text("."),
                Part::Body,
            ]),
        };
        Scheme {
            header: name(self.header),
            field: self.field.clone(),
            algorithm: self.algorithm,
            encoding: self.encoding,
            stamp: match self.stamp {
                Nowhere => Stamp::None,
                At::Header(header, clock) => Stamp::Header(name(header), clock),
                Pair(pair) => Stamp::Pair(pair),
            },
            signed: parts.map_or(Signed::UrlAndForm, |it| Signed::Parts(Cow::Owned(it))),
        }
    }
}

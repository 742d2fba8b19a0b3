//! What is remembered of a host besides its certificate, over restarts: how attempts went, so that
//! no crash, and no container that restarts for ever, asks a CA more often than it lets.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::acme::Challenge;

/// What is remembered of a host.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Record {
    /// The directory that issued what is served, by its name in the policy and by its URL.
    pub(crate) directory: Option<String>,
    pub(crate) directory_url: Option<String>,
    /// The challenge that showed control of the host last.
    pub(crate) challenge: Option<Challenge>,
    /// When the last order succeeded, in seconds since 1970.
    pub(crate) issued: Option<i64>,
    /// How many attempts in a row have failed.
    pub(crate) failures: u32,
    /// What was wrong the last time.
    pub(crate) last_error: Option<String>,
    /// When the last attempt failed, in seconds since 1970.
    pub(crate) failed: Option<i64>,
    /// Before when nothing is tried, in seconds since 1970.
    pub(crate) not_before: Option<i64>,
    /// Whether an attempt has begun and nobody has told its end.
    pub(crate) under_way: bool,
    /// The number of a certificate that was revoked.
    pub(crate) revoked: Option<String>,
    /// The directories that failed the last time, by URL: where they have a staging one, it comes
    /// first.
    pub(crate) failing: BTreeSet<String>,
    /// The directories that want to be left alone, by URL, and until when in seconds since 1970.
    pub(crate) limited: BTreeMap<String, i64>,
    /// When challenges failed lately, by the directory's URL, in seconds since 1970.
    pub(crate) lost: BTreeMap<String, Vec<i64>>,
    /// The orders that are not finished, by the directory's URL.
    pub(crate) orders: BTreeMap<String, OpenOrder>,
}

/// An order that can be taken up again.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub(crate) struct OpenOrder {
    /// The order, by URL.
    pub(crate) url: String,
    /// The key of the certificate to be, PEM.
    pub(crate) key: Zeroizing<String>,
    /// The kind of certificate that was ordered.
    #[serde(default)]
    pub(crate) profile: Option<String>,
    /// The kind of its key.
    pub(crate) key_kind: String,
    /// When it was made, in seconds since 1970.
    pub(crate) made: i64,
    /// How often it was taken up again.
    #[serde(default)]
    pub(crate) tries: u32,
}

impl std::fmt::Debug for OpenOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOrder").field("url", &self.url).finish_non_exhaustive()
    }
}

//! n8n's API keys, as they pass: by their fingerprints, since when and from where.

use gateway_ledger::{KeyUse, KnownKey};
use gateway_policy::{Client, Fingerprint, History, Policy, ShownKey};
use gateway_proxy::Case;
use gateway_telemetry::{ApiKeyForgotten, ApiKeyMoved};
use sha2::{Digest, Sha256};

use super::Guard;

impl Guard {
    /// What an API key is called by.
    #[must_use]
    pub fn fingerprint(key: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(key).into())
    }

    /// Every key that n8n has taken, the one that was used last first.
    #[must_use]
    pub fn api_keys(&self) -> Vec<(Fingerprint, KnownKey)> {
        self.0.ledger.api_keys()
    }

    pub(super) fn recalled_key(
        &self,
        key: Fingerprint,
        client: Client,
        policy: &Policy,
    ) -> Option<History> {
        let KnownKey { first, trail, .. } = self.0.ledger.api_key(key)?;
        let elsewhere = trail.is_elsewhere(self.place(client, policy).as_deref());
        Some(History { began: first, seen: trail.seen, elsewhere })
    }

    /// Takes down that n8n has answered somebody with a key, and whether that shows that it `took` it.
    pub(super) fn key_used(&self, key: &ShownKey, took: bool, case: &Case, policy: &Policy) {
        let place = self.place(case.client, policy);
        let used = KeyUse {
            key: key.fingerprint,
            user: key.user.as_deref(),
            took,
            address: case.client.address,
            place: place.as_deref(),
        };
        let from = self.0.ledger.api_key_used(&used, self.now());
        let told = policy.accounts.api_keys.as_ref().is_some_and(|it| it.tells_moves(key));
        if from.is_some() && told {
            self.tell_move(key, case, (from, place), false);
        }
    }

    /// Says that a key was refused because of where it is used.
    pub(super) fn key_moved(&self, key: &ShownKey, case: &Case, policy: &Policy) {
        let known = self.0.ledger.api_key(key.fingerprint);
        let from = known.and_then(|it| it.trail.places.into_iter().next());
        self.tell_move(key, case, (from, self.place(case.client, policy)), true);
    }

    fn tell_move(
        &self,
        key: &ShownKey,
        case: &Case,
        (from, to): (Option<String>, Option<String>),
        refused: bool,
    ) {
        self.0.telemetry.say(&ApiKeyMoved {
            request_id: format!("{:016x}", case.request),
            client: case.client.address,
            key: key.fingerprint.to_string(),
            user: key.user.clone(),
            from,
            to,
            refused,
        });
    }

    /// Forgets a key at the operator's word: wherever it is used next is no new place. Whether it was
    /// known.
    #[must_use]
    pub fn forget_api_key(&self, key: Fingerprint, by: &str, why: &str) -> bool {
        let known = self.0.ledger.forget_api_key(key);
        if known {
            let (by, why) = (by.to_owned(), why.to_owned());
            self.0.telemetry.say(&ApiKeyForgotten { key: key.to_string(), by, why });
        }
        known
    }
}

//! API keys that n8n has taken.

use gateway_policy::{Fingerprint, Timestamp};

use super::{Ledger, locked};
use crate::{Change, KeyUse, KnownKey};

impl Ledger {
    /// What is remembered of a key.
    #[must_use]
    pub fn api_key(&self, key: Fingerprint) -> Option<KnownKey> {
        locked(&self.keys).get(key).cloned()
    }

    /// Takes a use down; tells the place of before, if it is used in another. It is written down each
    /// minute.
    pub fn api_key_used(&self, used: &KeyUse<'_>, at: Timestamp) -> Option<String> {
        locked(&self.keys).used(used, at)
    }

    /// Forgets a key: wherever it is used next is no new place. Whether it was known.
    pub fn forget_api_key(&self, key: Fingerprint) -> bool {
        let known = locked(&self.keys).forget(key);
        self.post_api_keys();
        known
    }

    /// Every key, the one that was used last first.
    #[must_use]
    pub fn api_keys(&self) -> Vec<(Fingerprint, KnownKey)> {
        let keys = locked(&self.keys);
        let mut all: Vec<_> = keys.iter().map(|(key, it)| (key, it.clone())).collect();
        all.sort_by_key(|(_, it)| std::cmp::Reverse(it.trail.seen));
        all
    }

    /// Has what was learned of keys written down.
    pub fn post_api_keys(&self) {
        let mut keys = locked(&self.keys);
        let changed = keys.take_changed();
        if !changed.is_empty() {
            self.journal.post(changed.into_iter().map(|(key, it)| Change::ApiKey(key, it)));
        }
    }
}

//! n8n's API keys, as far as they have been seen: by their fingerprints, since when, how often and from
//! where. Only keys that n8n has taken are remembered, so that nobody who makes some up makes others
//! forgotten.

use std::{collections::BTreeSet, hash::RandomState, net::IpAddr};

use gateway_policy::{Fingerprint, Timestamp};
use lru::LruCache;

use crate::Trail;

/// How many keys are remembered at the most.
pub const API_KEYS: usize = 1000;

/// An API key that n8n has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Whose it says it is, by n8n's own id.
    pub user: Option<String>,
    /// When it was used first.
    pub first: Timestamp,
    /// How often it was used.
    pub calls: u64,
    /// Where.
    pub trail: Trail,
}

/// The use of a key that n8n has answered.
#[derive(Clone, Copy, Debug)]
pub struct KeyUse<'u> {
    /// Which.
    pub key: Fingerprint,
    /// Whose it says it is.
    pub user: Option<&'u str>,
    /// Whether the answer shows that n8n took it.
    pub took: bool,
    /// From where.
    pub address: IpAddr,
    /// The network that is in, if it can be told.
    pub place: Option<&'u str>,
}

#[derive(Debug)]
pub(crate) struct Keys {
    known: LruCache<Fingerprint, KnownKey, RandomState>,
    /// What has changed since it was written.
    changed: BTreeSet<Fingerprint>,
}

impl Default for Keys {
    fn default() -> Self {
        let known = LruCache::unbounded_with_hasher(RandomState::new());
        Self { known, changed: BTreeSet::new() }
    }
}

impl Keys {
    pub(crate) fn get(&self, key: Fingerprint) -> Option<&KnownKey> {
        self.known.peek(&key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Fingerprint, &KnownKey)> {
        self.known.iter().map(|(key, it)| (*key, it))
    }

    /// Takes a use down; tells the place of before, if it is used in another.
    pub(crate) fn used(&mut self, used: &KeyUse<'_>, at: Timestamp) -> Option<String> {
        let KeyUse { key, user, took, address, place } = *used;
        if let Some(known) = self.known.get_mut(&key) {
            known.calls = known.calls.saturating_add(1);
            self.changed.insert(key);
            return known.trail.used(address, place, at).0;
        }
        if took {
            let places = place.map(str::to_owned).into_iter().collect();
            let (user, trail) = (user.map(str::to_owned), Trail::new(address, places, at));
            self.known.put(key, KnownKey { user, first: at, calls: 1, trail });
            self.changed.insert(key);
            self.make_room();
        }
        None
    }

    fn make_room(&mut self) {
        if self.known.len() > API_KEYS
            && let Some((key, _)) = self.known.pop_lru()
        {
            self.changed.insert(key);
        }
    }

    /// Forgets a key: wherever it is used next is no new place. Whether it was known.
    pub(crate) fn forget(&mut self, key: Fingerprint) -> bool {
        let known = self.known.pop(&key).is_some();
        if known {
            self.changed.insert(key);
        }
        known
    }

    /// Takes over what was kept, unless something newer is there; what has no room is given back.
    pub(crate) fn restore(&mut self, key: Fingerprint, known: KnownKey) {
        if !self.known.contains(&key) {
            self.known.put(key, known);
            self.make_room();
        }
    }

    /// What has changed since this was asked last; nothing stands for what is forgotten.
    pub(crate) fn take_changed(&mut self) -> Vec<(Fingerprint, Option<KnownKey>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| (key, self.known.peek(&key).cloned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(number: u16, place: &str, took: bool) -> KeyUse<'_> {
        let mut bytes = [0; 32];
        let [a, b] = number.to_be_bytes();
        (bytes[0], bytes[1]) = (a, b);
        let address = IpAddr::from([192, 0, 2, 1]);
        KeyUse { key: Fingerprint(bytes), user: Some("u"), took, address, place: Some(place) }
    }

    #[test]
    fn only_what_n8n_took_gets_in_and_each_use_counts() {
        let mut keys = Keys::default();
        assert_eq!(keys.used(&used(1, "a", false), Timestamp(1)), None);
        assert_eq!(keys.iter().count(), 0);
        for (place, took, at, moved) in [
            ("a", true, 2, None),
            ("a", false, 3, None),
            ("b", false, 4, Some("a".to_owned())),
            ("b", true, 5, None),
        ] {
            assert_eq!(keys.used(&used(1, place, took), Timestamp(at)), moved, "{at}");
        }
        let (_, known) = keys.iter().next().unwrap();
        assert_eq!((known.calls, known.first, known.user.as_deref()), (4, Timestamp(2), Some("u")));
        assert_eq!(known.trail.places, ["b", "a"]);
        assert!(known.trail.is_elsewhere(Some("c")) && !known.trail.is_elsewhere(Some("a")));
        assert_eq!(keys.take_changed().len(), 1);
        assert!(keys.take_changed().is_empty());
        assert!(keys.forget(used(1, "", false).key) && !keys.forget(used(1, "", false).key));
        assert_eq!(keys.take_changed(), [(used(1, "", false).key, None)]);
    }

    #[test]
    fn keys_are_bounded() {
        let mut keys = Keys::default();
        for number in 0..3000 {
            keys.used(&used(number, "a", true), Timestamp(i64::from(number)));
        }
        assert_eq!(keys.iter().count(), API_KEYS);
        let forgotten = keys.take_changed().into_iter().filter(|(_, it)| it.is_none()).count();
        assert_eq!(forgotten, 2000);
        let old = keys.get(used(2999, "", false).key).unwrap().clone();
        keys.restore(used(5000, "", false).key, old);
        assert_eq!(keys.iter().count(), API_KEYS);
    }
}

//! Which signed messages were taken, for as long as they would be believed again. Only messages that
//! were proven come in, so that no stranger can make others be forgotten.

use std::{hash::RandomState, sync::Arc};

use gateway_policy::Timestamp;
use lru::LruCache;

/// How many are remembered; the oldest are forgotten first.
pub const REPLAYS: usize = 100_000;

/// A signed message: the webhook it was for, by its line in the policy, and its fingerprint.
pub type Message = (Arc<str>, [u8; 16]);

#[derive(Debug)]
pub(crate) struct Replays(LruCache<Message, Timestamp, RandomState>);

impl Default for Replays {
    fn default() -> Self {
        Self(LruCache::unbounded_with_hasher(RandomState::new()))
    }
}

impl Replays {
    /// Remembers a message until `until`, and tells whether it is there for the first time.
    pub(crate) fn first(&mut self, message: Message, now: Timestamp, until: Timestamp) -> bool {
        if self.0.peek(&message).is_some_and(|until| *until > now) {
            return false;
        }
        self.0.put(message, until);
        if self.0.len() > REPLAYS {
            self.0.pop_lru();
        }
        true
    }

    /// Forgets one: it may come again.
    pub(crate) fn forget(&mut self, message: &Message) {
        self.0.pop(message);
    }

    /// Forgets those that would not be believed any more.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let over = self.0.iter().filter(|(_, until)| **until <= now);
        let over: Vec<Message> = over.map(|(message, _)| message.clone()).collect();
        for message in over {
            self.0.pop(&message);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_there_once_until_it_is_old_or_forgotten() {
        let mut replays = Replays::default();
        let message = |n: u8| (Arc::from("webhook/x"), [n; 16]);
        let (now, until) = (Timestamp(100), Timestamp(200));
        assert!(replays.first(message(1), now, until));
        assert!(!replays.first(message(1), now, until));
        assert!(replays.first((Arc::from("webhook/y"), [1; 16]), now, until), "another webhook");
        assert!(replays.first(message(1), until, Timestamp(300)), "it would not be believed");
        replays.forget(&message(1));
        assert!(replays.first(message(1), now, until));
        replays.expire(Timestamp(199));
        assert_eq!(replays.len(), 2);
        replays.expire(until);
        assert_eq!(replays.len(), 0);
    }

    #[test]
    fn there_are_only_so_many() {
        let mut replays = Replays::default();
        for n in 0..=REPLAYS as u128 {
            let message = (Arc::from(""), n.to_be_bytes());
            assert!(replays.first(message, Timestamp(0), Timestamp(1)));
        }
        assert_eq!(replays.len(), REPLAYS);
    }
}

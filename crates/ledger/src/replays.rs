//! Which signed messages were taken, for as long as they would be believed again, and which are under
//! way. Only messages that were proven come in, so that no stranger can make others be forgotten.

use std::{hash::RandomState, sync::Arc};

use gateway_policy::{Arrival, Timestamp};
use lru::LruCache;

/// How many are remembered; the oldest are forgotten first.
pub const REPLAYS: usize = 100_000;

/// A signed message: the webhook it was for, by its line in the policy, and its fingerprint.
pub type Message = (Arc<str>, [u8; 16]);

/// Until when each is remembered; nothing for one that n8n has not answered yet.
#[derive(Debug)]
pub(crate) struct Replays(LruCache<Message, Option<Timestamp>, RandomState>);

impl Default for Replays {
    fn default() -> Self {
        Self(LruCache::unbounded_with_hasher(RandomState::new()))
    }
}

impl Replays {
    /// Takes down that a message is under way, unless it is or was taken before.
    pub(crate) fn arrives(&mut self, message: Message, now: Timestamp) -> Arrival {
        match self.0.peek(&message) {
            Some(None) => return Arrival::UnderWay,
            Some(Some(until)) if *until > now => return Arrival::Again,
            Some(Some(_)) | None => {}
        }
        self.0.put(message, None);
        Arrival::First
    }

    /// Remembers until `until` that a message was taken; gives one that is forgotten for it.
    pub(crate) fn took(&mut self, message: Message, until: Timestamp) -> Option<Message> {
        self.0.put(message, Some(until));
        let lost = if self.0.len() > REPLAYS { self.0.pop_lru() } else { None };
        lost.map(|(message, _)| message)
    }

    /// Takes over what was remembered before, unless there is something newer.
    pub(crate) fn restore(&mut self, message: Message, until: Timestamp) -> Option<Message> {
        if self.0.contains(&message) { None } else { self.took(message, until) }
    }

    /// Forgets one: it may come again.
    pub(crate) fn forget(&mut self, message: &Message) {
        self.0.pop(message);
    }

    /// Forgets those that would not be believed any more, and gives them.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Message> {
        let is_over = |until: &Option<Timestamp>| until.is_some_and(|until| until <= now);
        let over = self.0.iter().filter(|(_, until)| is_over(until));
        let over: Vec<Message> = over.map(|(message, _)| message.clone()).collect();
        for message in &over {
            self.0.pop(message);
        }
        over
    }

    /// Those that were taken, and until when they are remembered.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (&Message, Timestamp)> {
        self.0.iter().filter_map(|(message, until)| Some((message, (*until)?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u128) -> Message {
        (Arc::from("webhook/x"), n.to_be_bytes())
    }

    #[test]
    fn a_message_is_taken_once_until_it_is_old_or_forgotten() {
        let mut replays = Replays::default();
        let (now, until) = (Timestamp(100), Timestamp(200));
        assert_eq!(replays.arrives(message(1), now), Arrival::First);
        assert_eq!(replays.arrives(message(1), now), Arrival::UnderWay);
        let elsewhere = (Arc::from("webhook/y"), message(1).1);
        assert_eq!(replays.arrives(elsewhere, now), Arrival::First, "another webhook");
        replays.forget(&message(1));
        assert_eq!(replays.arrives(message(1), now), Arrival::First, "nobody answered");
        assert_eq!(replays.took(message(1), until), None);
        assert_eq!(replays.arrives(message(1), now), Arrival::Again);
        assert_eq!(replays.arrives(message(1), until), Arrival::First, "it would not be believed");
        replays.took(message(1), until);
        assert_eq!(replays.expire(Timestamp(199)), []);
        assert_eq!(replays.expire(until), [message(1)]);
        assert_eq!(replays.len(), 1, "what is under way stays");
    }

    #[test]
    fn what_was_remembered_before_is_nothing_newer() {
        let mut replays = Replays::default();
        let (now, until) = (Timestamp(100), Timestamp(200));
        assert_eq!(replays.arrives(message(1), now), Arrival::First);
        replays.restore(message(1), until);
        replays.restore(message(2), until);
        assert_eq!(replays.arrives(message(1), now), Arrival::UnderWay);
        assert_eq!(replays.arrives(message(2), now), Arrival::Again);
        assert_eq!(replays.taken().collect::<Vec<_>>(), [(&message(2), until)]);
    }

    #[test]
    fn there_are_only_so_many() {
        let mut replays = Replays::default();
        for n in 0..=REPLAYS as u128 {
            assert_eq!(replays.arrives(message(n), Timestamp(0)), Arrival::First);
            let lost = replays.took(message(n), Timestamp(1));
            assert_eq!(lost, (n == REPLAYS as u128).then(|| message(0)));
        }
        assert_eq!(replays.len(), REPLAYS);
    }
}

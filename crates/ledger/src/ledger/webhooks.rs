//! What is remembered of webhooks: which there are, and which messages were taken.

use gateway_policy::{Arrival, Timestamp};

use super::{Ledger, locked};
use crate::{Call, Change, Message, Webhook};

impl Ledger {
    /// Takes down that n8n has answered a call. It is written down each minute.
    pub fn called(&self, call: &Call<'_>, now: Timestamp) {
        locked(&self.inventory).called(call, now);
    }

    /// Every webhook that n8n has, by path.
    #[must_use]
    pub fn webhooks(&self) -> Vec<(String, Webhook)> {
        let inventory = locked(&self.inventory);
        inventory.iter().map(|(path, webhook)| (path.clone(), webhook.clone())).collect()
    }

    /// Has what was learned of webhooks written down.
    pub fn post_webhooks(&self) {
        let changed = locked(&self.inventory).take_changed();
        if !changed.is_empty() {
            self.journal.post(changed.into_iter().map(|(path, it)| Change::Webhook(path, it)));
        }
    }

    /// Takes down that a signed message is under way, unless it is or was taken before.
    pub fn arrives(&self, message: Message, now: Timestamp) -> Arrival {
        locked(&self.replays).arrives(message, now)
    }

    /// Remembers until `until` that n8n took a message.
    pub fn took(&self, message: Message, until: Timestamp) {
        let lost = locked(&self.replays).took(message.clone(), until);
        let lost = lost.map(|message| Change::Message(message, None));
        self.journal.post(std::iter::once(Change::Message(message, Some(until))).chain(lost));
    }

    /// Forgets a message that n8n did not take, or has not answered: it may come again.
    pub fn not_taken(&self, message: &Message) {
        locked(&self.replays).forget(message);
    }

    /// Forgets messages that would not be believed any more.
    pub(super) fn expire_messages(&self, now: Timestamp) {
        let over = locked(&self.replays).expire(now);
        if !over.is_empty() {
            self.journal.post(over.into_iter().map(|message| Change::Message(message, None)));
        }
    }

    /// How many messages are remembered.
    #[must_use]
    pub fn messages(&self) -> usize {
        locked(&self.replays).len()
    }
}

//! What is remembered of webhooks: which there are, and which messages were taken.

use gateway_policy::Timestamp;

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

    /// Remembers a signed message until `until`, and tells whether it is there for the first time.
    pub fn is_first(&self, message: Message, now: Timestamp, until: Timestamp) -> bool {
        locked(&self.replays).first(message, now, until)
    }

    /// Forgets a message that n8n did not take: it may come again.
    pub fn not_taken(&self, message: &Message) {
        locked(&self.replays).forget(message);
    }

    /// Forgets messages that would not be believed any more.
    pub(super) fn expire_messages(&self, now: Timestamp) {
        locked(&self.replays).expire(now);
    }

    /// How many messages are remembered.
    #[must_use]
    pub fn messages(&self) -> usize {
        locked(&self.replays).len()
    }
}

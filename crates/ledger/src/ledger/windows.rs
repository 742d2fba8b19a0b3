//! Windows that are open, for whoever starts next: they close by themselves, however often the gateway
//! is started anew.

use gateway_policy::Window;

use super::{Ledger, locked};
use crate::Change;

impl Ledger {
    /// Has a window written down.
    pub fn keep_window(&self, window: &Window) {
        locked(&self.windows).insert(window.id, window.clone());
        self.journal.post([Change::Window(window.id, Some(window.clone()))]);
    }

    /// Forgets a window.
    pub fn forget_window(&self, id: u64) {
        locked(&self.windows).remove(&id);
        self.journal.post([Change::Window(id, None)]);
    }

    /// Every window that is written down.
    #[must_use]
    pub fn kept_windows(&self) -> Vec<Window> {
        locked(&self.windows).values().cloned().collect()
    }
}

//! Windows, as the operator opens and closes them. They outlive a policy and the process, not their time:
//! whoever was let in for it is not locked out by an update.

use std::{sync::Arc, time::Duration};

use gateway_n8n::Surface;
use gateway_policy::{CannotOpen, Window, Windows};
use gateway_telemetry::{WindowClosed, WindowOpened};
use ipnet::IpNet;

use super::Guard;

impl Guard {
    /// Who is let in for a time.
    #[must_use]
    pub fn open_windows(&self) -> Arc<Windows> {
        Arc::clone(&self.0.windows.borrow())
    }

    /// Lets `net` into `surface` for so long, and says so.
    ///
    /// # Errors
    ///
    /// Why that may not be.
    pub fn open_window(
        &self,
        surface: Surface,
        net: IpNet,
        lasts: Duration,
        by: &str,
        why: &str,
    ) -> Result<Window, CannotOpen> {
        let now = self.now();
        let mut opened = Err(CannotOpen::TooMany);
        self.0.windows.send_if_modified(|windows| {
            // One more than any that is open: nobody confuses two of them.
            let id = windows.iter().map(|it| it.id).max().unwrap_or_default() + 1;
            let (by, why, until) = (by.to_owned(), why.to_owned(), now + lasts);
            let window = Window { id, surface, net, until, by, why };
            match windows.with(window.clone(), now) {
                Ok(more) => {
                    *windows = Arc::new(more);
                    opened = Ok(window);
                    true
                }
                Err(why) => {
                    opened = Err(why);
                    false
                }
            }
        });
        let window = opened?;
        self.0.ledger.keep_window(&window);
        self.0.telemetry.say(&WindowOpened {
            window: window.id,
            surface: window.surface.name(),
            net: window.net,
            seconds: lasts.as_secs(),
            by: window.by.clone(),
            why: window.why.clone(),
        });
        self.count_windows();
        Ok(window)
    }

    /// Opens again what was open when the gateway ended.
    pub(super) fn take_up_windows(&self) {
        let now = self.now();
        let kept = self.0.ledger.kept_windows();
        let is_open = |all: &Windows, id| all.iter().any(|it| it.id == id);
        self.0.windows.send_if_modified(|windows| {
            let mut all = Windows::clone(windows);
            for window in kept.iter().filter(|it| !is_open(windows, it.id)) {
                match all.with(window.clone(), now) {
                    Ok(more) => all = more,
                    // By a clock that was ahead, or there are as many as there may be.
                    Err(_) => self.0.ledger.forget_window(window.id),
                }
            }
            let news = all != **windows;
            *windows = Arc::new(all);
            news
        });
        self.count_windows();
    }

    /// Closes a window, or all of them, and gives those that were open.
    #[must_use]
    pub fn close_window(&self, id: Option<u64>, by: &str) -> Vec<Window> {
        self.close(|it| id.is_none_or(|id| it.id == id), "operator", Some(by))
    }

    /// Closes those whose time is over.
    pub(super) fn close_windows(&self) {
        let now = self.now();
        drop(self.close(|it| it.until <= now, "time", None));
    }

    fn close(
        &self,
        closes: impl Fn(&Window) -> bool,
        because: &'static str,
        by: Option<&str>,
    ) -> Vec<Window> {
        let mut closed = Vec::new();
        self.0.windows.send_if_modified(|windows| {
            let (kept, gone) = windows.without(&closes);
            closed = gone;
            if closed.is_empty() {
                return false;
            }
            *windows = Arc::new(kept);
            true
        });
        for Window { id, surface, net, .. } in &closed {
            self.0.ledger.forget_window(*id);
            self.0.telemetry.say(&WindowClosed {
                window: *id,
                surface: surface.name(),
                net: *net,
                because,
                by: by.map(str::to_owned),
            });
        }
        if !closed.is_empty() {
            self.count_windows();
        }
        closed
    }

    /// Every webhook that n8n has, as far as it was called.
    #[must_use]
    pub fn webhooks(&self) -> Vec<(String, gateway_ledger::Webhook)> {
        self.0.ledger.webhooks()
    }

    fn count_windows(&self) {
        self.0.telemetry.metrics.windows(self.open_windows().iter().len());
    }
}

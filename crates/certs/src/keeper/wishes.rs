//! The wishes of CAs: when they would like a certificate to be renewed.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::{Keeper, Means, host::Suggestion};
use crate::{Directory, acme::Accounts};

/// How often a CA is asked for its wishes: at most, and at least (RFC 9773 4.3.2).
const ASK_AGAIN: (i64, i64) = (3600, 86_400);

impl Keeper {
    /// Asks, and survives the answer.
    pub(super) async fn ask_in_safety(&mut self, at: usize, means: Means<'_>) {
        let asked = AssertUnwindSafe(self.ask_for_wishes(at, means)).catch_unwind().await;
        if let (Err(_), Some(host)) = (asked, self.hosts.get_mut(at)) {
            let ask_again = self.clock.now() + ASK_AGAIN.1;
            host.suggestion = Some(Suggestion { window: None, ask_again });
        }
    }

    /// Asks the CA that issued a certificate when it would like it to be renewed.
    async fn ask_for_wishes(&mut self, at: usize, means: Means<'_>) {
        let (Some(wants), Some(host)) = (self.wants.clone(), self.hosts.get(at)) else { return };
        let now = self.clock.now();
        let left = host.suggestion.map(|it| it.ask_again - now);
        let asked = left.is_some_and(|left| (1..=ASK_AGAIN.1).contains(&left));
        let Some(leaf) = host.identity.as_ref().and_then(|it| it.leaf().cloned()) else { return };
        let issued = |it: &&Directory| host.record.directory_url.as_ref() == Some(&it.url);
        let Some(directory) = wants.acme.directories.iter().find(issued) else { return };
        if asked {
            return;
        }
        let accounts = Accounts { store: &self.store, internet: means.internet };
        let (desk, aside) = accounts.open(directory, &wants.acme).await;
        self.say_aside(aside);
        let said = match desk {
            Ok(desk) => desk.suggestion(&leaf).await,
            Err(failure) => Err(failure),
        };
        let Some(host) = self.hosts.get_mut(at) else { return };
        let (window, wait) = match said {
            Ok(Some((window, wait))) => (Some(window), wait.as_secs().try_into().unwrap_or(0)),
            Ok(None) => (None, ASK_AGAIN.1),
            Err(failure) => {
                tracing::debug!(host = host.name, error = %failure, "no renewal information");
                (host.suggestion.and_then(|it| it.window), ASK_AGAIN.0)
            }
        };
        let ask_again = now + i64::clamp(wait, ASK_AGAIN.0, ASK_AGAIN.1);
        host.suggestion = Some(Suggestion { window, ask_again });
    }
}

//! Which release n8n is of: it decides which attacks are stopped.

use std::{sync::Arc, time::Duration};

use gateway_n8n::Release;
use gateway_proxy::{Live, Tcp, fetch};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::asking::{Asking, LOOK};

/// How often n8n is asked although nothing speaks for another release.
const AGAIN: Duration = Duration::from_mins(5);

/// How soon it is asked again if it has not answered, or not yet as itself.
const RETRY: Duration = Duration::from_secs(10);

/// Asks n8n which release it is, when the gateway starts, when n8n comes back, and now and then, and
/// sends what it says. An n8n that does not say it is of the release that it said last.
pub(crate) async fn watch_release(
    rules: Live,
    found: mpsc::Sender<Release>,
    stop: CancellationToken,
) {
    let mut asking = Asking::new();
    loop {
        let main = Arc::clone(rules.borrow().upstreams.main());
        if asking.is_now(&main) {
            // The page to sign in with names it.
            let page = fetch(&Tcp, &main, "/signin").await.ok();
            let said = page.as_deref().and_then(Release::of_page);
            asking.again_in(said.map_or(RETRY, |_| AGAIN));
            if let Some(release) = said
                && found.send(release).await.is_err()
            {
                return;
            }
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

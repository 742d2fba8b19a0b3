//! Whether n8n has an owner. Whoever comes first to one that has none owns it, and every workflow and
//! credential that will ever be in it.

use std::{sync::Arc, time::Duration};

use gateway_proxy::{Live, Tcp, fetch};
use gateway_telemetry::{Claimed, Telemetry, Unclaimed};
use serde_json::Value;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    Guard,
    asking::{Asking, LOOK},
};

/// How often n8n is asked until it has answered, and while it has no owner.
const OFTEN: Duration = Duration::from_secs(5);

/// The same while it has one: it can be set back (`n8n user-management:reset`).
const SELDOM: Duration = Duration::from_mins(5);

/// Asks n8n again and again whether it has an owner, and says it loudly if it has none.
pub(crate) async fn watch_owner(
    rules: Live,
    guard: Guard,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let (mut known, mut asking) = (None, Asking::new());
    loop {
        let now = Arc::clone(&rules.borrow());
        let main = Arc::clone(now.upstreams.main());
        let asked = async {
            if !asking.is_now(&main) {
                return None;
            }
            // What does not answer, or answers something else, is asked again.
            asking.again_in(OFTEN);
            says(&fetch(&Tcp, &main, &now.settings).await.ok()?)
        };
        if let Some(unclaimed) = asked.await {
            asking.again_in(if unclaimed { OFTEN } else { SELDOM });
            guard.unclaimed(unclaimed);
            match (known.replace(unclaimed), unclaimed) {
                (None | Some(false), true) => telemetry.say(&Unclaimed {}),
                (Some(true), false) => telemetry.say(&Claimed {}),
                (Some(true), true) | (None | Some(false), false) => {}
            }
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Whether n8n says that it has no owner; nothing if it says nothing of it.
fn says(settings: &str) -> Option<bool> {
    let settings: Value = serde_json::from_str(settings).ok()?;
    settings.pointer("/data/userManagement/showSetupOnFirstLoad")?.as_bool()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n8ns_settings_tell_whether_it_has_an_owner() {
        for (settings, expected) in [
            (r#"{"data":{"userManagement":{"showSetupOnFirstLoad":true}}}"#, Some(true)),
            (r#"{"data":{"userManagement":{"showSetupOnFirstLoad":false}}}"#, Some(false)),
            (r#"{"data":{"userManagement":{}}}"#, None),
            ("n8n is starting up. Please wait", None),
        ] {
            assert_eq!(says(settings), expected, "{settings}");
        }
    }
}

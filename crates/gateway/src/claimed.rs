//! Whether n8n has an owner. Whoever comes first to one that has none owns it, and every workflow and
//! credential that will ever be in it.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use gateway_proxy::{Backend, Connect, Live, Tcp};
use gateway_telemetry::{Claimed, Telemetry, Unclaimed};
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Guard,
    asking::{Asking, LOOK},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer in bytes: n8n's settings for strangers have some KiB.
const LARGEST: usize = 1 << 20;

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
            timeout(PATIENCE, ask(&Tcp, &main.backend, &now.settings)).await.ok()?.ok().flatten()
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
async fn ask(connect: &impl Connect, backend: &Backend, path: &str) -> io::Result<Option<bool>> {
    let io = connect.connect(backend).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, backend.host.as_str())
        // n8n answers 204 to whatever its bot filter takes for one.
        .header(header::USER_AGENT, "n8n-gateway")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let body = Limited::new(response.into_body(), LARGEST);
        #[expect(clippy::disallowed_methods, reason = "limited in the line above")]
        let body = body.collect().await;
        Ok::<_, io::Error>(body.map_err(io::Error::other)?.to_bytes())
    };
    // The connection ends with what is asked on it, and not before.
    let (_, body) = tokio::join!(connection, asked);
    Ok(says(&body?))
}

fn says(settings: &[u8]) -> Option<bool> {
    let settings: Value = serde_json::from_slice(settings).ok()?;
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
            assert_eq!(says(settings.as_bytes()), expected, "{settings}");
        }
    }
}

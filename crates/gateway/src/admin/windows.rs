//! Windows, for the operator: listed, opened and closed.

use std::time::{Duration, UNIX_EPOCH};

use gateway_n8n::Surface;
use gateway_policy::{CannotOpen, Window};
use http::StatusCode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::bans::{Complaint, net};
use crate::Guard;

/// Windows that are open, or were closed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Windows {
    pub(crate) windows: Vec<WindowView>,
}

/// A window, as it is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct WindowView {
    pub(crate) id: u64,
    pub(crate) surface: String,
    /// An address or a network.
    pub(crate) net: IpNet,
    /// RFC 3339.
    pub(crate) until: String,
    pub(crate) seconds_left: u64,
    pub(crate) by: String,
    pub(crate) why: String,
    /// What stands in its way, if something does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) warning: Option<String>,
}

/// A window to be opened.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) surface: String,
    pub(crate) net: String,
    pub(crate) seconds: u64,
    #[serde(default)]
    pub(crate) reason: String,
}

/// A moment in seconds since 1970, as people write it.
pub(crate) fn moment(seconds: i64) -> String {
    // humantime writes no year after 9999.
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(253_402_300_799));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// Every one that is open.
pub(crate) fn list(guard: &Guard) -> Windows {
    let windows = guard.open_windows();
    Windows { windows: windows.iter().map(|it| view(guard, it)).collect() }
}

fn view(guard: &Guard, window: &Window) -> WindowView {
    let now = guard.now();
    let banned = guard.ledger().banned(window.net.addr(), now);
    WindowView {
        id: window.id,
        surface: window.surface.name().to_owned(),
        net: window.net,
        until: moment(window.until.0),
        seconds_left: window.until.since(now).as_secs(),
        by: window.by.clone(),
        why: window.why.clone(),
        warning: banned.map(|it| format!("{} is banned (jail {})", it.net, it.ban.jail)),
    }
}

/// Opens one.
pub(crate) fn open(guard: &Guard, who: &str, wanted: &Wanted) -> Result<Windows, Complaint> {
    let wrong =
        |error: String, hint: Option<&str>| Complaint::new(StatusCode::BAD_REQUEST, error, hint);
    let Some(surface) = Surface::named(&wanted.surface) else {
        let known: Vec<_> = Surface::all().map(Surface::name).collect();
        let hint = format!("surfaces: {}", known.join(", "));
        return Err(wrong(format!("n8n has no surface `{}`", wanted.surface), Some(&hint)));
    };
    let net = net(&wanted.net).ok_or_else(|| {
        wrong(format!("`{}` is neither an address nor a network", wanted.net), None)
    })?;
    let lasts = Duration::from_secs(wanted.seconds);
    // It goes to the log.
    let why: String = wanted.reason.chars().take(200).collect();
    match guard.open_window(surface, net, lasts, who, &why) {
        Ok(window) => Ok(Windows { windows: vec![view(guard, &window)] }),
        Err(why @ CannotOpen::TooMany) => {
            let hint = Some("n8n-gateway close");
            Err(Complaint::new(StatusCode::CONFLICT, why.to_string(), hint))
        }
        Err(why) => Err(wrong(why.to_string(), None)),
    }
}

/// Closes one, or all of them.
pub(crate) fn close(guard: &Guard, who: &str, asked: Option<&str>) -> Result<Windows, Complaint> {
    let none = || {
        let error = format!("no window {} is open", asked.unwrap_or_default());
        Complaint::new(StatusCode::NOT_FOUND, error, Some("n8n-gateway open list"))
    };
    let id = asked.map(str::parse).transpose().map_err(|_| none())?;
    let closed = guard.close_window(id, who);
    if closed.is_empty() && asked.is_some() {
        return Err(none());
    }
    Ok(Windows { windows: closed.iter().map(|it| view(guard, it)).collect() })
}

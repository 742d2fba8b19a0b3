//! `open` and `close`: somebody is let in for a time.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::Subcommand;
use gateway_policy::{Window, Windows as Open};
use http::Method;

use super::{Exit, Running, admin_client::ask, bans::told, complain};
use crate::admin::windows::{Wanted, WindowView, Windows};

/// A window to be opened, or `list`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Opening {
    #[command(subcommand)]
    command: Option<OpenCommand>,
    #[command(flatten)]
    gateway: Running,
    /// The surface: `webhook-test`, `editor` (and what follows it), and so on.
    #[arg(long, required = true)]
    surface: Option<String>,
    /// Who: an address, or a network no wider than /24 (IPv6: /48).
    #[arg(long, value_name = "ADDRESS", required = true)]
    from: Option<String>,
    /// For how long: `15m`, `2h`, a day at the most.
    #[arg(long = "for", value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    lasts: Duration,
    /// Why; it goes to the log.
    #[arg(long, default_value = "no reason given")]
    reason: String,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum OpenCommand {
    /// Say what is open.
    List {
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

/// A window to be closed.
#[derive(Debug, clap::Args)]
pub(super) struct Closing {
    #[command(flatten)]
    gateway: Running,
    /// The number of the window.
    #[arg(required_unless_present = "all")]
    window: Option<u64>,
    /// Every window.
    #[arg(long, conflicts_with = "window")]
    all: bool,
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn open(opening: Opening) -> anyhow::Result<Exit> {
    let Opening { command, gateway, surface, from, lasts, reason, json } = opening;
    if let Some(OpenCommand::List { gateway, json }) = command {
        let answer = super::wait(ask(&gateway, Method::GET, "/windows", Bytes::new()))?;
        return told::<Windows>(&answer, json, |it| lines(it, "nothing is open"));
    }
    let (Some(surface), Some(net)) = (surface, from) else { bail!("--surface and --from") };
    let wanted = Wanted { surface, net, seconds: lasts.as_secs(), reason };
    let body = serde_json::to_vec(&wanted)?.into();
    let answer = super::wait(ask(&gateway, Method::POST, "/windows", body))?;
    let exit = told::<Windows>(&answer, json, |it| lines(it, "nothing is open"))?;
    let opened = serde_json::from_slice::<Windows>(&answer.1).map(|it| it.windows);
    for warning in opened.unwrap_or_default().iter().filter_map(|it| it.warning.as_ref()) {
        complain(&format!("warning: {warning}\n  hint: n8n-gateway bans remove"));
    }
    Ok(exit)
}

pub(super) fn close(closing: &Closing) -> anyhow::Result<Exit> {
    let Closing { gateway, window, all: _, json } = closing;
    let path = window.map_or_else(|| "/windows".to_owned(), |id| format!("/windows/{id}"));
    let answer = super::wait(ask(gateway, Method::DELETE, &path, Bytes::new()))?;
    told::<Windows>(&answer, *json, |it| {
        let closed = it.windows.iter().map(|it| {
            let WindowView { id, net, surface, .. } = it;
            format!("window {id} is closed: {net} has `{surface}` as the policy says")
        });
        let closed: Vec<String> = closed.collect();
        if closed.is_empty() { "nothing was open".to_owned() } else { closed.join("\n") }
    })
}

fn lines(windows: &Windows, none: &str) -> String {
    if windows.windows.is_empty() {
        return none.to_owned();
    }
    windows.windows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A window in one line.
pub(super) fn line(window: &WindowView) -> String {
    let WindowView { id, surface, net, until, seconds_left, by, why, .. } = window;
    let left = humantime::format_duration(Duration::from_secs(*seconds_left));
    format!("window {id}  {net} into `{surface}` until {until} ({left})  by {by}: {why}")
}

/// How long `explain` waits for a gateway that may not run.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is open in the gateway that runs with this policy; nothing if none answers.
pub(super) async fn open_now(gateway: &Running) -> Open {
    let asked = ask(gateway, Method::GET, "/windows", Bytes::new());
    let Ok(Ok((_, body))) = tokio::time::timeout(PATIENCE, asked).await else {
        return Open::default();
    };
    let shown = serde_json::from_slice::<Windows>(&body).map(|it| it.windows).unwrap_or_default();
    let now = gateway_policy::Timestamp(0);
    let window = |it: WindowView| {
        let surface = gateway_n8n::Surface::named(&it.surface)?;
        let left = Duration::from_secs(it.seconds_left.max(1));
        let WindowView { id, net, by, why, .. } = it;
        Some(Window { id, surface, net, until: now + left, by, why })
    };
    let windows = shown.into_iter().filter_map(window);
    windows.fold(Open::default(), |all, it| all.with(it, now).unwrap_or(all))
}

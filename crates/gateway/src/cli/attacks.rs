//! `attacks`: which attacks are known, and what is done about them.

use std::time::Duration;

use bytes::Bytes;
use clap::Subcommand;
use gateway_n8n::Release;
use http::Method;
use tokio::time::timeout;

use super::{Exit, Running, admin_client::ask, say, wait};
use crate::admin::attacks::{AttackView, AttacksView};

/// How long a gateway may take that is only asked in passing.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
pub(super) enum Attacks {
    /// Say which attacks are known, what is done about each now, and how often it was seen.
    List {
        #[command(flatten)]
        gateway: Running,
        /// Only those that this n8n is open to.
        #[arg(long)]
        open: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn attacks(command: Attacks) -> anyhow::Result<Exit> {
    let Attacks::List { gateway, open, json } = command;
    let (_, body) = wait(ask(&gateway, Method::GET, "/attacks", Bytes::new()))?;
    let mut view: AttacksView = serde_json::from_slice(&body)?;
    view.attacks.retain(|it| !open || it.open == Some(true));
    if json {
        say(&serde_json::to_string_pretty(&view)?);
    } else {
        say(&lines(&view));
    }
    Ok(Exit::Success)
}

/// The release that n8n is of, as far as a running gateway knows it.
pub(super) async fn release_now(gateway: &Running) -> Option<Release> {
    let asked = ask(gateway, Method::GET, "/attacks", Bytes::new());
    let (_, body) = timeout(PATIENCE, asked).await.ok()?.ok()?;
    let view: AttacksView = serde_json::from_slice(&body).ok()?;
    view.n8n_release?.parse().ok()
}

fn lines(view: &AttacksView) -> String {
    let n8n = match &view.n8n_release {
        Some(release) => format!("n8n {release}"),
        None => "n8n of an unknown release".to_owned(),
    };
    let mut lines =
        vec![n8n, format!("{:<21}{:<8}{:<6}{:>6}  {}", "id", "now", "open", "hits", "what")];
    for it in &view.attacks {
        let AttackView { id, title, now, open, hits, .. } = it;
        let open = match open {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        lines.push(format!("{id:<21}{now:<8}{open:<6}{hits:>6}  {title}"));
        if open == "yes" && !it.advice.is_empty() {
            lines.push(format!("{:<21}{}", "", it.advice));
        }
    }
    lines.join("\n")
}

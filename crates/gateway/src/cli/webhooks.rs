//! `webhooks`: which of n8n's webhooks were called, and by whom.

use bytes::Bytes;
use clap::Subcommand;
use http::Method;

use super::{Exit, Running, admin_client::ask, bans::told, wait};
use crate::admin::webhooks::{WebhookView, Webhooks as Listed};

#[derive(Debug, Subcommand)]
pub(super) enum Webhooks {
    /// Say which webhooks, forms and MCP triggers were called, how often, from where, and whether they
    /// are signed.
    List {
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn webhooks(command: Webhooks) -> anyhow::Result<Exit> {
    let Webhooks::List { gateway, json } = command;
    let answer = wait(ask(&gateway, Method::GET, "/webhooks", Bytes::new()))?;
    told::<Listed>(&answer, json, |it| {
        let lines = it.webhooks.iter().map(line).collect::<Vec<_>>();
        if lines.is_empty() { "no webhook was called yet".to_owned() } else { lines.join("\n") }
    })
}

fn line(webhook: &WebhookView) -> String {
    let WebhookView { path, first, last, calls, answers, networks, signed } = webhook;
    // A stranger may have had a hand in it.
    let path = path.escape_debug();
    let answers = answers.iter().map(|(class, count)| format!("{class} {count}"));
    let answers = answers.collect::<Vec<_>>().join(", ");
    let signed = if *signed { "signed" } else { "unsigned" };
    let networks = networks.join(", ");
    format!(
        "{path}\n    {calls} calls ({answers}), {signed}, from {networks}\n    first {first}, last {last}"
    )
}

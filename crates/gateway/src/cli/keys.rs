//! `api-keys`: which of n8n's API keys are used, and what they are called.

use std::io::{IsTerminal, Read, stdin};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Subcommand;
use http::Method;
use zeroize::Zeroizing;

use super::{
    Exit, Running,
    admin_client::ask,
    bans::{encoded, time, told},
    complain, say, wait,
};
use crate::{
    Guard,
    admin::keys::{ApiKeyForgotten, ApiKeyView},
};

/// The longest key that is read, in bytes.
const LONGEST: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub(super) enum ApiKeys {
    /// Say which keys are used, how often, since when and from where. No key is shown: each is called by
    /// its fingerprint.
    List {
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Say what a key is called in the policy: read it from standard input.
    Fingerprint,
    /// Forget where a key was used: wherever it is used next is no new network.
    Forget {
        #[command(flatten)]
        gateway: Running,
        /// The key, as `list` names it.
        #[arg(value_name = "FINGERPRINT")]
        key: String,
        /// Why; it goes to the log.
        #[arg(long, default_value = "no reason given")]
        reason: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn api_keys(command: ApiKeys) -> anyhow::Result<Exit> {
    match command {
        ApiKeys::List { gateway, json } => {
            let answer = wait(ask(&gateway, Method::GET, "/api-keys", Bytes::new()))?;
            told::<Vec<ApiKeyView>>(&answer, json, |keys| {
                let lines: Vec<String> = keys.iter().map(line).collect();
                if lines.is_empty() { "no key is known".to_owned() } else { lines.join("\n") }
            })
        }
        ApiKeys::Fingerprint => fingerprint(),
        ApiKeys::Forget { gateway, key, reason, json } => {
            let path = format!("/api-keys/{}?reason={}", encoded(&key), encoded(&reason));
            let answer = wait(ask(&gateway, Method::DELETE, &path, Bytes::new()))?;
            told::<ApiKeyForgotten>(&answer, json, |done| match done.durable {
                true => format!("{} is forgotten", done.key),
                false => format!("{} is forgotten, in memory alone (see the log)", done.key),
            })
        }
    }
}

fn fingerprint() -> anyhow::Result<Exit> {
    if stdin().is_terminal() {
        complain("the key, and then the end of input (Ctrl-D):");
    }
    let mut key = Zeroizing::new(Vec::new());
    let read = stdin().take(LONGEST).read_to_end(&mut key);
    read.context("standard input cannot be read")?;
    let key = key.trim_ascii();
    if key.is_empty() || !key.iter().all(u8::is_ascii_graphic) {
        bail!("that is no key: one word is expected on standard input");
    }
    say(&Guard::fingerprint(key).to_string());
    Ok(Exit::Success)
}

fn line(key: &ApiKeyView) -> String {
    let ApiKeyView { key, user, first, seen, calls, address, places } = key;
    let places = places.join(", ");
    let user = user.as_ref().map(|it| format!("  user {it}")).unwrap_or_default();
    let (first, seen) = (time(*first), time(*seen));
    format!("{key}{user}\n  {calls} calls since {first}, last {seen} from {address} ({places})")
}

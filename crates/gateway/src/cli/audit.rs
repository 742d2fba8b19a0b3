//! `audit`: what is wrong with n8n's own installation.

use std::path::{Path, PathBuf};

use gateway_certs::{Clock, SystemClock};
use gateway_config::{System, load};
use gateway_n8n::audit::Level;

use super::{Exit, say, wait};
use crate::{
    audit::{Look, html, json, read_key, sarif, table},
    run::resolve_names,
};

/// What is looked at besides what the policy names, and how it is told.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A file with a key of n8n's public API, in place of `audit.api_key`.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// A file with n8n's environment, besides `audit.env_files`.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// n8n's data directory, in place of `audit.data`.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// From which level on to exit with 1, in place of `audit.level`.
    #[arg(long, value_parser = level)]
    level: Option<Level>,
    #[command(flatten)]
    form: Form,
}

/// How it is told.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Form {
    /// For machines.
    #[arg(long)]
    json: bool,
    /// One page for a browser.
    #[arg(long)]
    html: bool,
    /// For code scanning (SARIF 2.1.0).
    #[arg(long)]
    sarif: bool,
}

fn level(text: &str) -> Result<Level, String> {
    Level::named(text).ok_or_else(|| format!("one of {}", Level::ALL.map(Level::name).join(", ")))
}

pub(super) fn audit(file: &Path, options: Options) -> anyhow::Result<Exit> {
    let Options { api_key_file, env_file, data, level, form } = options;
    let answers = wait(async { Ok(resolve_names(file).await?) })?;
    let config = load(file, &System, &answers)?;
    let mut look = Look::of(&config.settings, &config.policy);
    if let Some(file) = api_key_file {
        look.key = Some(read_key(&file)?);
    }
    look.audit.env_files.extend(env_file);
    look.audit.data = data.or(look.audit.data);
    let level = level.unwrap_or(look.audit.level);
    let now = SystemClock.now();
    let report = wait(async { Ok(look.look(now).await) })?;
    let about = (look.host.as_str(), now);
    say(&match form {
        Form { json: true, .. } => serde_json::to_string_pretty(&json(&report, about))?,
        Form { html: true, .. } => html(&report, about),
        Form { sarif: true, .. } => serde_json::to_string_pretty(&sarif(&report, about))?,
        Form { .. } => table(&report, about),
    });
    let alarming = report.worst().is_some_and(|worst| worst >= level);
    Ok(if alarming { Exit::Failure } else { Exit::Success })
}

//! `status` and `reload`: a running gateway is asked.

use bytes::Bytes;
use gateway_certs::{Clock, SystemClock};
use http::Method;
use serde_json::Value;

use super::{Exit, Running, admin_client::ask, certs, complain, say, wait};
use crate::status::Status;

pub(super) fn status(gateway: &Running, json: bool) -> anyhow::Result<Exit> {
    let (_, body) = wait(ask(gateway, Method::GET, "/status", Bytes::new()))?;
    let status: Status = serde_json::from_slice(&body)?;
    if json {
        say(&serde_json::to_string_pretty(&status)?);
    } else {
        say(&describe(&status, SystemClock.now()));
    }
    let certificates = status.certificates.iter().all(|it| it.warnings.is_empty());
    let fine = status.n8n.iter().all(|it| it.up) && certificates;
    Ok(if fine { Exit::Success } else { Exit::Failure })
}

fn describe(status: &Status, now: i64) -> String {
    let mut lines = Vec::new();
    let span = |seconds: u64| humantime::format_duration(std::time::Duration::from_secs(seconds));
    let ago = |since: i64| span(u64::try_from(now - since).unwrap_or(0) / 60 * 60).to_string();
    lines.push(format!("n8n-gateway {}, up {}", status.version, span(status.uptime_seconds)));
    for upstream in &status.n8n {
        let up = if upstream.up { "up" } else { "DOWN" };
        let shut = if upstream.circuit == "closed" { "" } else { ", requests are refused at once" };
        lines.push(format!("n8n          {} {up}{shut}", upstream.url));
    }
    for certificate in &status.certificates {
        lines.extend(certs::describe(certificate, now));
    }
    let policy = &status.policy;
    lines.push(format!(
        "policy       {} revision {} ({}), in force for {}",
        policy.file,
        policy.revision,
        policy.hash,
        ago(policy.since)
    ));
    if let Some(last) = &policy.last_reload {
        lines.push(format!("last reload  {last}"));
    }
    for problem in &policy.problems {
        lines.push(format!("             {}", problem.replace('\n', "\n             ")));
    }
    lines.push(format!("connections  {}", status.connections));
    lines.push(format!("banned       {}", status.banned));
    lines.push(format!(
        "refused      {} in the last 5 minutes",
        status.refused_in_the_last_5_minutes
    ));
    lines.join("\n")
}

pub(super) fn reload(gateway: &Running, force: bool, json: bool) -> anyhow::Result<Exit> {
    let path = if force { "/reload?force" } else { "/reload" };
    let (status, body) = wait(ask(gateway, Method::POST, path, Bytes::new()))?;
    let outcome: Value = serde_json::from_slice(&body)?;
    if json {
        say(&serde_json::to_string_pretty(&outcome)?);
    } else {
        let text = |name: &str| outcome.get(name).map(ToString::to_string).unwrap_or_default();
        let outcome_name = text("outcome").trim_matches('"').replace('_', " ");
        say(&format!("{outcome_name}, revision {} is in force", text("revision")));
        for problem in outcome.get("problems").and_then(Value::as_array).into_iter().flatten() {
            complain(problem.as_str().unwrap_or_default());
        }
    }
    Ok(if status.is_success() { Exit::Success } else { Exit::Failure })
}

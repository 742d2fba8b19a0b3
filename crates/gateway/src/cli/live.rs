//! `status` and `reload`: a running gateway is asked.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use gateway_certs::{Clock, SystemClock};
use gateway_config::Invalid;
use http::Method;
use serde_json::Value;
use tokio::time::timeout;

use super::{Exit, Running, admin_client::ask, certs, complain, say, wait, windows};
use crate::{admin::Upgraded, audit::AuditStatus, confine::Confinement, status::Status};

pub(super) fn status(gateway: &Running, json: bool) -> anyhow::Result<Exit> {
    let (_, body) = wait(ask(gateway, Method::GET, "/status", Bytes::new()))?;
    let status: Status = serde_json::from_slice(&body)?;
    if json {
        say(&serde_json::to_string_pretty(&status)?);
    } else {
        say(&describe(&status, SystemClock.now()));
    }
    let certificates = status.certificates.iter().all(|it| it.warnings.is_empty());
    let fine = status.n8n.iter().all(|it| it.up) && certificates && !status.n8n_unclaimed;
    Ok(if fine { Exit::Success } else { Exit::Failure })
}

/// How long a gateway that is well may take to say so.
const PROMPT: Duration = Duration::from_secs(5);

/// Whether the gateway serves. An n8n that is down is told, and is not the gateway's ill health: to
/// start the gateway again would help nobody, and close every connection.
///
/// Whatever goes wrong is a failure and no error: of a health check's exits a container's runtime knows
/// only 0 and 1.
pub(super) fn healthy(gateway: &Running) -> Exit {
    let asked = async {
        let answer = ask(gateway, Method::GET, "/status", Bytes::new());
        let late = || format!("the gateway does not answer within {} s", PROMPT.as_secs());
        timeout(PROMPT, answer).await.with_context(late)?
    };
    let answered = wait(asked).and_then(|(_, body)| Ok(serde_json::from_slice::<Status>(&body)?));
    match answered {
        Ok(status) => {
            let down = status.n8n.iter().filter(|it| !it.up).map(|it| it.url.as_str());
            let down: Vec<_> = down.collect();
            say(&match down.len() {
                0 => "the gateway serves".to_owned(),
                _ => format!("the gateway serves; n8n is down: {}", down.join(", ")),
            });
            Exit::Success
        }
        Err(why) => {
            complain(&format!("error: {why:#}"));
            Exit::Failure
        }
    }
}

/// A running gateway, for a person; `now` is in seconds since 1970.
pub(crate) fn describe(status: &Status, now: i64) -> String {
    let mut lines = Vec::new();
    let span = |seconds: u64| humantime::format_duration(Duration::from_secs(seconds));
    let ago = |since: i64| span(u64::try_from(now - since).unwrap_or(0) / 60 * 60).to_string();
    lines.push(format!("n8n-gateway {}, up {}", status.version, span(status.uptime_seconds)));
    for upstream in &status.n8n {
        let up = if upstream.up { "up" } else { "DOWN" };
        let shut = if upstream.circuit == "closed" { "" } else { ", requests are refused at once" };
        lines.push(format!("n8n          {} {up}{shut}", upstream.url));
    }
    if status.n8n_unclaimed {
        lines.push("             HAS NO OWNER: whoever opens /setup first owns it".to_owned());
    }
    if let Some(release) = &status.n8n_release {
        lines.push(format!("             release {release}"));
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
    lines.extend(hardening(&status.hardening));
    lines.extend(status.audit.iter().flat_map(|it| audited(it, &ago(it.at))));
    lines.push(format!("connections  {}", status.connections));
    lines.push(format!("banned       {}", status.banned));
    lines.extend(status.windows.iter().map(|it| format!("open         {}", windows::line(it))));
    lines.push(format!(
        "refused      {} in the last 5 minutes",
        status.refused_in_the_last_5_minutes
    ));
    lines.join("\n")
}

/// What came of the last look at n8n's own installation.
fn audited(audit: &AuditStatus, ago: &str) -> Vec<String> {
    let AuditStatus { found, unknown, alarming, .. } = audit;
    let loud = if *alarming { "WARNING: " } else { "" };
    let found_and = match found.len() {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    let blind = match unknown {
        0 => String::new(),
        some => format!(", {some} checks could not be made"),
    };
    let mut lines = vec![format!("audit        {loud}{found_and}{blind}, {ago} ago")];
    let told =
        found.iter().map(|it| format!("             {}: {} ({})", it.level, it.title, it.id));
    lines.extend(told);
    lines
}

pub(super) fn upgrade(gateway: &Running, json: bool) -> anyhow::Result<Exit> {
    let answer = match wait(ask(gateway, Method::POST, "/upgrade", Bytes::new())) {
        Ok((_, answer)) => answer,
        Err(why) if why.is::<Invalid>() => {
            complain(&format!("{why}\nnothing was started: the running gateway goes on"));
            return Ok(Exit::Failure);
        }
        Err(why) => return Err(why),
    };
    let upgraded: Upgraded = serde_json::from_slice(&answer)
        .with_context(|| String::from_utf8_lossy(&answer).into_owned())?;
    let exit = match &upgraded {
        Upgraded::Upgraded { .. } => Exit::Success,
        Upgraded::Failed { .. } => Exit::Failure,
    };
    match &upgraded {
        _ if json => say(&serde_json::to_string_pretty(&upgraded)?),
        Upgraded::Upgraded { process, ends } => say(&format!(
            "process {process} serves; process {ends} ends when what it has under way is done"
        )),
        Upgraded::Failed { error } => {
            complain(&format!("{error}\nthe gateway that was running goes on"));
        }
    }
    Ok(exit)
}

/// What the process gave up, and what somebody should know of it.
fn hardening(found: &Confinement) -> Vec<String> {
    let files = found.landlock.map(|abi| format!("files (Landlock {abi})"));
    let parts = [
        files,
        found.seccomp.then(|| "system calls (seccomp)".to_owned()),
        found.no_new_privileges.then(|| "privileges".to_owned()),
        found.no_core_dumps.then(|| "core dumps".to_owned()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let parts = if parts.is_empty() { "nothing is given up".to_owned() } else { parts.join(", ") };
    let kept = match found.capabilities.len() {
        0 => "no capability is left".to_owned(),
        1..=3 => format!("{} is left", found.capabilities.join(", ")),
        many => format!("{many} capabilities are left"),
    };
    let first = format!("hardening    {} ({}); {kept}", found.mode, parts);
    let warnings = found.warnings.iter().map(|it| format!("             {it}"));
    [first].into_iter().chain(warnings).collect()
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

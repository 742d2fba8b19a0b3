//! `certs`: how the certificates of a running gateway stand; get new ones, revoke.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use gateway_certs::{Clock, Outcome, RenewalSource, RevocationReason, StandingState, SystemClock};
use http::{Method, StatusCode};

use super::{Exit, Running, admin_client::ask, complain, say, wait};
use crate::certificates::CertificateStatus;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Certs {
    /// Say for every host who issued its certificate, when it ends, when it is renewed, and what was
    /// wrong the last time.
    ///
    /// Exits with 1 if there is something to look at.
    List {
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Get a new certificate now, whatever is due, and say what came of it.
    Renew {
        /// For this host; for all without it.
        host: Option<String>,
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Have a certificate revoked by its CA, and get a new one with another key.
    Revoke {
        /// The host.
        host: String,
        /// Why.
        #[arg(long, value_parser = reason, default_value = "unspecified")]
        reason: RevocationReason,
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

fn reason(text: &str) -> Result<RevocationReason, String> {
    let found = RevocationReason::ALL.into_iter().find(|it| it.name() == text);
    let names = || RevocationReason::ALL.map(RevocationReason::name).join(", ");
    found.ok_or_else(|| format!("one of {}", names()))
}

pub(super) fn certs(command: Certs) -> anyhow::Result<Exit> {
    match command {
        Certs::List { gateway, json } => list(&gateway, json),
        Certs::Renew { host, gateway, json } => {
            let path = match &host {
                Some(host) => format!("/certificates/renew?host={}", escaped(host)),
                None => "/certificates/renew".to_owned(),
            };
            carry_out(&gateway, &path, json)
        }
        Certs::Revoke { host, reason, gateway, json } => {
            let (host, reason) = (escaped(&host), reason.name());
            carry_out(&gateway, &format!("/certificates/revoke?host={host}&reason={reason}"), json)
        }
    }
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn list(gateway: &Running, json: bool) -> anyhow::Result<Exit> {
    let (status, body) = wait(ask(gateway, Method::GET, "/certificates", Bytes::new()))?;
    if status != StatusCode::OK {
        bail!("{}", String::from_utf8_lossy(&body).trim());
    }
    let all: Vec<CertificateStatus> = serde_json::from_slice(&body)?;
    if json {
        say(&serde_json::to_string_pretty(&all)?);
    } else {
        let now = SystemClock.now();
        let lines: Vec<String> = all.iter().flat_map(|it| describe(it, now)).collect();
        say(&lines.join("\n"));
    }
    let fine = all.iter().all(|it| it.warnings.is_empty());
    Ok(if fine { Exit::Success } else { Exit::Failure })
}

fn carry_out(gateway: &Running, path: &str, json: bool) -> anyhow::Result<Exit> {
    let (status, body) = wait(ask(gateway, Method::POST, path, Bytes::new()))?;
    if status.is_client_error() {
        complain(String::from_utf8_lossy(&body).trim());
        return Ok(Exit::Failure);
    }
    if status != StatusCode::OK {
        bail!("{}", String::from_utf8_lossy(&body).trim());
    }
    let outcomes: Vec<Outcome> = serde_json::from_slice(&body)?;
    if json {
        say(&serde_json::to_string_pretty(&outcomes)?);
    }
    for Outcome { host, error } in outcomes.iter().filter(|_| !json) {
        match error {
            None => say(&format!("{host}: a new certificate is served")),
            Some(error) => complain(&format!("{host}: {error}")),
        }
    }
    let fine = outcomes.iter().all(|it| it.error.is_none());
    Ok(if fine { Exit::Success } else { Exit::Failure })
}

/// One host's certificate, for a person.
pub(super) fn describe(certificate: &CertificateStatus, now: i64) -> Vec<String> {
    let CertificateStatus { standing, warnings } = certificate;
    let kind = match standing.state {
        StandingState::Valid => format!("{} left", span(standing.not_after - now)),
        StandingState::Expired => "EXPIRED".to_owned(),
        StandingState::Temporary => "TEMPORARY".to_owned(),
    };
    let by = match &standing.directory {
        Some(directory) if standing.state != StandingState::Temporary => format!(" ({directory})"),
        Some(_) | None => String::new(),
    };
    let mut lines =
        vec![format!("certificate  {}: {kind}, issued by {}{by}", standing.host, standing.issuer)];
    if let Some(renewal) = &standing.renewal {
        let wish = match renewal.source {
            RenewalSource::Ari => "as the CA wishes",
            RenewalSource::Lifetime => "at two thirds of its life",
        };
        lines.push(format!("             renewed in {}, {wish}", span(renewal.at - now)));
    }
    if standing.failures > 0
        && let Some(next) = standing.next_attempt
    {
        let times = standing.failures;
        lines.push(format!(
            "             {times} attempts failed, the next in {}",
            span(next - now)
        ));
    }
    lines.extend(warnings.iter().map(|it| format!("             WARNING: {it}")));
    lines
}

/// The two largest units of a span in seconds.
fn span(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let rounded = match seconds {
        0..3600 => seconds,
        3600..86_400 => seconds / 60 * 60,
        _ => seconds / 3600 * 3600,
    };
    // Not in months: nobody knows how long the one is that is meant.
    let (days, rest) = (rounded / 86_400, rounded % 86_400);
    let rest = humantime::format_duration(Duration::from_secs(rest)).to_string();
    match (days, rest.as_str()) {
        (0, _) => rest,
        (days, "0s") => format!("{days}days"),
        (days, rest) => format!("{days}days {rest}"),
    }
}

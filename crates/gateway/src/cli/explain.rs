//! `explain`: what would be decided, step by step.

use std::{net::IpAddr, path::Path};

use anyhow::{Context, bail};
use gateway_certs::{Clock, SystemClock};
use gateway_config::{System, load};
use gateway_n8n::{Claims, Release, Session};
use gateway_policy::{Fingerprint, Login, Policy, Question, Shown, ShownKey, Step, Timestamp};
use http::{Request, Uri, header, request, uri::Authority};
use serde_json::json;

use super::{Exit, Running, attacks, say, wait, windows};
use crate::run::resolve_names;

/// What is supposed to be asked, and by whom.
#[derive(Debug, clap::Args)]
pub(super) struct Supposed {
    /// The client's address.
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,
    /// With a certificate of the authority that the rule names (`client_ca`).
    #[arg(long)]
    client_certificate: bool,
    /// The method, such as GET.
    method: String,
    /// The URL, or a path on the policy's site.
    url: String,
    /// The release that n8n is of, such as 2.40.7: which attacks are stopped depends on it. Default: as
    /// the running gateway knows it.
    #[arg(long, value_name = "RELEASE")]
    n8n: Option<Release>,
    /// With a session of n8n's; the policy's rules on accounts are asked about it.
    #[arg(long, value_enum)]
    session: Option<SupposedSession>,
    /// With this API key, by its fingerprint (`sha256:…`): what the policy asks of it.
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    api_key: Option<Fingerprint>,
    /// As a WebSocket's opening handshake.
    #[arg(long)]
    websocket: bool,
}

/// What session is supposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SupposedSession {
    /// None.
    None,
    /// One that has just been made, without a second factor.
    WithoutMfa,
    /// One that has just been made, with a second factor.
    WithMfa,
}

impl SupposedSession {
    /// It, as a request would show it.
    fn session(self, now: Timestamp) -> Session {
        let shown = |used_mfa| {
            let user = "somebody".to_owned();
            Session::Shown(Claims { user, used_mfa, issued: now.0, ends: i64::MAX })
        };
        match self {
            Self::None => Session::None,
            Self::WithoutMfa => shown(false),
            Self::WithMfa => shown(true),
        }
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, &'static str> {
    text.parse().map_err(|()| "`sha256:` and 64 digits, as `api-keys fingerprint` says it")
}

pub(super) fn explain(file: &Path, supposed: &Supposed, as_json: bool) -> anyhow::Result<Exit> {
    let Supposed { from, client_certificate, method, url, n8n, session, api_key, websocket } =
        supposed;
    let running = Running { config: file.to_owned(), admin: None, token_file: None };
    let (answers, windows, release) = wait(async {
        let release = if n8n.is_some() { *n8n } else { attacks::release_now(&running).await };
        Ok((resolve_names(file).await?, windows::open_now(&running).await, release))
    })?;
    let mut policy = load(file, &System, &answers)?.policy;
    policy.attacks = policy.attacks.with_release(release);
    let policy = &policy;
    let head = head(policy, method, url, *websocket)?;
    let client = policy.clients.client(*from);
    let shown = if *client_certificate { Shown::Fitting } else { Shown::Nothing };
    // A browser names the host in its handshake, unless it is an address (RFC 6066 3).
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let sni = host.and_then(|host| gateway_policy::Authority::parse(host).ok());
    let sni =
        sni.map(|it| it.host).filter(|it| !it.starts_with('[') && it.parse::<IpAddr>().is_err());
    let mut steps: Vec<Step> = Vec::new();
    let now = Timestamp(SystemClock.now());
    let session = session.map(|it| it.session(now));
    let key = |fingerprint| ShownKey { fingerprint, user: None, history: None };
    let keys: Vec<_> = api_key.iter().copied().map(key).collect();
    let login = Login { session: session.as_ref(), keys: &keys, now, ..Login::default() };
    let question = Question { head: &head, sni, client, shown, login, windows: &windows };
    let verdict = policy.decide_with(question, &mut steps);
    let (exit, decision) = match &verdict {
        Ok(permit) => (Exit::Success, format!("pass, as `{}`", permit.surface().name())),
        Err(refusal) => {
            let (status, reason) = (refusal.reason.status().as_u16(), refusal.reason.name());
            (Exit::Failure, format!("refuse with {status} ({reason})"))
        }
    };
    if as_json {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| {
                let source = step.source.map(|source| source.to_string());
                json!({ "asked": step.asked, "found": step.found, "source": source })
            })
            .collect();
        let passes = verdict.is_ok();
        let report = json!({ "passes": passes, "decision": decision, "steps": steps });
        say(&serde_json::to_string_pretty(&report)?);
    } else {
        for step in &steps {
            say(&step.to_string());
        }
        say(&format!("{:<8} {decision}", "decision"));
    }
    Ok(exit)
}

/// The head of the request that `url` makes: with a path alone, on the policy's first host.
fn head(
    policy: &Policy,
    method: &str,
    url: &str,
    websocket: bool,
) -> anyhow::Result<request::Parts> {
    let uri: Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
    let site = policy.hosts.names().next().unwrap_or_default();
    let host = uri.authority().map_or(site, Authority::as_str).to_owned();
    if uri.path_and_query().is_none() {
        bail!("`{url}` has no path");
    }
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
    if websocket {
        request =
            request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "websocket");
    }
    let request = request.body(()).with_context(|| format!("`{method} {url}` is no request"))?;
    Ok(request.into_parts().0)
}

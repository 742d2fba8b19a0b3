//! The steps of the way, each by itself.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use gateway_config::{Certificate, Config};
use gateway_n8n::audit::{Hops, page, public_settings};
use http::{Request, header};

use super::{Given, Step, Way};
use crate::{
    audit::{n8n_variables, sign_in_limits},
    caller::{Answer, Callee},
};

pub(super) async fn certificate(way: &Way, config: &Config) -> Step {
    const NAME: &str = "certificate";
    let tried = format!("a handshake for {} at port {}", way.host, way.site.at.port);
    match way.site.get("/").await {
        Ok(_) => {
            Step::fine(NAME, tried, "it is for this name, in time, and of a CA that is trusted")
        }
        Err(why) => {
            let change = match &config.settings.tls.certificate {
                _ if why.contains("refused") || why.contains("does not answer") => {
                    "nothing answers there: start the gateway, publish its port, open the firewall"
                }
                Certificate::Acme(_) => "`n8n-gateway certs list` says what the CA complains about",
                Certificate::Files { .. } => {
                    "a chain under `tls.certificate` that is for this name and has its intermediates"
                }
                Certificate::SelfSigned => {
                    "`tls: { acme: … }`: nobody but this machine knows a certificate of its own"
                }
            };
            Step::wrong(NAME, tried, why, change)
        }
    }
}

pub(super) async fn redirect(way: &Way, config: &Config) -> Step {
    const NAME: &str = "redirect";
    let tried = format!("GET http://{}/", way.clear.host);
    if config.settings.listen.http.is_empty() {
        return Step::unknown(NAME, tried, "the policy has no listener in clear", "`listen.http`");
    }
    match way.clear.get("/").await {
        Ok(answer) => {
            let to = answer.header("location").to_owned();
            let came = format!("{} to {to}", answer.status.as_u16());
            let right = format!("https://{}", way.host);
            match answer.status.is_redirection() && to.starts_with(&right) {
                true => Step::fine(NAME, tried, came),
                false => Step::wrong(
                    NAME,
                    tried,
                    came,
                    "whatever answers at this port is not the gateway, or changes its answers: let \
                     the port lead to `listen.http`",
                ),
            }
        }
        Err(why) => {
            Step::wrong(NAME, tried, why, "publish port 80 and let it lead to `listen.http`")
        }
    }
}

pub(super) async fn sign_in_page(way: &Way, policy: &Path) -> Step {
    const NAME: &str = "sign-in page";
    let tried = format!("GET https://{}/signin", way.site.host);
    let answer = match way.site.get("/signin").await {
        Ok(answer) => answer,
        Err(why) => return Step::wrong(NAME, tried, why, "see the gateway's log"),
    };
    let status = answer.status.as_u16();
    let between = between(&answer);
    let came = format!("{status}{between}");
    match status {
        200 if page(&answer.text()).is_some() => {
            Step::fine(NAME, tried, format!("n8n's page{between}"))
        }
        404 => Step::wrong(
            NAME,
            tried,
            came,
            format!(
                "the policy keeps the editor from where this was asked: `access.editor`; `n8n-gateway \
                 explain --config {} --from ADDRESS GET https://{}/signin` names the line",
                policy.display(),
                way.host,
            ),
        ),
        421 => Step::wrong(NAME, tried, came, format!("`site: {{ host: {} }}`", way.host)),
        502..=504 => Step::wrong(NAME, tried, came, "n8n does not answer: is it up, at `n8n.url`?"),
        _ => Step::wrong(NAME, tried, came, "whatever answers there is not the gateway before n8n"),
    }
}

/// What stands between here and the gateway, as far as it says so.
fn between(answer: &Answer) -> String {
    let server = answer.header("server");
    let told =
        [("via", answer.header("via")), ("cf-ray", answer.header("cf-ray")), ("server", server)];
    let all: Vec<_> = told.iter().filter(|(_, value)| !value.is_empty()).collect();
    match all.first() {
        None => String::new(),
        Some((name, value)) => format!(", through somebody who says `{name}: {value}`"),
    }
}

/// How long n8n takes to say that it does not like an origin.
const QUIET: Duration = Duration::from_millis(1500);

pub(super) async fn push(way: &Way, given: &Given) -> Step {
    const NAME: &str = "push socket";
    let origin = way.origin();
    let tried = format!("a WebSocket at wss://{}/rest/push with Origin: {origin}", way.site.host);
    let mut lines = format!("Origin: {origin}\r\n");
    if let Some(session) = &given.session {
        lines.push_str(&format!("Cookie: n8n-auth={}\r\n", session.expose()));
    }
    let got = match way.site.upgrade("/rest/push?pushRef=n8n-gateway-doctor", &lines, QUIET).await {
        Ok(got) => got,
        Err(why) => return Step::wrong(NAME, tried, why, "see the gateway's log"),
    };
    let first = got.lines().next().unwrap_or_default().to_owned();
    if !first.contains(" 101") {
        let change = match first.contains(" 404") {
            true => "the policy keeps the editor from where this was asked: `access.editor`",
            false => {
                "somebody in between does not let WebSockets through: hand on `Upgrade` and \
                 `Connection`"
            }
        };
        return Step::wrong(NAME, tried, first, change);
    }
    if got.contains("Invalid origin!") {
        let change = "somebody in between changes `Host` or `Origin`: hand both on as they come";
        return Step::wrong(NAME, tried, "101, then `Invalid origin!` of n8n", change);
    }
    match given.session {
        Some(_) => Step::fine(NAME, tried, "it stays open"),
        None => Step::unknown(
            NAME,
            tried,
            "101: it is let through; n8n compares the origin only of who is signed in",
            "`--session-file` with the value of your cookie n8n-auth shows the rest",
        ),
    }
}

pub(super) async fn client_address(config: &Config, now: i64) -> Step {
    const NAME: &str = "client address";
    let main = &config.settings.n8n.main;
    let tried = format!("three sign-ins without a name at {main}, in the name of other addresses");
    let n8n = Callee::in_clear(&main.host, main.port);
    let change = "N8N_PROXY_HOPS=1 in n8n's environment";
    let (limits, hops) = sign_in_limits(&n8n, now).await;
    match (limits, hops) {
        (_, Ok(Hops::One)) => {
            Step::fine(NAME, tried, "n8n takes the address that the gateway names")
        }
        (_, Ok(Hops::None)) => {
            Step::wrong(NAME, tried, "n8n takes everybody for the gateway", change)
        }
        (_, Ok(Hops::Many)) => {
            let came = "n8n takes an address that clients choose, past the gateway's";
            Step::wrong(NAME, tried, came, change)
        }
        (Ok(_), Err(why)) => {
            Step::unknown(NAME, tried, why, format!("NODE_ENV=production, and {change}"))
        }
        (Err(_), Err(why)) => Step::wrong(NAME, tried, why, "start n8n, or correct `n8n.url`"),
    }
}

pub(super) async fn webhook_url(way: &Way, config: &Config, given: &Given) -> Step {
    const NAME: &str = "webhook URL";
    let main = &config.settings.n8n.main;
    let (right, change) = (
        format!("https://{}", way.hook_host),
        format!("N8N_WEBHOOK_URL=https://{}/ in n8n's environment", way.hook_host),
    );
    let judged = |tried: String, url: &str| {
        let bare = url.trim_end_matches('/');
        let fits = bare == right || bare.starts_with(&format!("{right}:"));
        let came = format!("n8n prints {url}");
        if fits { Step::fine(NAME, tried, came) } else { Step::wrong(NAME, tried, came, &change) }
    };
    if let Some(session) = &given.session {
        let tried = "what n8n tells whoever is signed in".to_owned();
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = http::Uri::from_static("/rest/settings");
        if let Ok(cookie) = format!("n8n-auth={}", session.expose()).parse() {
            request.headers_mut().insert(header::COOKIE, cookie);
        }
        let told = way.site.ask(request).await.ok().and_then(|it| it.json());
        let url = told.as_ref().and_then(|it| it.pointer("/data/urlBaseWebhook"));
        if let Some(url) = url.and_then(serde_json::Value::as_str) {
            return judged(tried, url);
        }
    }
    if let Ok(variables) = n8n_variables(main.port) {
        let named = ["N8N_WEBHOOK_URL", "WEBHOOK_URL"];
        let url = named.iter().find_map(|it| variables.value(it).filter(|it| !it.is_empty()));
        let tried = format!("n8n's environment ({})", variables.from);
        return match url {
            Some(url) => judged(tried, url),
            None => Step::wrong(NAME, tried, "N8N_WEBHOOK_URL is not set", change),
        };
    }
    let tried = format!("what {main} tells everybody of its own address");
    let told = Callee::in_clear(&main.host, main.port).get("/rest/settings").await;
    let url = told.ok().and_then(|it| public_settings(&it.json()?)?.base_url);
    match url {
        // What is told is the editor's address, or the webhooks' if n8n knows none of the editor.
        Some(url) if url.contains("//localhost") => judged(tried, &url),
        Some(url) => Step::unknown(
            NAME,
            tried,
            format!("n8n believes that its editor is at {url}"),
            "`--session-file`, or n8n's own user, shows the address of webhooks",
        ),
        None => Step::unknown(NAME, tried, "nothing", "is n8n up, at `n8n.url`?"),
    }
}

pub(super) async fn upload(way: &Way, given: &Given, now: i64) -> Step {
    const NAME: &str = "upload";
    let (size, path) = (given.upload, format!("/webhook/n8n-gateway-doctor-{now}"));
    let tried = format!("POST {} MiB to a webhook that nobody has", size >> 20);
    let mut request = Request::new(Bytes::from(vec![0; size]));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = path.parse().unwrap_or_default();
    let kind = header::HeaderValue::from_static("application/octet-stream");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    match way.hooks.ask(request).await {
        Ok(answer) if answer.status == 413 => Step::wrong(
            NAME,
            tried,
            format!("413{}", between(&answer)),
            "`limits: { body: { webhook: … } }` in the policy, or the limit of whoever stands in front",
        ),
        Ok(answer) if answer.status == 404 => {
            Step::fine(NAME, tried, "404: it was taken, and there is no such webhook")
        }
        Ok(answer) => {
            let came = format!("{}{}", answer.status.as_u16(), between(&answer));
            Step::unknown(NAME, tried, came, "see the gateway's access record of it")
        }
        Err(why) => Step::wrong(
            NAME,
            tried,
            why,
            "somebody in between cuts long requests: raise its limits",
        ),
    }
}

/// The parts of one answer that come apart by so much were not put together by anybody.
const APART: Duration = Duration::from_millis(200);

pub(super) async fn stream(way: &Way, given: &Given) -> Step {
    const NAME: &str = "stream";
    let Some(path) = &given.stream else {
        return Step::unknown(
            NAME,
            "an answer that comes in parts".to_owned(),
            "nothing in n8n streams to strangers",
            "`--stream /webhook/…` with the path of a workflow that streams its answer over some seconds",
        );
    };
    let tried = format!("GET https://{}{path}", way.hooks.host);
    match way.hooks.arrivals(path).await {
        Ok((status, _)) if status != 200 => {
            Step::unknown(NAME, tried, status.to_string(), "name a path that answers with 200")
        }
        Ok((_, moments)) => {
            let spread = match (moments.first(), moments.last()) {
                (Some(first), Some(last)) => last.saturating_sub(*first),
                _ => Duration::ZERO,
            };
            let came = format!("{} parts within {} ms", moments.len(), spread.as_millis());
            match moments.len() > 1 && spread >= APART {
                true => Step::fine(NAME, tried, came),
                false => Step::wrong(
                    NAME,
                    tried,
                    came,
                    "somebody in between keeps answers until they are whole: switch off its \
                     buffering and compression (if the workflow does stream over some seconds)",
                ),
            }
        }
        Err(why) => Step::wrong(NAME, tried, why, "see the gateway's log"),
    }
}

//! What n8n does when it is asked on its own port.

use std::net::IpAddr;

use bytes::Bytes;
use gateway_n8n::audit::{Hops, Looked, Observed, page, public_settings};
use http::Request;

use crate::caller::{Answer, Callee};

/// A site that is nobody's: n8n must not let its pages read anything.
const FOREIGN: &str = "https://n8n-gateway-audit.invalid";

pub(super) async fn look(n8n: &Callee, now: i64, seen: &mut Observed) {
    let asked = request("/rest/settings", &[("origin", FOREIGN)]);
    let settings = n8n.ask(asked).await;
    seen.reads_across_origins = settings
        .as_ref()
        .map(|it| it.header("access-control-allow-origin") == FOREIGN)
        .map_err(Clone::clone);
    seen.settings = settings.and_then(|it| {
        let read = it.json().and_then(|it| public_settings(&it));
        read.ok_or_else(|| format!("{} answers {} and not as n8n does", n8n.at, it.status))
    });
    seen.page = n8n.get("/signin").await.and_then(|it| {
        page(&it.text()).ok_or_else(|| format!("{} shows no page of n8n's", n8n.at))
    });
    seen.metrics = n8n.get("/metrics").await.map(|it| it.status == 200 && is_metrics(&it));
    seen.api_docs = n8n.get("/api/v1/docs/").await.map(|it| it.status == 200 && is_swagger(&it));
    (seen.limits_sign_ins, seen.hops) = limits(n8n, now).await;
    // An n8n that does not run answers nowhere, which says nothing of one that does.
    seen.answers_at = match &seen.metrics {
        Ok(_) => answers_at(n8n).await,
        Err(why) => Err(why.clone()),
    };
}

fn is_metrics(answer: &Answer) -> bool {
    answer.text().contains("# HELP ")
}

/// n8n answers unknown paths with its editor's page.
fn is_swagger(answer: &Answer) -> bool {
    answer.text().to_ascii_lowercase().contains("swagger")
}

fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = path.parse().unwrap_or_default();
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            request.headers_mut().insert(*name, value);
        }
    }
    request
}

/// Whether n8n limits attempts to sign in, and whose it takes them for.
///
/// The limit is 1000 in five minutes for an address, and each answer tells what is left of it. Three
/// attempts that n8n cannot read, from addresses that nobody has (RFC 5737) and that no other look
/// has used lately, show which address in the list n8n counts.
pub(crate) async fn limits(n8n: &Callee, now: i64) -> (Looked<bool>, Looked<Hops>) {
    let lot = now.rem_euclid(60);
    let (a, b) = (format!("192.0.2.{lot}"), format!("198.51.100.{lot}"));
    let (other_a, other_b) = (format!("192.0.2.{}", lot + 64), format!("198.51.100.{}", lot + 64));
    let mut left = Vec::new();
    for (first, second) in [(&a, &b), (&other_a, &b), (&a, &other_b)] {
        match attempt(n8n, &format!("{first}, {second}")).await {
            Ok(one) => left.push(one),
            Err(why) => return (Err(why.clone()), Err(why)),
        }
    }
    let hops = match left.as_slice() {
        [Some(one), Some(two), Some(three)] => match (two < one, three < two) {
            (true, true) => Ok(Hops::None),
            (true, false) => Ok(Hops::One),
            (false, _) => Ok(Hops::Many),
        },
        _ => {
            let why = "n8n shows whose address it takes only in production mode";
            return (Ok(false), Err(why.to_owned()));
        }
    };
    (Ok(true), hops)
}

/// What is left of the limit after an attempt; nothing if none is told.
async fn attempt(n8n: &Callee, forwarded: &str) -> Result<Option<u64>, String> {
    let mut request = request("/rest/login", &[("x-forwarded-for", forwarded)]);
    *request.method_mut() = http::Method::POST;
    let answer = n8n.ask(request).await?;
    // It has no name and no password in it: what else is said is not said by n8n's sign-in.
    if !matches!(answer.status.as_u16(), 400 | 429) {
        return Err(format!("{} answers {} to an attempt to sign in", n8n.at, answer.status));
    }
    Ok(answer.header("x-ratelimit-remaining").parse().ok())
}

/// Where else n8n answers, if it runs on this machine.
async fn answers_at(n8n: &Callee) -> Looked<Vec<String>> {
    let host = n8n.at.host.trim_matches(['[', ']']);
    let address = match host {
        "localhost" => Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        other => other.parse().ok(),
    };
    let interfaces = if_addrs::get_if_addrs().map_err(|why| why.to_string())?;
    let own: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    if !address.is_some_and(|it| it.is_loopback() || own.contains(&it)) {
        return Err(format!("n8n is on another machine ({}): ask from outside", n8n.at));
    }
    let mut found = Vec::new();
    for address in own.into_iter().filter(|it| !it.is_loopback()) {
        let shown = match address {
            IpAddr::V4(it) => it.to_string(),
            // A link's own addresses need the name of the link, and lead no further than it.
            IpAddr::V6(it) if it.is_unicast_link_local() => continue,
            IpAddr::V6(it) => format!("[{it}]"),
        };
        let there = Callee::in_clear(&shown, n8n.at.port);
        let answers = there.get("/healthz").await;
        if answers.is_ok_and(|it| it.text().contains("\"status\"")) {
            found.push(format!("http://{shown}:{}", n8n.at.port));
        }
    }
    Ok(found)
}

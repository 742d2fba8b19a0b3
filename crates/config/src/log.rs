//! `log`: what is written down, and who else gets it.

use std::{net::IpAddr, path::Path};

use gateway_policy::Place;
use http::{HeaderName, HeaderValue, Uri, header};

use crate::{
    Log, LogFormat, LogLevel, Needs, Otlp, Secret,
    at::{At, Keyed},
    compile::required,
    de::Session,
    raw,
    tls::root_of,
    world::beside,
};

/// What a collector listens to for log records. Source: OTLP 1.9, "OTLP/HTTP Request".
const PATH: &str = "/v1/logs";

/// Fields of a request that are its own business.
const TAKEN: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

pub(crate) fn log(raw: raw::Log, needs: &mut Needs, session: &Session<'_>) -> Log {
    let raw::Log { format, level, fail2ban, otlp: collector } = raw;
    let fail2ban = fail2ban.and_then(|it| it.value);
    Log {
        fail2ban: fail2ban.map(|path| beside(session.file, Path::new(&path))),
        format: match format.and_then(|it| it.value) {
            Some(raw::LogFormat::Text) => LogFormat::Text,
            Some(raw::LogFormat::Json) | None => LogFormat::Json,
        },
        level: match level.and_then(|it| it.value) {
            Some(raw::LogLevel::Error) => LogLevel::Error,
            Some(raw::LogLevel::Warn) => LogLevel::Warn,
            Some(raw::LogLevel::Debug) => LogLevel::Debug,
            Some(raw::LogLevel::Info) | None => LogLevel::Info,
        },
        otlp: collector.and_then(|it| otlp(it.value?, it.place, needs, session)),
    }
}

fn otlp(raw: raw::Otlp, place: Place, needs: &mut Needs, session: &Session<'_>) -> Option<Otlp> {
    let raw::Otlp { endpoint, headers, ca } = raw;
    let written = endpoint.as_ref().map_or(place, |it| it.place);
    let hint = "endpoint: http://127.0.0.1:4318";
    let endpoint = required(endpoint, "log.otlp.endpoint", place, hint, session);
    let headers = headers_of(headers, session);
    let ca = ca.map(|ca| root_of(ca, needs, session));
    let endpoint = endpoint?;
    let Some(url) = url_of(&endpoint) else {
        let message = format!("`{endpoint}` is no URL of a collector");
        session.error(written, message, Some(hint.to_owned()));
        return None;
    };
    if url.scheme_str() == Some("http") && !headers.is_empty() && !is_this_machine(&url) {
        let hint = Some("endpoint: https://…".to_owned());
        session.warning(written, "`headers` go over the network in clear", hint);
    }
    let ca = match ca {
        Some(ca) => Some(ca?),
        None => None,
    };
    Some(Otlp { url, headers, ca })
}

/// Scheme, host and path; no user, no query.
fn url_of(endpoint: &str) -> Option<Uri> {
    let base = endpoint.trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base);
    let url: Uri = format!("{base}{PATH}").parse().ok()?;
    let fine = matches!(url.scheme_str(), Some("http" | "https"))
        && gateway_policy::Authority::parse(url.authority()?.as_str()).is_ok()
        && !endpoint.contains(['?', '#']);
    fine.then_some(url)
}

fn is_this_machine(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|it: IpAddr| it.is_loopback())
}

fn headers_of(raw: Option<At<Keyed<Secret>>>, session: &Session<'_>) -> Vec<(HeaderName, Secret)> {
    let mut all = Vec::new();
    for (key, value) in raw.and_then(|it| it.value).unwrap_or_default().0 {
        let (Some(name), Some(secret)) = (key.value, value.value) else { continue };
        let parsed = name.parse().ok().filter(|it| !TAKEN.contains(it));
        match (parsed, HeaderValue::from_str(secret.expose())) {
            (Some(name), Ok(_)) => all.push((name, secret)),
            (None, _) => {
                let hint = Some("headers: { authorization: \"${file:…}\" }".to_owned());
                session.error(key.place, format!("`{name}` cannot be set"), hint);
            }
            (Some(_), Err(_)) => {
                session.error(value.place, format!("`{name}` has a value that no field has"), None);
            }
        }
    }
    all
}

//! The policy in force, every default filled in and every secret masked, for a person to read.

use gateway_n8n::Surface;
use gateway_policy::{PathRules, Who};
use serde_json::{Map, Value, json};

use crate::{Admin, Certificate, Config, TlsVersion};

/// The policy in force. The access of a path is shown with what made it.
#[must_use]
pub fn effective(config: &Config) -> Value {
    let Config { settings, policy, .. } = config;
    let text = |it: &dyn std::fmt::Display| Value::String(it.to_string());
    let span = |it| Value::String(humantime::format_duration(it).to_string());
    json!({
        "hosts": policy.hosts.names().collect::<Vec<_>>(),
        "listen": {
            "https": settings.listen.https.iter().map(|it| text(it)).collect::<Vec<_>>(),
            "http": settings.listen.http.iter().map(|it| text(it)).collect::<Vec<_>>(),
            "admin": match &settings.listen.admin {
                Admin::Unix(path) => format!("unix:{}", path.display()),
                Admin::Tcp(address, None) => address.to_string(),
                Admin::Tcp(address, Some(token)) => format!("{address}, token {token}"),
            },
            "proxy_protocol": settings.listen.proxy_protocol,
        },
        "tls": {
            "certificate": match &settings.tls.certificate {
                Certificate::Files { chain, key } => json!({ "chain": chain, "key": key }),
                Certificate::SelfSigned => json!("self_signed"),
            },
            "min_version": match settings.tls.min_version {
                TlsVersion::Tls12 => "1.2",
                TlsVersion::Tls13 => "1.3",
            },
        },
        "n8n": {
            "url": text(&settings.n8n.main),
            "webhook_urls": settings.n8n.webhooks.iter().map(|it| text(it)).collect::<Vec<_>>(),
            "readiness": settings.n8n.readiness,
        },
        "access": by_surface(|surface| Some(policy.access.of(surface)), describe),
        "deny": policy.deny.iter().map(|(network, _)| network.name()).collect::<Vec<_>>(),
        "limits": {
            "body": by_surface(|surface| policy.bodies.get(surface as usize), |limit| {
                format!("{} MiB", limit >> 20)
            }),
            "connections": {
                "total": settings.connections.total,
                "per_client": settings.connections.per_client,
            },
            "timeouts": {
                "answer": span(settings.timeouts.answer),
                "body": span(settings.timeouts.body),
                "stream": span(settings.timeouts.stream),
                "tunnel": span(settings.timeouts.tunnel),
                "drain": span(settings.timeouts.drain),
            },
        },
        "state": { "dir": settings.state },
        "log": { "format": settings.log.format, "level": settings.log.level },
    })
}

fn by_surface<'p, T: 'p>(
    rules: impl Fn(Surface) -> Option<&'p PathRules<T>>,
    show: impl Fn(&T) -> String,
) -> Value {
    let mut all = Map::new();
    for surface in Surface::all() {
        for rule in rules(surface).into_iter().flat_map(PathRules::iter) {
            let slash = if rule.path.is_empty() { "" } else { "/" };
            let name = format!("{}{slash}{}", surface.name(), rule.path);
            all.insert(name, Value::String(format!("{} ({})", show(&rule.value), rule.source)));
        }
    }
    Value::Object(all)
}

fn describe(who: &Who) -> String {
    match who {
        Who::Anyone => "anyone".to_owned(),
        Who::Nobody => "nobody".to_owned(),
        Who::Networks(networks) => {
            networks.iter().map(|network| network.name()).collect::<Vec<_>>().join(", ")
        }
    }
}

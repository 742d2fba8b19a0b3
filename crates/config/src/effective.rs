//! The policy in force, every default filled in and every secret masked, for a person to read.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};

use gateway_n8n::Surface;
use gateway_policy::{
    Accounts, AttackMode, Attacks, Bans, Grant, KeyRule, Limit, Mode, NewNetwork, PathRules, Quota,
    Sentence, Timestamp, Webhooks, Who,
};
use serde_json::{Map, Value, json};

use crate::{Admin, Audit, BackupSource, Certificate, Config, Publisher, Settings, TlsVersion};

/// The policy in force. The access of a path is shown with what made it.
#[must_use]
pub fn effective(config: &Config) -> Value {
    let Config { settings, policy, .. } = config;
    let text = |it: &dyn std::fmt::Display| Value::String(it.to_string());
    json!({
        "hosts": policy.hosts.names().collect::<Vec<_>>(),
        "listen": listen(settings),
        "tls": {
            "certificate": certificate(&settings.tls.certificate),
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
        "rate_limits": by_surface(|surface| Some(policy.limits.of(surface)), |limits| {
            let told = limits.iter().map(|it: &Limit| {
                let dry = if it.dry_run { ", dry run" } else { "" };
                format!("{} per {}{dry}", it.quota, it.per.name())
            });
            told.collect::<Vec<_>>().join("; ")
        }),
        "webhooks": webhooks(&policy.webhooks),
        "bans": bans(&policy.bans, settings.nftables),
        "accounts": accounts(&policy.accounts, settings),
        "attacks": attacks(&policy.attacks),
        "limits": limits(config),
        "audit": settings.audit.as_ref().map(audit),
        "state": { "dir": settings.state },
        "log": {
            "format": settings.log.format,
            "level": settings.log.level,
            "fail2ban": settings.log.fail2ban,
            "otlp": settings.log.otlp.as_ref().map(|it| json!({
                "url": it.url.to_string(),
                "headers": it.headers.iter().map(|(name, secret)| (name.to_string(), secret.to_string()))
                    .collect::<BTreeMap<_, _>>(),
                "ca": it.ca.as_ref().map(|(file, _)| file),
            })),
        },
        "answers": {
            "sandbox": policy.answers.sandbox,
            "frames": if policy.answers.frames { "same-origin" } else { "anyone" },
        },
        "hardening": settings.hardening,
        "mode": match policy.mode {
            Mode::Enforce => "enforce",
            Mode::DryRun => "dry-run",
        },
    })
}

/// What is asked of each webhook.
fn webhooks(all: &Webhooks) -> Value {
    let told = all.iter().map(|(surface, path, webhook, source)| {
        let from = webhook.from.as_ref();
        let asked = [
            webhook.proof.as_ref().map(|it| {
                let once = it.once.map(|it| humantime::format_duration(it).to_string());
                let once = once.map(|it| format!(", once in {it}")).unwrap_or_default();
                format!("{}{once}", it.name)
            }),
            (!webhook.methods.is_empty()).then(|| listed(&webhook.methods)),
            (!webhook.content_types.is_empty()).then(|| listed(&webhook.content_types)),
            webhook.size.map(|it| format!("{} KiB", it >> 10)),
            from.map(|it| {
                let names: Vec<_> = it.iter().map(|network| network.name()).collect();
                format!("from {}", listed(&names))
            }),
        ];
        let asked: Vec<String> = asked.into_iter().flatten().collect();
        (format!("{}/{path}", surface.name()), json!(format!("{} ({source})", asked.join("; "))))
    });
    Value::Object(told.collect())
}

fn listed(all: &[impl ToString]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn audit(audit: &Audit) -> Value {
    let span = |it| humantime::format_duration(it).to_string();
    let seconds = |it: i64| span(Duration::from_secs(it.unsigned_abs()));
    let minute = |it: u16| format!("{:02}:{:02}", it / 60, it % 60);
    json!({
        "every": span(audit.every),
        "level": audit.level.name(),
        "api_key": audit.api_key.as_ref().map(ToString::to_string),
        "data": audit.data,
        "env_files": audit.env_files,
        "backup": match &audit.backup {
            Some(BackupSource::Path(path)) => json!({ "path": path }),
            Some(BackupSource::Command(command)) => json!({ "command": command }),
            None => Value::Null,
        },
        "max_backup_age": seconds(audit.bounds.backup),
        "hours": audit.bounds.hours.map(|it| format!("{}-{}", minute(it.from), minute(it.to))),
        "max_admins": audit.bounds.admins,
        "unused": seconds(audit.bounds.unused),
        "accept": audit.accept,
    })
}

fn certificate(certificate: &Certificate) -> Value {
    match certificate {
        Certificate::Files { chain, key } => json!({ "chain": chain, "key": key }),
        Certificate::SelfSigned => json!("self_signed"),
        Certificate::Acme(acme) => json!({ "acme": {
            "email": acme.email,
            "directories": acme.directories.iter().map(|it| json!({
                "name": it.name,
                "url": it.url,
                "staging": it.staging,
                "root": it.root.as_ref().map(|(path, _)| path),
                "eab": it.eab.as_ref().map(|eab| json!({ "key_id": eab.key_id, "hmac_key": "***" })),
                "profile": it.profile,
            })).collect::<Vec<_>>(),
            "challenges": acme.challenges.iter().map(|it| it.name()).collect::<Vec<_>>(),
            "dns": acme.dns.as_ref().map(|dns| match &dns.publisher {
                Publisher::Hook(program) => json!({ "hook": program }),
                Publisher::Rfc2136(it) => json!({ "rfc2136": { "server": it.server, "zone": it.zone } }),
            }),
            "key_type": acme.key_type.name(),
        } }),
    }
}

fn listen(settings: &Settings) -> Value {
    let addresses = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "https": addresses(&settings.listen.https),
        "http": addresses(&settings.listen.http),
        "admin": match &settings.listen.admin {
            Admin::Unix(path) => format!("unix:{}", path.display()),
            Admin::Tcp(address, None) => address.to_string(),
            Admin::Tcp(address, Some(token)) => format!("{address}, token {token}"),
        },
        "proxy_protocol": settings.listen.proxy_protocol,
    })
}

fn limits(Config { settings, policy, .. }: &Config) -> Value {
    let span = |it| humantime::format_duration(it).to_string();
    let rate = |it: Option<Quota>| it.map_or_else(|| "off".to_owned(), |it| it.to_string());
    json!({
        "body": by_surface(|surface| policy.bodies.get(surface as usize), |limit| {
            format!("{} MiB", limit >> 20)
        }),
        "connections": {
            "total": settings.connections.total,
            "per_client": settings.connections.per_client,
            "handshakes": settings.connections.handshakes,
            "rate": rate(settings.connections.rate),
            "rate_per_client": rate(settings.connections.rate_per_client),
        },
        "requests": {
            "total": settings.requests.total,
            "per_client": settings.requests.per_client,
        },
        "memory": settings.memory.map_or_else(|| "auto".to_owned(), |it| format!("{} MiB", it >> 20)),
        "head": {
            "size": format!("{} KiB", settings.head.bytes >> 10),
            "fields": settings.head.fields,
            "target": format!("{} KiB", settings.head.target >> 10),
        },
        "min_rate": format!("{} B/s", settings.min_rate),
        "timeouts": {
            "handshake": span(settings.timeouts.handshake),
            "head": span(settings.timeouts.head),
            "idle": span(settings.timeouts.idle),
            "answer": span(settings.timeouts.answer),
            "body": span(settings.timeouts.body),
            "stream": span(settings.timeouts.stream),
            "tunnel": span(settings.timeouts.tunnel),
            "ping": span(settings.timeouts.ping),
            "drain": span(settings.timeouts.drain),
        },
    })
}

fn accounts(accounts: &Accounts, settings: &Settings) -> Value {
    json!({
        "require_mfa": accounts.second_factor.as_ref().map(|it| json!({
            "from": it.from.map(day),
            "except": it.except,
        })),
        "sessions": accounts.sessions.map(|it| json!({
            "max_age": it.max_age.map(|it| humantime::format_duration(it).to_string()),
            "idle": it.idle.map(|it| humantime::format_duration(it).to_string()),
            "new_network": match it.new_network {
                NewNetwork::Allow => "allow",
                NewNetwork::Report => "report",
                NewNetwork::Refuse => "refuse",
            },
        })),
        "api_keys": accounts.api_keys.as_ref().map(|it| {
            let told = |rule: &KeyRule| json!(format!("{rule} ({})", rule.source));
            let keys = it.keys.iter().map(|(key, rule)| (key.to_string(), told(rule)));
            let users = it.users.iter().map(|(user, rule)| (format!("user:{user}"), told(rule)));
            let own: Map<String, Value> = keys.chain(users).collect();
            json!({ "all": told(&it.all), "keys": own })
        }),
        "password": accounts.password.map(|it| json!({
            "min_length": it.min_length,
            "classes": it.classes,
            "strength": it.strength,
            "leaked": settings.leaked_passwords,
        })),
        "allowed_emails": accounts.addresses.as_ref().map(|it| &it.patterns),
    })
}

/// The day that begins then.
fn day(at: Timestamp) -> String {
    let then = UNIX_EPOCH + Duration::from_secs(at.0.try_into().unwrap_or_default());
    humantime::format_rfc3339_seconds(then).to_string().chars().take(10).collect()
}

fn bans(bans: &Bans, nftables: bool) -> Value {
    let span = |it| humantime::format_duration(it).to_string();
    let sentence = |it: &Sentence| {
        json!({
            "max_retry": it.max_retry,
            "find_time": span(it.find_time),
            "ban_time": span(it.ban_time),
            "dry_run": it.dry_run,
        })
    };
    let jails = bans.jails.iter().map(|it| (it.jail.name().to_owned(), sentence(it)));
    json!({
        "never": bans.never.iter().map(|(network, _)| network.name()).collect::<Vec<_>>(),
        "jails": jails.collect::<Map<_, _>>(),
        "increment": bans.increment.as_ref().map(|it| json!({
            "factor": it.factor,
            "multipliers": it.multipliers,
            "max_time": span(it.max_time),
            "rnd_time": span(it.rnd_time),
        })),
        "recidive": bans.recidive.as_ref().map(sentence),
        "nftables": nftables,
    })
}

/// What is done about each attack while nobody knows n8n's release, which a file cannot tell.
fn attacks(attacks: &Attacks) -> Value {
    let mode = |mode: AttackMode| match mode {
        AttackMode::Off => "off",
        AttackMode::Report => "report",
        AttackMode::Block => "block",
        AttackMode::Auto => "auto",
    };
    let all = attacks.all().map(|(it, _)| {
        (it.entry.id.to_string(), Value::String(format!("{} ({})", mode(it.mode), it.source)))
    });
    json!({
        "max_body": format!("{} KiB", attacks.body_limit() >> 10),
        "entries": all.collect::<Map<_, _>>(),
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
        Who::Granted(grants) => grants.iter().map(granted).collect::<Vec<_>>().join(", "),
    }
}

/// A way in, as the policy would write it.
fn granted(grant: &Grant) -> String {
    match grant {
        Grant::From(network) => network.name().to_owned(),
        Grant::With { authority, from: None } => format!("{{ client_ca: {} }}", authority.file),
        Grant::With { authority, from: Some(networks) } => {
            let names = networks.iter().map(|network| network.name()).collect::<Vec<_>>();
            format!("{{ client_ca: {}, networks: [{}] }}", authority.file, names.join(", "))
        }
    }
}

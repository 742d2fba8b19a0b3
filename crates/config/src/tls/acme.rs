//! `tls.acme`: which CAs, and how control of the hosts is shown.

use std::{net::IpAddr, path::Path, time::Duration};

use gateway_policy::{Hosts, Place};

use super::Beside;
use crate::{
    Acme, Challenge, Directory, Dns, Eab, KeyType, Needs, Publisher, Rfc2136, Secret, SecretBytes,
    TsigAlgorithm, TsigKey,
    at::{At, OneOrMany},
    compile::required,
    de::Session,
    grants::authority,
    problem::did_you_mean,
    raw,
    text::Span,
    world::{Purpose, START_ANEW, beside, unreadable},
};

struct Known {
    name: &'static str,
    url: &'static str,
    staging: Option<&'static str>,
    /// Whether it wants an account of its own.
    eab: bool,
}

/// The CAs that have a name here, each as its own documentation gives it.
#[rustfmt::skip]
const KNOWN: [Known; 4] = [
    Known { name: "letsencrypt", url: "https://acme-v02.api.letsencrypt.org/directory", staging: Some("https://acme-staging-v02.api.letsencrypt.org/directory"), eab: false },
    Known { name: "letsencrypt-staging", url: "https://acme-staging-v02.api.letsencrypt.org/directory", staging: None, eab: false },
    Known { name: "zerossl", url: "https://acme.zerossl.com/v2/DV90", staging: None, eab: true },
    Known { name: "google", url: "https://dv.acme-v02.api.pki.goog/directory", staging: None, eab: true },
];

/// How long a TXT record is waited for, unless the file says otherwise.
const PROPAGATION: Duration = Duration::from_secs(10);

/// The longest that one is waited for.
const LONGEST_PROPAGATION: Duration = Duration::from_mins(15);

pub(super) fn acme(
    raw: raw::Acme,
    place: Place,
    around: &Beside<'_>,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Option<Acme> {
    let Beside(hosts, _) = around;
    let raw::Acme { email, directories, challenges, dns, profile, key_type } = raw;
    let email = email_of(email, place, session);
    let profile = profile.and_then(|it| it.value);
    let directories = directories_of(directories, needs, session);
    let dns = match dns {
        Some(dns) => Some(dns_of(dns.value?, dns.place, session)?),
        None => None,
    };
    let challenges = challenges_of(challenges, dns.as_ref(), place, around, session);
    let directories = with_profiles(directories?, profile.as_ref(), *hosts);
    warn_of_private_hosts(&directories, place, *hosts, session);
    Some(Acme {
        email: email?,
        directories,
        challenges: challenges?,
        dns,
        key_type: match key_type.and_then(|it| it.value) {
            Some(raw::KeyType::P256) | None => KeyType::P256,
            Some(raw::KeyType::P384) => KeyType::P384,
            Some(raw::KeyType::Rsa2048) => KeyType::Rsa2048,
            Some(raw::KeyType::Rsa4096) => KeyType::Rsa4096,
        },
    })
}

fn email_of(email: Option<At<String>>, place: Place, session: &Session<'_>) -> Option<String> {
    let written = email.as_ref().map_or(place, |email| email.place);
    let email = required(email, "tls.acme.email", place, "email: ops@example.com", session)?;
    let fine = email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
        && email.chars().all(|it| !it.is_whitespace() && !it.is_control() && it != ',');
    if !fine {
        let hint = "a CA writes there when something is wrong: `email: ops@example.com`";
        session.error(written, format!("`{email}` is no address"), Some(hint.to_owned()));
    }
    fine.then_some(email)
}

fn directories_of(
    raw: Option<At<OneOrMany<raw::Directory>>>,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Option<Vec<Directory>> {
    let Some(At { place, value }) = raw else {
        return KNOWN.first().map(|known| vec![directory(known.name, known.url, known.staging)]);
    };
    let list = value?.0;
    if list.is_empty() {
        session.error(place, "no CA is left to ask", None);
        return None;
    }
    let read = |one: At<raw::Directory>| directory_of(one.value?, one.place, needs, session);
    // Each is read, so that each problem is told.
    let all: Vec<Option<Directory>> = list.into_iter().map(read).collect();
    let mut all: Vec<Directory> = all.into_iter().collect::<Option<_>>()?;
    // A host with several directories: each is called by its whole URL.
    let names: Vec<String> = all.iter().map(|it| it.name.clone()).collect();
    for one in &mut all {
        if names.iter().filter(|name| **name == one.name).count() > 1 {
            one.name = one.url.trim_start_matches("https://").to_owned();
        }
    }
    Some(all)
}

fn directory(name: &str, url: &str, staging: Option<&str>) -> Directory {
    Directory {
        name: name.to_owned(),
        url: url.to_owned(),
        staging: staging.map(str::to_owned),
        root: None,
        eab: None,
        profile: None,
    }
}

fn directory_of(
    raw: raw::Directory,
    place: Place,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Option<Directory> {
    let raw::Described { url, root, eab, profile, staging } = match raw {
        raw::Directory::Named(url) => {
            raw::Described { url: Some(url), ..raw::Described::default() }
        }
        raw::Directory::Described(described) => *described,
    };
    let written = url.as_ref().map_or(place, |url| url.place);
    let url = required(url, "url", place, "url: https://…/directory", session)?;
    let known = KNOWN.iter().find(|known| known.name == url || known.url == url);
    let mut made = match known {
        Some(known) => directory(known.name, known.url, known.staging),
        None => directory(url_host(&url, written, session)?, &url, None),
    };
    made.root = match root {
        Some(root) => Some(root_of(root, needs, session)?),
        None => None,
    };
    made.eab = match eab {
        Some(eab) => Some(eab_of(eab.value?, eab.place, session)?),
        None => None,
    };
    made.profile = profile.and_then(|it| it.value);
    if let Some(At { place, value: Some(url) }) = staging {
        url_host(&url, place, session)?;
        made.staging = Some(url);
    }
    if known.is_some_and(|known| known.eab) && made.eab.is_none() {
        let hint = format!("{{ url: {url}, eab: {{ key_id: …, hmac_key: \"${{file:…}}\" }} }}");
        session.error(written, format!("{url} wants an account of its own"), Some(hint));
        return None;
    }
    Some(made)
}

/// The host of a directory's URL, with its port if it has one: its name for metrics and logs.
fn url_host<'u>(url: &'u str, place: Place, session: &Session<'_>) -> Option<&'u str> {
    let rest = url.strip_prefix("https://").filter(|_| url.parse::<http::Uri>().is_ok());
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let host = host.filter(|host| gateway_policy::Authority::parse(host).is_ok());
    if host.is_none() {
        let names = || KNOWN.iter().map(|known| known.name);
        let hint = did_you_mean(url, names()).unwrap_or_else(|| {
            format!("a URL of https, or one of {}", names().collect::<Vec<_>>().join(", "))
        });
        session.error(place, format!("`{url}` is no CA"), Some(hint));
    }
    host
}

/// The certificates at a path of the policy, and where they are.
pub(crate) fn root_of(
    root: At<String>,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Option<(std::path::PathBuf, Vec<u8>)> {
    let path = beside(session.file, Path::new(&root.value?));
    needs.files.insert(path.clone());
    match session.world.read(&path) {
        Ok(pem) => match authority(&pem) {
            Ok(_) => Some((path, pem)),
            Err((message, hint)) => {
                session.error(root.place, format!("{}: {message}", path.display()), hint);
                None
            }
        },
        Err(why) => {
            let (message, hint) = unreadable(&path, &why, session.world);
            session.error(root.place, message, hint);
            None
        }
    }
}

fn eab_of(raw: raw::Eab, place: Place, session: &Session<'_>) -> Option<Eab> {
    let raw::Eab { key_id, hmac_key } = raw;
    let key_id = required(key_id, "eab.key_id", place, "as the CA gave it", session);
    let hmac_key = bytes_of(hmac_key, "eab.hmac_key", place, session);
    Some(Eab { key_id: key_id?, hmac_key: hmac_key? })
}

fn bytes_of(
    secret: Option<At<Secret>>,
    name: &str,
    place: Place,
    session: &Session<'_>,
) -> Option<SecretBytes> {
    let written = secret.as_ref().map_or(place, |secret| secret.place);
    let secret = required(secret, name, place, "\"${file:/run/secrets/…}\"", session)?;
    let bytes = SecretBytes::from_base64(&secret);
    if bytes.is_none() {
        session.error(written, format!("`{name}` is not base64"), None);
    }
    bytes
}

fn challenges_of(
    raw: Option<At<OneOrMany<raw::Challenge>>>,
    dns: Option<&Dns>,
    place: Place,
    Beside(hosts, listen): &Beside<'_>,
    session: &Session<'_>,
) -> Option<Vec<Challenge>> {
    let written = raw.as_ref().map_or(place, |raw| raw.place);
    let mut challenges: Vec<Challenge> = match raw {
        None if dns.is_some() => vec![Challenge::Dns01],
        None => vec![Challenge::TlsAlpn01, Challenge::Http01],
        Some(raw) => raw.value?.0.into_iter().filter_map(|one| Some(of_raw(one.value?))).collect(),
    };
    if challenges.contains(&Challenge::Dns01) && dns.is_none() {
        let hint = "dns: { hook: /etc/n8n-gateway/dns-hook }, or `rfc2136`";
        let message = "dns-01 needs somebody who publishes TXT records";
        session.error(written, message, Some(hint.to_owned()));
        return None;
    }
    if !challenges.contains(&Challenge::Dns01) && dns.is_some() {
        let hint = Some("challenges: [dns-01]".to_owned());
        session.warning(written, "`dns` is not used without dns-01", hint);
    }
    if listen.http.is_empty() {
        challenges.retain(|it| *it != Challenge::Http01);
    }
    let is_address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let address = hosts.and_then(|hosts| hosts.names().find(|host| is_address(host)));
    if let (Some(address), [Challenge::Dns01]) = (address, challenges.as_slice()) {
        let hint = Some("challenges: [tls-alpn-01, http-01]".to_owned());
        session.error(written, format!("`{address}` has no TXT record"), hint);
        return None;
    }
    if challenges.is_empty() {
        let hint = "challenges: [tls-alpn-01, http-01]; http-01 needs `listen.http`";
        let message = "there is no way to show control of the hosts";
        session.error(written, message, Some(hint.to_owned()));
        return None;
    }
    Some(challenges)
}

fn of_raw(raw: raw::Challenge) -> Challenge {
    match raw {
        raw::Challenge::TlsAlpn01 => Challenge::TlsAlpn01,
        raw::Challenge::Http01 => Challenge::Http01,
        raw::Challenge::Dns01 => Challenge::Dns01,
    }
}

fn dns_of(raw: raw::Dns, place: Place, session: &Session<'_>) -> Option<Dns> {
    let raw::Dns { hook, rfc2136, propagation } = raw;
    let publisher = match (hook, rfc2136) {
        (Some(hook), None) => {
            let program = beside(session.file, Path::new(&hook.value?));
            if session.world.is_out_of_reach(&program, Purpose::Run) {
                let message = format!("the running gateway may not run {}", program.display());
                session.error(hook.place, message, Some(START_ANEW.to_owned()));
            }
            Publisher::Hook(program)
        }
        (None, Some(At { place, value })) => {
            Publisher::Rfc2136(Box::new(rfc2136_of(value?, place, session)?))
        }
        (None, None) | (Some(_), Some(_)) => {
            session.error(place, "`dns` has one of `hook` and `rfc2136`", None);
            return None;
        }
    };
    let written = propagation.as_ref().map_or(place, |it| it.place);
    let propagation = propagation.and_then(|it| it.value).map_or(PROPAGATION, |Span(it)| it);
    if propagation > LONGEST_PROPAGATION {
        session.error(written, "no CA waits for so long", Some("at most `15m`".to_owned()));
        return None;
    }
    Some(Dns { publisher, propagation })
}

fn rfc2136_of(raw: raw::Rfc2136, place: Place, session: &Session<'_>) -> Option<Rfc2136> {
    let raw::Rfc2136 { server, zone, key_name, algorithm, secret } = raw;
    let written = server.as_ref().map_or(place, |server| server.place);
    let server = required(server, "rfc2136.server", place, "server: 192.0.2.53", session);
    let zone = required(zone, "rfc2136.zone", place, "zone: example.com", session);
    let key = match (key_name.and_then(|it| it.value), secret) {
        (None, None) => {
            let hint = "key_name: …, secret: \"${file:…}\"";
            let message =
                "updates are not signed: whoever can send from this address can send them";
            session.warning(place, message, Some(hint.to_owned()));
            None
        }
        (Some(name), secret) => {
            let secret = bytes_of(secret, "rfc2136.secret", place, session)?;
            let algorithm = match algorithm.and_then(|it| it.value) {
                Some(raw::TsigAlgorithm::HmacSha256) | None => TsigAlgorithm::Sha256,
                Some(raw::TsigAlgorithm::HmacSha384) => TsigAlgorithm::Sha384,
                Some(raw::TsigAlgorithm::HmacSha512) => TsigAlgorithm::Sha512,
            };
            Some(TsigKey { name, algorithm, secret })
        }
        (None, Some(secret)) => {
            session.error(secret.place, "a `secret` without a `key_name`", None);
            return None;
        }
    };
    let server = server?;
    let Some(server) = with_port(&server) else {
        session.error(written, format!("`{server}` is no host with a port"), None);
        return None;
    };
    Some(Rfc2136 { server, zone: zone?, key })
}

/// A name server with its port, 53 where none is written.
fn with_port(server: &str) -> Option<String> {
    let bare: Result<std::net::Ipv6Addr, _> = server.parse();
    if let Ok(address) = bare {
        return Some(format!("[{address}]:53"));
    }
    let parsed = gateway_policy::Authority::parse(server).ok()?;
    Some(format!("{}:{}", parsed.host, parsed.port.unwrap_or(53)))
}

/// The profile of each directory: its own, or that of all; and for an address the only kind that
/// Let's Encrypt issues.
fn with_profiles(
    mut directories: Vec<Directory>,
    profile: Option<&String>,
    hosts: Option<&Hosts>,
) -> Vec<Directory> {
    let is_address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let address = hosts.is_some_and(|hosts| hosts.names().any(is_address));
    for directory in &mut directories {
        let lets_encrypt = directory.url.ends_with(".api.letsencrypt.org/directory");
        let short = (address && lets_encrypt).then(|| "shortlived".to_owned());
        directory.profile = directory.profile.take().or_else(|| profile.cloned()).or(short);
    }
    directories
}

/// Names that no public CA issues for (RFC 6761, RFC 9476, and what routers give out).
const PRIVATE: [&str; 9] =
    ["localhost", "local", "internal", "test", "example", "invalid", "lan", "home", "arpa"];

fn warn_of_private_hosts(
    directories: &[Directory],
    place: Place,
    hosts: Option<&Hosts>,
    session: &Session<'_>,
) {
    let public = |it: &Directory| KNOWN.iter().any(|known| known.url == it.url);
    for host in hosts.into_iter().flat_map(Hosts::names) {
        let last = host.rsplit('.').next().unwrap_or(host);
        let private = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(IpAddr::V4(it)) => it.is_private() || it.is_loopback() || it.is_link_local(),
            Ok(IpAddr::V6(it)) => it.is_loopback() || it.is_unique_local(),
            Err(_) => !host.contains('.') || PRIVATE.contains(&last),
        };
        if private && directories.iter().all(public) {
            let hint = "`self_signed: true`, or a CA of your own under `directories`";
            let message = format!("no public CA issues for `{host}`");
            session.warning(place, message, Some(hint.to_owned()));
        }
    }
}

//! From the file's form to settings and a policy. Every field is taken apart by name, so that one
//! that is not handled does not compile.

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
};

use gateway_n8n::{Endpoints, Root, Surfaces};
use gateway_policy::{AnswerRules, Cdn, Clients, Hosts, Mode, Place, Policy, Trusted};
use serde::Deserialize;

use crate::{
    Admin, Answers, Backend, Listen, N8n, Needs, Problem, Settings, World,
    access::{Surroundings, access, bodies, networks_of},
    accounts,
    at::{At, Keyed, OneOrMany},
    attacks, audit, bans,
    de::{Reader, Session},
    grants::Authorities,
    limits::{self, Held},
    log,
    networks::{self, Networks, prefix},
    problem::did_you_mean,
    rates, raw,
    text::{AdminSocket, HostName, ListenAddress},
    tls::{self, Beside},
    webhooks,
    world::{Purpose, START_ANEW, beside},
    yaml,
};

/// A policy file that can be used.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the mechanism is told.
    pub settings: Settings,
    /// What is decided.
    pub policy: Policy,
    /// What must be watched for changes, the policy file itself not among it.
    pub needs: Needs,
    /// What its author should know.
    pub warnings: Vec<Problem>,
}

/// A policy file that cannot be used: everything that is wrong with it, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Reads the policy at `file`.
///
/// # Errors
///
/// Every problem at once.
pub fn load(file: &Path, world: &dyn World, answers: &Answers) -> Result<Config, Invalid> {
    let session = Session { file, world, problems: RefCell::default() };
    let text = world.read(file).map(String::from_utf8);
    let config = match text {
        Ok(Ok(text)) => compile(&text, answers, &session),
        Ok(Err(_)) => whole_file(&session, "not UTF-8".to_owned(), None),
        Err(why) if world.is_out_of_reach(file, Purpose::Read) => {
            whole_file(&session, why.to_string(), Some(START_ANEW.to_owned()))
        }
        Err(why) => whole_file(&session, why.to_string(), None),
    };
    let problems = session.problems.into_inner();
    match config {
        Some(config) if !problems.any_error() => {
            Ok(Config { warnings: problems.sorted(), ..config })
        }
        Some(_) | None => Err(Invalid(problems.sorted())),
    }
}

fn whole_file(session: &Session<'_>, message: String, hint: Option<String>) -> Option<Config> {
    let mut problems = session.problems.borrow_mut();
    problems.add(crate::Severity::Error, session.file, None, message, hint);
    None
}

#[expect(clippy::too_many_lines, reason = "one section of the file after the other")]
fn compile(text: &str, answers: &Answers, session: &Session<'_>) -> Option<Config> {
    let root = yaml::parse(text, session)?;
    let top = root.place;
    let raw::Policy {
        version,
        site,
        listen,
        tls,
        n8n,
        clients,
        networks,
        access: who,
        deny: denied,
        rate_limits,
        bans: banned,
        accounts: of_accounts,
        answers: answered,
        attacks: known,
        limits,
        webhooks: hooks,
        audit: audited,
        state,
        log,
        hardening,
        mode,
    } = raw::Policy::deserialize(Reader { node: &root, session }).ok()?;

    check_version(version.as_ref(), top, session);
    let mut needs = Needs::default();
    let hosts = hosts(site, top, session);
    let listen = listening(taken(listen), session);
    let tls = tls::tls(tls, top, &Beside(hosts.as_ref(), &listen), &mut needs, session);
    let (n8n, endpoints) = n8n_of(taken(n8n), session);
    let networks = networks::compile(networks, answers, &mut needs, session);
    let clients = clients_of(taken(clients), &networks, session);
    let (body, Held { connections, requests, memory, head, timeouts, min_rate }) =
        limits::limits(taken(limits), session);
    let surfaces = Surfaces::new(&endpoints);
    let around =
        Surroundings { endpoints: &endpoints, surfaces: &surfaces, networks: &networks, session };
    let mut of_sessions = Needs::default();
    let mut authorities = Authorities::new(&mut needs);
    let mut access = access(who, &around, &mut authorities);
    let (accounts, leaked_passwords) = accounts::accounts(
        taken(of_accounts),
        &around,
        &mut access,
        &mut authorities,
        &mut of_sessions,
    );
    let client_cas = authorities.into_list();
    needs.files.extend(of_sessions.files);
    check_vouching(&listen, &clients, !client_cas.is_empty(), top, session);
    let (deny, bodies) = (networks_of(denied, &around), bodies(body, &around));
    let limits = rates::rate_limits(rate_limits, &around);
    let (webhooks, proofs) = webhooks::webhooks(hooks, &around);
    let (bans, nftables) = bans::bans(taken(banned), &around);
    let attacks = attacks::attacks(taken(known), session);
    let settings = Settings {
        listen,
        tls: tls?,
        client_cas,
        n8n,
        connections,
        requests,
        memory,
        head,
        timeouts,
        min_rate,
        audit: audit::audit(audited, session),
        state: state_of(taken(state), session),
        log: log::log(taken(log), &mut needs, session),
        hardening: hardening.and_then(|it| it.value).unwrap_or_default(),
        leaked_passwords,
        nftables,
        proofs,
    };
    let (hosts, mode) = (hosts?, mode_of(mode));
    let answers = answers_of(taken(answered), mode);
    let bans = if mode == Mode::DryRun { bans.dry() } else { bans };
    let policy = Policy {
        hosts,
        clients,
        surfaces,
        deny,
        access,
        bodies,
        limits,
        bans,
        accounts,
        answers,
        attacks,
        webhooks,
        mode,
    };
    Some(Config { settings, policy, needs, warnings: Vec::new() })
}

fn state_of(raw: raw::State, session: &Session<'_>) -> PathBuf {
    let raw::State { dir } = raw;
    match dir.and_then(|dir| dir.value) {
        Some(dir) => beside(session.file, Path::new(&dir)),
        None => PathBuf::from("/var/lib/n8n-gateway"),
    }
}

fn answers_of(raw: raw::Answers, mode: Mode) -> AnswerRules {
    let raw::Answers { sandbox, frames } = raw;
    if mode == Mode::DryRun {
        return AnswerRules::UNTOUCHED;
    }
    AnswerRules {
        discreet: true,
        sandbox: sandbox.and_then(|it| it.value).unwrap_or(true),
        frames: !matches!(frames.and_then(|it| it.value), Some(raw::Frames::Anyone)),
    }
}

fn mode_of(raw: Option<At<raw::Mode>>) -> Mode {
    match raw.and_then(|mode| mode.value) {
        Some(raw::Mode::DryRun) => Mode::DryRun,
        Some(raw::Mode::Enforce) | None => Mode::Enforce,
    }
}

fn check_vouching(
    listen: &Listen,
    clients: &Clients,
    certificates: bool,
    top: Place,
    session: &Session<'_>,
) {
    let nobody_vouches = clients.trusted.proxies.is_empty() && clients.trusted.cdns.is_empty();
    // With the PROXY protocol the handshake is the client's own.
    if certificates && !nobody_vouches && !listen.proxy_protocol {
        let hint = "a proxy that only passes connections on speaks `listen.proxy_protocol`";
        let message = "`client_ca` asks whoever makes the handshake for a certificate: through \
                       `clients.trusted_proxies` that is the proxy, not the client";
        session.warning(top, message, Some(hint.to_owned()));
    }
    if listen.proxy_protocol && nobody_vouches {
        let hint = "name the load balancer under `clients.trusted_proxies`";
        let message = "`listen.proxy_protocol` is on and nobody is trusted to send a header";
        session.warning(top, message, Some(hint.to_owned()));
    }
}

/// A section, or its default where it is missing or broken.
pub(crate) fn taken<T: Default>(section: Option<At<T>>) -> T {
    section.and_then(|section| section.value).unwrap_or_default()
}

/// A value that must be there; one that is broken has been reported.
pub(crate) fn required<T>(
    field: Option<At<T>>,
    name: &str,
    place: Place,
    hint: &str,
    session: &Session<'_>,
) -> Option<T> {
    if field.is_none() {
        session.error(place, format!("`{name}` is missing"), Some(hint.to_owned()));
    }
    field.and_then(|field| field.value)
}

fn check_version(version: Option<&At<u64>>, top: Place, session: &Session<'_>) {
    match version {
        None => {
            let hint = "begin with `version: 1`";
            session.error(top, "`version` is missing", Some(hint.to_owned()));
        }
        Some(At { place, value: Some(version) }) if *version != 1 => {
            let message = format!("version {version} is not known to this gateway");
            session.error(*place, message, Some("write `version: 1`".to_owned()));
        }
        Some(_) => {}
    }
}

fn hosts(site: Option<At<raw::Site>>, top: Place, session: &Session<'_>) -> Option<Hosts> {
    let place = site.as_ref().map_or(top, |site| site.place);
    let raw::Site { host, webhook_host } =
        required(site, "site", top, "site: { host: n8n.example.com }", session)?;
    let HostName(host) = required(host, "site.host", place, "host: n8n.example.com", session)?;
    let webhook_host = webhook_host.and_then(|host| host.value).map(|host| host.0);
    Some(Hosts::new(&host, webhook_host.as_deref()))
}

fn addresses(
    raw: Option<At<OneOrMany<ListenAddress>>>,
    default: &str,
) -> Vec<std::net::SocketAddr> {
    match raw.and_then(|raw| raw.value) {
        Some(list) => list.0.into_iter().filter_map(|one| one.value).map(|it| it.0).collect(),
        None => default.parse().into_iter().collect(),
    }
}

fn listening(raw: raw::Listen, session: &Session<'_>) -> Listen {
    let raw::Listen { https, http, admin, proxy_protocol } = raw;
    if let Some(empty) =
        https.as_ref().filter(|it| it.value.as_ref().is_some_and(|it| it.0.is_empty()))
    {
        session.error(empty.place, "the gateway would listen nowhere", None);
    }
    Listen {
        https: addresses(https, "[::]:443"),
        http: addresses(http, "[::]:80"),
        admin: admin_of(admin, session),
        proxy_protocol: proxy_protocol.and_then(|it| it.value).unwrap_or(false),
    }
}

/// Where the operator's own listener is, unless the policy says otherwise.
pub const OPERATORS_SOCKET: &str = "/run/n8n-gateway/admin.sock";

fn admin_of(raw: Option<At<raw::Admin>>, session: &Session<'_>) -> Admin {
    let default = Admin::Unix(OPERATORS_SOCKET.into());
    let Some(At { place, value: Some(raw) }) = raw else { return default };
    let (address, token) = match raw {
        raw::Admin::Open(address) => (address.value, None),
        raw::Admin::Guarded(raw::GuardedAdmin { address, token }) => {
            let hint = "address: 0.0.0.0:9180";
            let address = required(address, "listen.admin.address", place, hint, session);
            (address, token.and_then(|token| token.value))
        }
    };
    match address.map(|address| address.0) {
        Some(AdminSocket::Unix(path)) => Admin::Unix(path),
        Some(AdminSocket::Tcp(address)) if token.is_none() && !address.ip().is_loopback() => {
            let hint = "admin: { address: …, token: \"${file:/run/secrets/admin}\" }";
            let message = "beyond loopback the admin listener needs a token";
            session.error(place, message, Some(hint.to_owned()));
            default
        }
        Some(AdminSocket::Tcp(address)) => Admin::Tcp(address, token),
        None => default,
    }
}

fn n8n_of(raw: raw::N8n, session: &Session<'_>) -> (N8n, Endpoints) {
    let raw::N8n { url, webhook_urls, endpoints } = raw;
    let local = Backend { host: "127.0.0.1".to_owned(), port: 5678 };
    let main = url.and_then(|url| url.value).map_or(local, |url| url.0);
    let webhooks = webhook_urls.and_then(|urls| urls.value).map(|urls| urls.0).unwrap_or_default();
    let webhooks = webhooks.into_iter().filter_map(|url| url.value).map(|url| url.0).collect();
    let endpoints = endpoints_of(endpoints, session);
    let readiness = format!("/{}/readiness", endpoints.segment(Root::Health));
    let settings = format!("/{}/settings", endpoints.segment(Root::Rest));
    (N8n { main, webhooks, readiness, settings }, endpoints)
}

fn endpoints_of(raw: Option<At<Keyed<String>>>, session: &Session<'_>) -> Endpoints {
    let mut endpoints = Endpoints::default();
    let Some(At { place, value }) = raw else { return endpoints };
    for (key, segment) in value.unwrap_or_default().0 {
        let (Some(name), Some(text)) = (key.value, segment.value) else { continue };
        if let Err(why) = endpoints.rename(&name, &text) {
            let known = || Endpoints::keys().map(|(key, variable)| format!("{key} ({variable})"));
            let hint = did_you_mean(&name, Endpoints::keys().map(|(key, _)| key))
                .or_else(|| Some(format!("endpoints: {}", known().collect::<Vec<_>>().join(", "))));
            let unknown = matches!(why, gateway_n8n::EndpointError::Unknown(_));
            let (place, hint) = if unknown { (key.place, hint) } else { (segment.place, None) };
            session.error(place, why.to_string(), hint);
        }
    }
    if let Err(why) = endpoints.distinct() {
        session.error(place, why.to_string(), None);
    }
    endpoints
}

fn clients_of(raw: raw::Clients, networks: &Networks, session: &Session<'_>) -> Clients {
    let raw::Clients { trusted_proxies, ipv6_prefix } = raw;
    let mut prefixes = Vec::new();
    let mut cdns = Vec::new();
    let list = trusted_proxies.and_then(|it| it.value).map(|it| it.0).unwrap_or_default();
    for At { place, value } in list {
        let Some(name) = value else { continue };
        if let Some(net) = prefix(&name) {
            prefixes.push(net);
        } else if let Some(named) = networks.prefixes.get(&name) {
            prefixes.extend(named);
        } else if let Some(cdn) = Cdn::named(&name) {
            cdns.push(cdn);
        } else {
            let cdns = Cdn::names().map(|name: &str| name);
            let known = networks.prefixes.keys().map(String::as_str).chain(cdns);
            let message = if networks.by_name.contains_key(&name) {
                format!("`{name}` is told by country or system, a proxy by its addresses")
            } else {
                format!("`{name}` is neither a prefix, a network nor a known CDN")
            };
            session.error(place, message, did_you_mean(&name, known));
        }
    }
    let ipv6_prefix = match ipv6_prefix {
        Some(At { place, value: Some(bits) }) if !(32..=128).contains(&bits) => {
            session.error(place, "an IPv6 client has a prefix of 32 to 128 bits", None);
            64
        }
        other => other.and_then(|it| it.value).unwrap_or(64),
    };
    Clients { trusted: Trusted { proxies: prefixes.into_iter().collect(), cdns }, ipv6_prefix }
}

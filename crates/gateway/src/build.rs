//! From settings to what the mechanism works with.

use std::{collections::HashMap, sync::Arc};

use gateway_certs::Served;
use gateway_config::Settings;
use gateway_edge::{
    Bounds, ClientAuthorities, Handshakes, HeadSize, MinVersion, TrustedAuthority, server_config,
};
use gateway_ledger::Limits;
use gateway_policy::{Pace, Policy};
use gateway_proxy::{AtOnce, Backend, Rules, Timeouts, Upstream, Upstreams};

use crate::{Arrivals, load};

pub(crate) fn tls(settings: &Settings, served: &Arc<Served>) -> anyhow::Result<Arc<Handshakes>> {
    let min_version = match settings.tls.min_version {
        gateway_config::TlsVersion::Tls12 => MinVersion::Tls12,
        gateway_config::TlsVersion::Tls13 => MinVersion::Tls13,
    };
    let authority = |it: &gateway_config::ClientCa| TrustedAuthority {
        id: it.id.clone(),
        certificates: it.certificates.clone(),
    };
    let clients = ClientAuthorities::new(settings.client_cas.iter().map(authority))?;
    let config = server_config(Arc::clone(served) as _, min_version, &clients)?;
    Ok(Arc::new(Handshakes { config, clients }))
}

/// What strangers are held to before anything is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many connections there may be.
    pub connections: Limits,
    /// How many handshakes may be under way.
    pub handshakes: Limits,
    /// How often connections may be made.
    pub arrivals: Arrivals,
    /// How much memory there is for all of it, in bytes.
    pub memory: u64,
    /// How long and how large what they send may be.
    pub bounds: Bounds,
}

pub(crate) fn terms(settings: &Settings) -> Terms {
    let gateway_config::Connections { total, per_client, handshakes, rate, rate_per_client } =
        settings.connections;
    let gateway_config::HeadSize { bytes, fields, target } = settings.head;
    let gateway_config::Timeouts { handshake, head, idle, body: stall, .. } = settings.timeouts;
    let pace = Pace { stall, rate: settings.min_rate };
    let size = HeadSize { bytes, fields, target };
    let bounds = Bounds { handshake, head, idle, pace, size, shared: false };
    Terms {
        connections: Limits { total, per_client },
        handshakes: Limits { total: handshakes, per_client },
        arrivals: Arrivals { total: rate, per_client: rate_per_client },
        memory: settings.memory.unwrap_or_else(load::ceiling),
        bounds,
    }
}

/// n8n's processes; those that were known keep what is known of them.
pub(crate) fn upstreams(settings: &Settings, known: &HashMap<Backend, Arc<Upstream>>) -> Upstreams {
    let upstream = |backend: &gateway_config::Backend| {
        let backend = Backend { host: backend.host.clone(), port: backend.port };
        known.get(&backend).cloned().unwrap_or_else(|| Arc::new(Upstream::new(backend)))
    };
    let webhooks = settings.n8n.webhooks.iter().map(upstream).collect();
    Upstreams::new(upstream(&settings.n8n.main), webhooks)
}

pub(crate) fn rules(
    revision: u64,
    settings: &Settings,
    policy: Policy,
    upstreams: Upstreams,
) -> Rules {
    let gateway_config::Timeouts { answer, body: stall, stream, tunnel, ping, .. } =
        settings.timeouts;
    let gateway_config::Requests { total, per_client } = settings.requests;
    let body = Pace { stall, rate: settings.min_rate };
    Rules {
        revision,
        policy,
        upstreams,
        proofs: settings.proofs.clone(),
        readiness: settings.n8n.readiness.clone(),
        settings: settings.n8n.settings.clone(),
        timeouts: Timeouts { answer, body, stream, tunnel, ping },
        requests: AtOnce { total, per_client },
        // A browser would refuse a developer's other services on the same name for a year.
        hsts: settings.tls.certificate != gateway_config::Certificate::SelfSigned,
    }
}

/// What webhooks were called of which nothing is asked any more, or elsewhere in the file.
pub(crate) fn webhooks_gone(before: &Policy, now: &Policy) -> Vec<Arc<str>> {
    let named = |policy: &Policy| {
        let all = policy.webhooks.iter().map(|(_, _, webhook, _)| Arc::clone(&webhook.name));
        all.collect::<std::collections::BTreeSet<_>>()
    };
    named(before).difference(&named(now)).cloned().collect()
}

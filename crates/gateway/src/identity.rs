//! The certificates that a policy asks for.

use std::path::PathBuf;

use gateway_certs::{Clock, Error, Identity, LocalAuthority, Wanted, from_pem};
use gateway_config::{Certificate, Settings, World};
use gateway_policy::Policy;
use gateway_telemetry::CertificateLoaded;
use zeroize::Zeroizing;

use crate::acme;

/// Names under which a developer reaches a machine of their own, besides the policy's hosts.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What a policy asks for, as far as it could be had at once.
#[derive(Debug)]
pub(crate) enum Obtained {
    /// One certificate for all hosts, and what there is to say of it.
    One(Box<Identity>, CertificateLoaded),
    /// One for each host, which somebody has to look after.
    Kept(Wanted),
}

/// Reads or makes the certificate, or says what is wanted of CAs.
pub(crate) fn obtain(
    settings: &Settings,
    policy: &Policy,
    world: &dyn World,
    clock: &dyn Clock,
) -> Result<Obtained, Error> {
    let mut hosts: Vec<String> = policy.hosts.names().map(str::to_owned).collect();
    let now = clock.now();
    let identity = match &settings.tls.certificate {
        Certificate::Acme(acme) => return Ok(Obtained::Kept(acme::wanted(acme, policy))),
        Certificate::Files { chain, key } => {
            let read =
                |path: &PathBuf| world.read(path).map_err(|why| Error::File(path.clone(), why));
            let read = |path: &PathBuf| read(path).map(Zeroizing::new);
            from_pem((chain, &read(chain)?), (key, &read(key)?))?
        }
        Certificate::SelfSigned => {
            let mut names = hosts.clone();
            names.extend(LOCAL_NAMES.map(str::to_owned));
            LocalAuthority::open(&settings.state)?.issue(&names, now)?
        }
    };
    let warnings = identity.warnings(&hosts, now);
    hosts.sort();
    let (issuer, not_after) = (identity.issuer.clone(), identity.not_after);
    let loaded = CertificateLoaded { hosts, issuer, not_after, warnings };
    Ok(Obtained::One(Box::new(identity), loaded))
}

/// Where a developer finds the authority to trust, if there is one.
pub(crate) fn authority(settings: &Settings) -> Option<PathBuf> {
    match settings.tls.certificate {
        Certificate::SelfSigned => Some(settings.state.join("ca.pem")),
        Certificate::Files { .. } | Certificate::Acme(_) => None,
    }
}

//! Where the public name leads, and how to be sure who answers there.

use std::{net::IpAddr, sync::Arc};

use gateway_config::Config;
use gateway_proxy::Backend;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use super::{Given, Step, own_authority};
use crate::{caller::Callee, resolve::look_up};

/// The public ways in.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// The host of the editor.
    pub(crate) host: String,
    /// The host of webhooks.
    pub(crate) hook_host: String,
    /// The editor over HTTPS.
    pub(crate) site: Callee,
    /// Webhooks over HTTPS.
    pub(crate) hooks: Callee,
    /// The site in clear.
    pub(crate) clear: Callee,
}

impl Way {
    /// Finds the way, and tells where the name leads.
    pub(super) async fn find(
        config: &Config,
        given: &Given,
        steps: &mut Vec<Step>,
    ) -> Option<Self> {
        let mut names = config.policy.hosts.names();
        let host = names.next()?.to_owned();
        let hook_host = names.next().unwrap_or(&host).to_owned();
        steps.push(named(&host, given).await);
        let roots = Arc::new(trusting(config));
        let https = |host: &str| {
            let bare = host.trim_matches(['[', ']']);
            let at = Backend {
                host: given.connect.clone().unwrap_or_else(|| bare.to_owned()),
                port: given.https_port,
            };
            let name = ServerName::try_from(bare.to_owned()).ok()?;
            let host = with_port(host, given.https_port, 443);
            Some(Callee { at, host, tls: Some((name, Arc::clone(&roots))) })
        };
        let clear = Callee {
            at: Backend {
                host: given.connect.clone().unwrap_or_else(|| host.clone()),
                port: given.http_port,
            },
            host: with_port(&host, given.http_port, 80),
            tls: None,
        };
        let (site, hooks) = (https(&host)?, https(&hook_host)?);
        Some(Self { site, hooks, clear, host, hook_host })
    }

    /// The origin of the editor's pages.
    pub(super) fn origin(&self) -> String {
        format!("https://{}", self.site.host)
    }
}

/// A host as browsers write it.
fn with_port(host: &str, port: u16, usual: u16) -> String {
    if port == usual { host.to_owned() } else { format!("{host}:{port}") }
}

async fn named(host: &str, given: &Given) -> Step {
    const NAME: &str = "name";
    let tried = format!("look up {host}");
    let aside = given.connect.as_ref().map(|it| format!("; {it} is asked in its place"));
    let aside = aside.unwrap_or_default();
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Step::fine(NAME, tried, format!("it is an address{aside}"));
    }
    match look_up(host).await {
        Ok(addresses) if addresses.iter().all(IpAddr::is_loopback) => Step::unknown(
            NAME,
            tried,
            format!("it leads to this machine alone{aside}"),
            "look from another machine as well: `/etc/hosts` may say otherwise than DNS does",
        ),
        Ok(addresses) => {
            let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            Step::fine(NAME, tried, format!("it leads to {}{aside}", all.join(", ")))
        }
        Err(why) if given.connect.is_some() => {
            let more = "without `--connect` the name has to be found";
            Step::unknown(NAME, tried, format!("{why}{aside}"), more)
        }
        Err(why) => Step::wrong(
            NAME,
            tried,
            why,
            format!("an A or AAAA record for {host} that leads to this machine"),
        ),
    }
}

/// Whom this machine trusts, and the policy's own authority if it has one.
fn trusting(config: &Config) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let own = own_authority(config).and_then(|file| CertificateDer::pem_file_iter(file).ok());
    for certificate in own.into_iter().flatten().flatten() {
        // One that cannot be used is told by the handshake.
        drop(roots.add(certificate));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    #[expect(clippy::expect_used, reason = "the provider's own versions")]
    let builder = builder.expect("versions that the provider has");
    builder.with_root_certificates(roots).with_no_client_auth()
}

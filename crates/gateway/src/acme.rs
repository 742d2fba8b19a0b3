//! From the policy's `tls.acme` to what the keeper of certificates works with.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use gateway_certs as certs;
use gateway_config as config;
use gateway_policy::Policy;
use gateway_proxy::Live;
use rustls_pki_types::CertificateDer;
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// What is wanted by a policy.
pub(crate) fn wanted(acme: &config::Acme, policy: &Policy) -> certs::Wanted {
    let bare = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        let address: Option<IpAddr> = host.parse().ok();
        address.map_or_else(|| host.to_owned(), |address| address.to_string())
    };
    certs::Wanted {
        hosts: policy.hosts.names().map(bare).collect(),
        acme: Arc::new(certs::Acme {
            email: acme.email.clone(),
            directories: acme.directories.iter().map(directory).collect(),
            challenges: acme.challenges.iter().copied().map(challenge).collect(),
            dns: acme.dns.as_ref().map(dns),
            key: match acme.key_type {
                config::KeyType::P256 => certs::KeyKind::P256,
                config::KeyType::P384 => certs::KeyKind::P384,
                config::KeyType::Rsa2048 => certs::KeyKind::Rsa2048,
                config::KeyType::Rsa4096 => certs::KeyKind::Rsa4096,
            },
        }),
    }
}

fn directory(it: &config::Directory) -> certs::Directory {
    let config::Directory { name, url, staging, root, eab, profile } = it.clone();
    certs::Directory {
        name,
        url,
        staging,
        roots: root.map(|(_, pem)| pem),
        external: eab.map(|config::Eab { key_id, hmac_key }| certs::ExternalAccount {
            id: key_id,
            key: hmac_key.expose().to_vec().into(),
        }),
        profile,
    }
}

fn challenge(it: config::Challenge) -> certs::Challenge {
    match it {
        config::Challenge::TlsAlpn01 => certs::Challenge::TlsAlpn01,
        config::Challenge::Http01 => certs::Challenge::Http01,
        config::Challenge::Dns01 => certs::Challenge::Dns01,
    }
}

fn dns(it: &config::Dns) -> certs::Dns {
    let publisher = match &it.publisher {
        config::Publisher::Hook(program) => certs::Publisher::Hook(program.clone()),
        config::Publisher::Rfc2136(server) => certs::Publisher::Update(Box::new(certs::Update {
            server: server.server.clone(),
            zone: server.zone.clone(),
            key: server.key.as_ref().map(|key| certs::TsigKey {
                name: key.name.clone(),
                algorithm: match key.algorithm {
                    config::TsigAlgorithm::Sha256 => certs::TsigAlgorithm::Sha256,
                    config::TsigAlgorithm::Sha384 => certs::TsigAlgorithm::Sha384,
                    config::TsigAlgorithm::Sha512 => certs::TsigAlgorithm::Sha512,
                },
                secret: key.secret.expose().to_vec().into(),
            }),
        })),
    };
    certs::Dns { publisher, propagation: it.propagation }
}

/// The gateway's own listener, looked at from outside.
#[derive(Debug)]
pub(crate) struct OwnListener {
    /// Where it listens, as this machine reaches it; the first that answers does.
    addresses: Vec<SocketAddr>,
    /// The rules in force, where peers may have to begin with a PROXY protocol header.
    vouching: Option<Live>,
}

impl OwnListener {
    pub(crate) fn new(address: SocketAddr, vouching: Option<Live>) -> Self {
        let (four, six) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
        let addresses: Vec<IpAddr> = match address.ip() {
            ip if !ip.is_unspecified() => vec![ip],
            IpAddr::V4(_) => vec![four],
            // Both families are listened to, and a container may have only the one.
            IpAddr::V6(_) => vec![four, six],
        };
        let port = address.port();
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        Self { addresses, vouching }
    }

    /// Whether the listener takes this machine for a load balancer.
    fn vouches(&self, own: IpAddr) -> bool {
        self.vouching.as_ref().is_some_and(|it| it.borrow().policy.clients.trusted.contains(own))
    }

    async fn see(&self, host: &str) -> io::Result<CertificateDer<'static>> {
        let mut stream = TcpStream::connect(self.addresses.as_slice()).await?;
        if self.vouches(stream.local_addr()?.ip()) {
            stream.write_all(b"PROXY UNKNOWN\r\n").await?;
        }
        certs::shown(stream, host).await
    }
}

impl certs::Mirror for OwnListener {
    fn look<'a>(&'a self, host: &'a str) -> certs::Look<'a> {
        Box::pin(self.see(host))
    }
}

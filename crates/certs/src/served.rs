//! What handshakes are answered with.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    Error, Identity,
    acme::{ACME_TLS, Challenges, address},
    local::temporary,
};

/// The certificates in use. They are swapped while handshakes go on; a new one replaces a good one
/// only when it is itself good.
pub struct Served {
    table: RwLock<Table>,
    challenges: Arc<Challenges>,
}

#[derive(Debug)]
struct Table {
    /// For a name that nobody has a certificate for, and where no name is asked for.
    fallback: Identity,
    /// By host, those that are issued one by one.
    hosts: Vec<(String, Shown)>,
}

/// A host's certificate.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The certificate.
    pub identity: Identity,
    /// Whether nobody trusts it: a CA has not issued one yet.
    pub temporary: bool,
}

impl Served {
    /// Begins with `identity` for every host.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let table = Table { fallback: identity, hosts: Vec::new() };
        Self { table: RwLock::new(table), challenges: Arc::default() }
    }

    /// Begins with a certificate for `hosts` that nobody trusts, made at `now` (seconds since 1970),
    /// until there is a better one.
    ///
    /// # Errors
    ///
    /// A host that cannot stand in a certificate.
    pub fn temporary(hosts: &[String], now: i64) -> Result<Self, Error> {
        temporary(hosts, now).map(Self::new)
    }

    /// What CAs ask for in handshakes and elsewhere.
    #[must_use]
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Serves `identity` for every host from the next handshake on.
    pub fn swap(&self, identity: Identity) {
        self.change(|table| *table = Table { fallback: identity, hosts: Vec::new() });
    }

    /// Serves these, each for its own host, from the next handshake on; the first for other names.
    pub(crate) fn swap_all(&self, hosts: Vec<(String, Shown)>) {
        self.change(|table| {
            if let Some((_, first)) = hosts.first() {
                table.fallback = first.identity.clone();
            }
            table.hosts = hosts;
        });
    }

    /// Serves `identity` for `host`, unless it is not asked for any more.
    pub(crate) fn swap_one(&self, host: &str, identity: &Identity) {
        self.change(|table| {
            for (at, (name, shown)) in table.hosts.iter_mut().enumerate() {
                if name == host {
                    *shown = Shown { identity: identity.clone(), temporary: false };
                    if at == 0 {
                        table.fallback = identity.clone();
                    }
                }
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The certificate for names that have none of their own.
    #[must_use]
    pub fn current(&self) -> Identity {
        self.table.read().unwrap_or_else(PoisonError::into_inner).fallback.clone()
    }

    /// The certificate of `host`, where it has one of its own.
    #[must_use]
    pub fn of(&self, host: &str) -> Option<Shown> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.hosts.iter().find(|(name, _)| name == host).map(|(_, shown)| shown.clone())
    }
}

impl Table {
    fn find(&self, name: Option<&str>) -> &Identity {
        let own = |(host, _): &&(String, Shown)| match name {
            Some(name) => host.eq_ignore_ascii_case(name),
            // Whoever goes to an address asks for no name (RFC 6066 3).
            None => address(host).is_some(),
        };
        self.hosts.iter().find(own).map_or(&self.fallback, |(_, shown)| &shown.identity)
    }
}

impl ResolvesServerCert for Served {
    // Whatever name is asked for: a host that the policy does not name is refused by the policy,
    // with a reason, and not by a broken handshake.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A CA that tries tls-alpn-01 offers this protocol alone (RFC 8737 3).
        if hello.alpn().is_some_and(|mut it| it.next() == Some(ACME_TLS) && it.next().is_none()) {
            return self.challenges.certificate(&hello);
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        Some(table.find(hello.server_name()).certified())
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.read().unwrap_or_else(PoisonError::into_inner).fmt(f)
    }
}

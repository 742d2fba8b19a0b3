//! What handshakes are answered with.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::Identity;

/// The certificate in use. It is swapped while handshakes go on; a new one replaces a good one
/// only when it is itself good.
pub struct Served {
    identity: RwLock<Identity>,
}

impl Served {
    /// Begins with `identity`.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity: RwLock::new(identity) }
    }

    /// Serves `identity` from the next handshake on.
    pub fn swap(&self, identity: Identity) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The certificate in use.
    #[must_use]
    pub fn current(&self) -> Identity {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Served {
    // Whatever name is asked for: a host that the policy does not name is refused by the policy,
    // with a reason, and not by a broken handshake.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.identity.read().unwrap_or_else(PoisonError::into_inner).certified())
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, Identity, LocalAuthority, from_pem};

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn an_authority_is_made_once_and_its_key_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = ["n8n.test".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        let made = LocalAuthority::open(folder.path()).unwrap().issue(&hosts, NOW).unwrap();
        assert!(hosts.iter().all(|host| made.covers(host)), "{made:?}");
        assert!(!made.covers("evil.test"));
        assert!(made.warnings(&hosts, NOW).is_empty());
        assert_eq!(made.warnings(&["other.test".to_owned()], NOW + 366 * 86_400).len(), 2);
        let first = std::fs::read(folder.path().join("ca.pem")).unwrap();
        LocalAuthority::open(folder.path()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("ca.pem")).unwrap(), first);
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn files_are_checked_before_they_are_served() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            LocalAuthority::open(folder.path()).unwrap();
        }
        let load = |chain: (&tempfile::TempDir, &str),
                    key: (&tempfile::TempDir, &str)|
         -> Result<Identity, Error> {
            let (chain, key) = (chain.0.path().join(chain.1), key.0.path().join(key.1));
            let (certificate, secret) =
                (std::fs::read(&chain).unwrap(), std::fs::read(&key).unwrap());
            from_pem((&chain, &certificate), (&key, &secret))
        };
        assert!(load((&one, "ca.pem"), (&one, "ca.key")).is_ok());
        let mixed = load((&one, "ca.pem"), (&two, "ca.key"));
        assert!(matches!(mixed, Err(Error::Mismatch)), "{mixed:?}");
        let swapped = load((&one, "ca.key"), (&one, "ca.pem"));
        assert!(matches!(swapped, Err(Error::Content(..))), "{swapped:?}");
    }
}

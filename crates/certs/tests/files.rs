//! Certificates made here, and certificates in files.

use gateway_certs::{Error, Identity, LocalAuthority, from_pem};

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
        let (certificate, secret) = (std::fs::read(&chain).unwrap(), std::fs::read(&key).unwrap());
        from_pem((&chain, &certificate), (&key, &secret))
    };
    assert!(load((&one, "ca.pem"), (&one, "ca.key")).is_ok());
    let mixed = load((&one, "ca.pem"), (&two, "ca.key"));
    assert!(matches!(mixed, Err(Error::Mismatch)), "{mixed:?}");
    let swapped = load((&one, "ca.key"), (&one, "ca.pem"));
    assert!(matches!(swapped, Err(Error::Content(..))), "{swapped:?}");
}

//! The gateway's own secret, and what is made with it: accounts that nobody can read, and cookies
//! that nobody can forge.

use std::{fmt, fs, io, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use aws_lc_rs::{hmac, rand};
use gateway_policy::{DEVICE_LASTS, Timestamp};
use zeroize::Zeroize;

/// An account, as a keyed hash: without the gateway's secret nobody can tell which.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Account(pub u64);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many bytes the secret has.
const LENGTH: usize = 32;

/// How many accounts one device is remembered for.
const ACCOUNTS: usize = 4;

/// The file in `state.dir`.
const FILE: &str = "gateway.key";

/// The gateway's secret.
pub struct Key {
    accounts: hmac::Key,
    devices: hmac::Key,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    /// The secret in `folder`; made there if there is none yet.
    ///
    /// # Errors
    ///
    /// A folder or a file that can be neither read nor written, or a file that is no secret.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let mut secret = match fs::read(&path) {
            Ok(secret) if secret.len() == LENGTH => secret,
            Ok(_) => {
                let why = format!("{} is not {LENGTH} bytes long: remove it", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => create(folder, &path)?,
            Err(why) => return Err(why),
        };
        let key = Self::from_bytes(&secret);
        secret.zeroize();
        Ok(key)
    }

    /// A secret that is forgotten when the process ends.
    ///
    /// # Errors
    ///
    /// A machine without randomness.
    pub fn passing() -> io::Result<Self> {
        let mut secret = random()?;
        let key = Self::from_bytes(&secret);
        secret.zeroize();
        Ok(key)
    }

    fn from_bytes(secret: &[u8]) -> Self {
        // One secret for each purpose, so that no hash of the one is ever a signature of the other.
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived =
            |purpose: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, purpose).as_ref());
        Self { accounts: derived(b"accounts"), devices: derived(b"devices") }
    }

    /// The account called `name`, as n8n looks it up.
    #[must_use]
    pub fn account(&self, name: &str) -> Account {
        let tag = hmac::sign(&self.accounts, name.as_bytes());
        let first = tag.as_ref().first_chunk().copied().unwrap_or_default();
        Account(u64::from_be_bytes(first))
    }

    /// The accounts that a device cookie's value vouches for at `now`; none if it was not made
    /// here, or too long ago.
    #[must_use]
    pub fn device(&self, cookie: &str, now: Timestamp) -> Vec<Account> {
        self.verified(cookie, now).unwrap_or_default()
    }

    /// A device, as a keyed hash: however its cookie is spelled, it is one.
    #[must_use]
    pub fn device_tag(&self, cookie: &str) -> u64 {
        let signed = cookie.rsplit_once('.').map_or(cookie, |(signed, _)| signed);
        self.account(signed).0
    }

    fn verified(&self, cookie: &str, now: Timestamp) -> Option<Vec<Account>> {
        let (signed, tag) = cookie.rsplit_once('.')?;
        if tag.bytes().any(|it| !matches!(it, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        hmac::verify(&self.devices, signed.as_bytes(), &unhex(tag)?).ok()?;
        let (made, accounts) = signed.split_once('.')?;
        let made: i64 = made.parse().ok()?;
        let age = now.since(Timestamp(made));
        let accounts = accounts.split('-').take(ACCOUNTS);
        let accounts = accounts.map(|it| u64::from_str_radix(it, 16).map(Account));
        (age < DEVICE_LASTS).then(|| accounts.filter_map(Result::ok).collect())
    }

    /// A cookie's value for a device that has just signed in to `account`, and was known before
    /// for the accounts that `before` vouches for.
    #[must_use]
    pub fn sign_device(&self, account: Account, before: &[Account], now: Timestamp) -> String {
        let others = before.iter().filter(|it| **it != account).take(ACCOUNTS - 1);
        let all: Vec<String> =
            std::iter::once(&account).chain(others).map(ToString::to_string).collect();
        let signed = format!("{}.{}", now.0, all.join("-"));
        let tag = hmac::sign(&self.devices, signed.as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{signed}.{tag}")
    }
}

fn random() -> io::Result<[u8; LENGTH]> {
    let mut secret = [0; LENGTH];
    rand::fill(&mut secret).map_err(|_| io::Error::other("no randomness"))?;
    Ok(secret)
}

/// Writes a new secret, whole or not at all.
fn create(folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
    fs::create_dir_all(folder)?;
    let mut secret = random()?;
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let kept = secret.to_vec();
    secret.zeroize();
    Ok(kept)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|it| u8::from_str_radix(std::str::from_utf8(it).ok()?, 16).ok()).collect()
}

/// A number between 0 and 1 that nobody can guess.
pub(crate) fn chance() -> f64 {
    let mut bytes = [0; 4];
    if rand::fill(&mut bytes).is_err() {
        return 0.0;
    }
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let first = Key::in_folder(folder.path()).unwrap().account("a@b.c");
        assert_eq!(Key::in_folder(folder.path()).unwrap().account("a@b.c"), first);
        assert_ne!(Key::passing().unwrap().account("a@b.c"), first);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(Key::in_folder(folder.path()).is_err());
    }

    #[test]
    fn a_device_is_known_for_its_accounts_and_for_its_time() {
        let key = Key::passing().unwrap();
        let (now, later) = (Timestamp(1_000), Timestamp(1_000) + DEVICE_LASTS);
        let [a, b] = ["a", "b"].map(|name| key.account(name));
        let cookie = key.sign_device(a, &[], now);
        assert_eq!(key.device(&cookie, now), [a]);
        assert_eq!(key.device(&cookie, later), []);
        let both = key.sign_device(b, &key.device(&cookie, now), now);
        assert_eq!(key.device(&both, now), [b, a]);
        let many: Vec<_> = (0..9).map(Account).collect();
        assert_eq!(key.device(&key.sign_device(a, &many, now), now).len(), ACCOUNTS);
    }

    #[test]
    fn a_forged_device_is_nobodys() {
        let key = Key::passing().unwrap();
        let now = Timestamp(1_000);
        let cookie = key.sign_device(key.account("a"), &[], now);
        for forged in [
            cookie.replacen('1', "2", 1),
            cookie.split_at(cookie.len() - 2).0.to_owned(),
            format!("{cookie}00"),
            cookie.to_uppercase(),
            String::new(),
            "....".to_owned(),
            "1.2.é".to_owned(),
        ] {
            assert_eq!(key.device(&forged, now), [], "{forged}");
        }
        assert_eq!(Key::passing().unwrap().device(&cookie, now), []);
    }
}

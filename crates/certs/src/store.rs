//! What is kept in the state folder: for each host a file with its key and certificate and a file
//! with what is to be remembered of it, and the accounts at the CAs. A person can read all of it.
//!
//! Every file is written whole or not at all. What is not as it should be is set aside under
//! another name and never in the way.

mod record;

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use zeroize::Zeroizing;

pub(crate) use self::record::{OpenOrder, Record};
use crate::{Error, Identity, from_pem};

/// The folder `certificates` of a gateway's state.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// Held as long as this gateway is the one that orders.
    lock: Mutex<Option<File>>,
}

/// A file that was set aside, and why.
#[derive(Clone, Debug)]
pub(crate) struct SetAside {
    pub(crate) file: PathBuf,
    pub(crate) why: String,
}

/// What was found, and what was set aside on the way.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) value: Option<T>,
    pub(crate) aside: Option<SetAside>,
}

impl Store {
    /// The store in `state`, the gateway's state folder. It is made when something is written.
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join("certificates"), lock: Mutex::default() }
    }

    /// Whether this gateway is the one that orders: of several on one store, the first.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written.
    pub(crate) fn is_ours(&self) -> Result<bool, Error> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(true);
        }
        self.make_folders()?;
        let path = self.folder.join("lock");
        let fault = |why| Error::File(path.clone(), why);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => *held = Some(file),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(why)) => return Err(fault(why)),
        }
        Ok(true)
    }

    /// The key and certificate of `host`.
    pub(crate) fn identity(&self, host: &str) -> Found<Identity> {
        let path = self.pem(host);
        Self::read(&path, |bytes| {
            let identity = from_pem((&path, bytes), (&path, bytes)).map_err(|why| chain(&why))?;
            if identity.covers(host) { Ok(identity) } else { Err(format!("not for {host}")) }
        })
    }

    /// When the file of `host` was last written.
    pub(crate) fn written(&self, host: &str) -> Option<std::time::SystemTime> {
        fs::metadata(self.pem(host)).and_then(|it| it.modified()).ok()
    }

    /// Keeps the key and certificate of `host`, both PEM.
    pub(crate) fn keep_identity(&self, host: &str, chain: &str, key: &str) -> Result<(), Error> {
        let both = Zeroizing::new(format!("{}\n{}\n", key.trim(), chain.trim()));
        self.write(&self.pem(host), &both)
    }

    /// What is remembered of `host`.
    pub(crate) fn record(&self, host: &str) -> Found<Record> {
        Self::read(&self.json(host), parsed)
    }

    pub(crate) fn keep_record(&self, host: &str, record: &Record) -> Result<(), Error> {
        self.write(&self.json(host), &text(record))
    }

    /// The account at the CA with the directory `url`.
    pub(crate) fn account<T: serde::de::DeserializeOwned>(&self, url: &str) -> Found<T> {
        Self::read(&self.account_file(url), parsed)
    }

    pub(crate) fn keep_account(
        &self,
        url: &str,
        account: &impl serde::Serialize,
    ) -> Result<(), Error> {
        self.write(&self.account_file(url), &text(account))
    }

    /// Sets an account aside that its CA does not know any more.
    pub(crate) fn forget_account(&self, url: &str) {
        // If it cannot be, the next one is written over it.
        drop(set_aside(&self.account_file(url), "the CA does not know this account".to_owned()));
    }

    fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Found<T> {
        match fs::read(path) {
            // There may be a key in it.
            Ok(bytes) => match parse(&Zeroizing::new(bytes)) {
                Ok(value) => Found { value: Some(value), aside: None },
                Err(why) => Found { value: None, aside: Some(set_aside(path, why)) },
            },
            Err(why) if why.kind() == io::ErrorKind::NotFound => Found { value: None, aside: None },
            // It may be readable tomorrow: it stays where it is.
            Err(why) => {
                let why = why.to_string();
                Found { value: None, aside: Some(SetAside { file: path.to_owned(), why }) }
            }
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        self.make_folders()?;
        whole(path, 0o600, text)
    }

    fn make_folders(&self) -> Result<(), Error> {
        let accounts = self.folder.join("accounts");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&accounts);
        made.map_err(|why| Error::File(accounts, why))
    }

    fn pem(&self, host: &str) -> PathBuf {
        self.folder.join(format!("{}.pem", file_name(host)))
    }

    fn json(&self, host: &str) -> PathBuf {
        self.folder.join(format!("{}.json", file_name(host)))
    }

    fn account_file(&self, url: &str) -> PathBuf {
        let bare = url.strip_prefix("https://").unwrap_or(url);
        self.folder.join("accounts").join(format!("{}.json", file_name(bare)))
    }
}

/// Writes a file whole or not at all: under another name, to the disk, then in its place.
pub(crate) fn whole(path: &Path, mode: u32, text: &str) -> Result<(), Error> {
    let mut half = path.as_os_str().to_owned();
    half.push(".new");
    let half = PathBuf::from(half);
    let written = (|| {
        // What a killed process left there may have another's mode.
        drop(fs::remove_file(&half));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&half)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&half, path)?;
        // The name is in the folder only when the folder is on the disk as well.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    })();
    if written.is_err() {
        drop(fs::remove_file(&half));
    }
    written.map_err(|why| Error::File(path.to_owned(), why))
}

/// Moves a file out of the way; the one that was there before it goes.
fn set_aside(path: &Path, why: String) -> SetAside {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".broken");
    let why = match fs::rename(path, &aside) {
        Ok(()) => why,
        Err(also) => format!("{why}; it could not be moved: {also}"),
    };
    SetAside { file: path.to_owned(), why }
}

/// A host or a URL as the name of a file.
fn file_name(name: &str) -> String {
    let fit = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-');
    let mapped = name.chars().map(|it| if fit(it) { it.to_ascii_lowercase() } else { '_' });
    let name: String = mapped.take(200).collect();
    name.trim_start_matches('.').to_owned()
}

fn parsed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|why| why.to_string())
}

fn text(value: &impl serde::Serialize) -> Zeroizing<String> {
    Zeroizing::new(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// An error with what caused it, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |it| it.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn identity(host: &str) -> (String, String) {
        let key = crate::KeyKind::P256.generate().unwrap();
        let params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn what_is_kept_is_found_again_and_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        assert!(store.identity("n8n.test").value.is_none());
        let (chain, key) = identity("n8n.test");
        store.keep_identity("n8n.test", &chain, &key).unwrap();
        assert!(store.identity("n8n.test").value.unwrap().covers("n8n.test"));
        let record = Record { failures: 3, ..Record::default() };
        store.keep_record("n8n.test", &record).unwrap();
        assert_eq!(store.record("n8n.test").value.unwrap().failures, 3);
        for file in ["n8n.test.pem", "n8n.test.json"] {
            let file = folder.path().join("certificates").join(file);
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_broken_or_foreign_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (chain, key) = identity("other.test");
        for half in [
            key.split_at(40).0,
            "",
            &format!("{key}{chain}"),
            &format!("{}{chain}", identity("n8n.test").1),
        ] {
            store.make_folders().unwrap();
            fs::write(store.pem("n8n.test"), half).unwrap();
            let found = store.identity("n8n.test");
            assert!(found.value.is_none() && found.aside.is_some(), "{half}");
            assert!(!store.pem("n8n.test").exists(), "out of the way: {:?}", found.aside);
            assert!(folder.path().join("certificates/n8n.test.pem.broken").exists());
        }
        fs::write(store.json("n8n.test"), "{\"failures\": ").unwrap();
        assert!(store.record("n8n.test").aside.is_some());
        assert!(store.record("n8n.test").aside.is_none(), "once");
    }

    #[test]
    fn one_of_two_gateways_orders() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Store::new(folder.path()), Store::new(folder.path()));
        assert!(one.is_ours().unwrap() && one.is_ours().unwrap());
        assert!(!two.is_ours().unwrap());
        drop(one);
        assert!(two.is_ours().unwrap());
    }

    #[test]
    fn no_name_leaves_the_folder() {
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(file_name("2001:db8::1"), "2001_db8__1");
        assert_eq!(
            file_name("acme-v02.api.letsencrypt.org/directory"),
            "acme-v02.api.letsencrypt.org_directory"
        );
    }
}

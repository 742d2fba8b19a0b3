//! Whether the files of a policy say what they said before.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Larger files (country databases) are told by their metadata instead of their content.
const READ_UP_TO: u64 = 1 << 20;

/// The content of a policy and of what it refers to, as a hash. Content and not time: bind mounts
/// and editors that rename defeat the file system's own notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(policy: &Path, others: &BTreeSet<PathBuf>) -> Self {
        let mut hash = Sha256::new();
        for file in std::iter::once(policy).chain(others.iter().map(PathBuf::as_path)) {
            hash.update(file.as_os_str().as_encoded_bytes());
            let Ok(about) = fs::metadata(file) else {
                hash.update([0]);
                continue;
            };
            if about.len() <= READ_UP_TO {
                hash.update(fs::read(file).unwrap_or_default());
            } else {
                for number in [about.ino(), about.len()] {
                    hash.update(number.to_be_bytes());
                }
                hash.update(about.mtime().to_be_bytes());
                hash.update(about.mtime_nsec().to_be_bytes());
            }
        }
        Self(hash.finalize().into())
    }
}

/// The first digits of a file's SHA-256, for people to compare.
pub(crate) fn short_hash(file: &Path) -> String {
    let digest = Sha256::digest(fs::read(file).unwrap_or_default());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (policy, list) = (folder.path().join("p"), folder.path().join("l"));
        let others = BTreeSet::from([list.clone()]);
        let now = || Fingerprint::of(&policy, &others);
        fs::write(&policy, "a").unwrap();
        let first = now();
        fs::write(&list, "x").unwrap();
        let second = now();
        assert_ne!(first, second);
        // An editor that renames a new file into place.
        fs::write(folder.path().join("new"), "a").unwrap();
        fs::rename(folder.path().join("new"), &policy).unwrap();
        assert_eq!(second, now());
    }
}

//! What was read, and whether it still stands there: the files of a policy as they were at the
//! moment of reading, so that a change between two looks is never lost.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use gateway_config::{Purpose, World};
use sha2::{Digest, Sha256};

/// Larger files (country databases) are told by their metadata instead of their content.
const READ_UP_TO: u64 = 1 << 20;

/// A file as it was. Content and not time: bind mounts and editors that rename defeat the file
/// system's own notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It could not be read.
    Missing,
    /// A hash of its content.
    Content([u8; 32]),
    /// Inode, length, seconds and nanoseconds of its last change.
    Metadata(u64, u64, i64, i64),
}

/// Files and how they were.
pub(crate) type Marks = BTreeMap<PathBuf, Mark>;

/// How `path` is now.
fn look(path: &Path) -> Mark {
    match fs::metadata(path) {
        Err(_) => Mark::Missing,
        Ok(it) if it.len() > READ_UP_TO => {
            Mark::Metadata(it.ino(), it.len(), it.mtime(), it.mtime_nsec())
        }
        Ok(_) => fs::read(path).map_or(Mark::Missing, |bytes| content(&bytes)),
    }
}

fn content(bytes: &[u8]) -> Mark {
    Mark::Content(Sha256::digest(bytes).into())
}

/// Whether any of the files is no longer as it was.
pub(crate) fn changed(marks: &Marks) -> bool {
    marks.iter().any(|(path, mark)| look(path) != *mark)
}

/// The first digits of a policy's SHA-256, for people to compare.
pub(crate) fn short_hash(policy: &[u8]) -> String {
    Sha256::digest(policy).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// A world that remembers what was read of it, and how it was.
pub(crate) struct Recorder<'w> {
    world: &'w dyn World,
    /// A file that is read from here instead of from the world.
    instead: Option<(&'w Path, &'w [u8])>,
    marks: RefCell<Marks>,
    policy: RefCell<Vec<u8>>,
}

impl<'w> Recorder<'w> {
    pub(crate) fn new(world: &'w dyn World) -> Self {
        Self { world, instead: None, marks: RefCell::default(), policy: RefCell::default() }
    }

    /// Reads `policy` from `text`, and everything else from the world.
    pub(crate) fn with(world: &'w dyn World, policy: &'w Path, text: &'w [u8]) -> Self {
        Self { instead: Some((policy, text)), ..Self::new(world) }
    }

    /// What was read first, and how everything was that was read.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Marks) {
        (self.policy.into_inner(), self.marks.into_inner())
    }
}

impl World for Recorder<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some((_, text)) = self.instead.filter(|(instead, _)| *instead == path) {
            return Ok(text.to_vec());
        }
        // Before it is read: what changes in between is then seen as a change.
        let large = match look(path) {
            mark @ Mark::Metadata(..) => Some(mark),
            Mark::Missing | Mark::Content(_) => None,
        };
        let read = self.world.read(path);
        let as_read = || read.as_ref().map_or(Mark::Missing, |bytes| content(bytes));
        let mark = large.unwrap_or_else(as_read);
        let mut marks = self.marks.borrow_mut();
        if marks.is_empty() {
            *self.policy.borrow_mut() = read.as_ref().map(Clone::clone).unwrap_or_default();
        }
        marks.insert(path.to_owned(), mark);
        read
    }

    /// Not watched: what is read in part is too large to be looked at again and again.
    fn beginning(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        self.world.beginning(path, bytes)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.world.variable(name)
    }

    fn is_out_of_reach(&self, path: &Path, purpose: Purpose) -> bool {
        self.world.is_out_of_reach(path, purpose)
    }
}

#[cfg(test)]
mod tests {
    use gateway_config::System;

    use super::*;

    #[test]
    fn content_counts_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (policy, list) = (folder.path().join("p"), folder.path().join("l"));
        fs::write(&policy, "a").unwrap();
        let recorder = Recorder::new(&System);
        recorder.read(&policy).unwrap();
        assert!(recorder.read(&list).is_err());
        let (text, marks) = recorder.into_parts();
        assert_eq!(text, b"a");
        assert!(!changed(&marks));
        // An editor that renames a new file into place.
        fs::write(folder.path().join("new"), "a").unwrap();
        fs::rename(folder.path().join("new"), &policy).unwrap();
        assert!(!changed(&marks));
        fs::write(&list, "x").unwrap();
        assert!(changed(&marks), "a file that was missing has come");
    }

    #[test]
    fn a_change_between_reading_and_looking_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("p");
        for size in [1, 2 << 20] {
            fs::write(&policy, vec![b'a'; size]).unwrap();
            let recorder = Recorder::new(&System);
            recorder.read(&policy).unwrap();
            fs::write(&policy, vec![b'b'; size + 1]).unwrap();
            assert!(changed(&recorder.into_parts().1), "{size}");
        }
    }
}

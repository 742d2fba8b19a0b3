//! The world as a confined process sees it: what stands outside of its folders is told apart from
//! what merely cannot be read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gateway_config::{Purpose, System, World};
use gateway_telemetry::OutOfReach;

use super::files::{Paths, Right};

/// What names are resolved by. These stand in a folder that holds too much to be allowed, so each
/// is allowed by itself, and whoever puts another in its place takes it away from this process.
const RESOLVER: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

const REPLACED: &str = "it was replaced, and names may not be found: `n8n-gateway upgrade` or a \
     restart takes the new one in";

/// What can be reached since the process was confined.
#[derive(Clone, Debug)]
pub(crate) struct Reach(Option<Vec<(PathBuf, Right)>>);

impl Reach {
    /// Everything.
    pub(crate) fn unbounded() -> Self {
        Self(None)
    }

    pub(super) fn bounded(paths: &Paths) -> Self {
        Self(Some(paths.iter().map(|it| (resolved(&it.path), it.right)).collect()))
    }

    /// What of name resolution was replaced since, so that it cannot be read any more.
    pub(crate) fn lost(&self) -> Vec<OutOfReach> {
        if self.0.is_none() {
            return Vec::new();
        }
        let denied = |file: &str| {
            let why = fs::File::open(file).err();
            why.is_some_and(|why| why.kind() == io::ErrorKind::PermissionDenied)
        };
        let lost = RESOLVER.into_iter().filter(|file| denied(file));
        lost.map(|file| OutOfReach { file: file.to_owned(), hint: REPLACED }).collect()
    }
}

/// Where `path` leads, as far as it can be followed.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
        match (folder, path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    })
}

impl World for Reach {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        System.read(path)
    }

    fn beginning(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        System.beginning(path, bytes)
    }

    fn variable(&self, name: &str) -> Option<String> {
        System.variable(name)
    }

    fn is_out_of_reach(&self, path: &Path, purpose: Purpose) -> bool {
        let Some(allowed) = &self.0 else { return false };
        let path = resolved(path);
        let serves = |right: Right| match purpose {
            Purpose::Read => right.reads(),
            Purpose::Run => right.runs(),
        };
        !allowed.iter().any(|(under, right)| serves(*right) && path.starts_with(under))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_told_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        for one in [&inside, &outside] {
            fs::create_dir(one).unwrap();
            fs::write(one.join("file"), "").unwrap();
        }
        std::os::unix::fs::symlink(outside.join("file"), inside.join("link")).unwrap();
        let reach = Reach(Some(vec![(resolved(&inside), Right::Read)]));
        let out = |path: &str| reach.is_out_of_reach(&folder.path().join(path), Purpose::Read);
        assert!(!out("in/file") && !out("in/new") && out("out/file") && out("in/link"));
        assert!(reach.is_out_of_reach(&inside.join("file"), Purpose::Run));
        assert!(!Reach::unbounded().is_out_of_reach(&outside, Purpose::Run));
    }
}

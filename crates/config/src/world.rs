//! What a policy refers to outside of its file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

/// Files and environment, as an argument: tests bring their own.
pub trait World {
    /// The file's content.
    ///
    /// # Errors
    ///
    /// As [`std::fs::read`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// At most the first `bytes` of the file's content: it may be too large to be read.
    ///
    /// # Errors
    ///
    /// As [`std::fs::read`].
    fn beginning(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        let mut content = self.read(path)?;
        content.truncate(bytes);
        Ok(content)
    }

    /// The variable's value, if it is set to text.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether this process gave up the way to `path` when it started, whatever the file's own
    /// permissions are: only another start leads there.
    fn is_out_of_reach(&self, _path: &Path, _purpose: Purpose) -> bool {
        false
    }
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be read.
    Read,
    /// To be run.
    Run,
}

/// What leads to a file that is out of reach.
pub(crate) const START_ANEW: &str = "the gateway keeps to the folders that it knew when it \
     started: `n8n-gateway upgrade` or a restart takes this one in";

/// Why a file could not be read, in words, and a hint where there is one.
pub(crate) fn unreadable(
    path: &Path,
    why: &io::Error,
    world: &dyn World,
) -> (String, Option<String>) {
    let path_shown = path.display();
    let denied = why.kind() == io::ErrorKind::PermissionDenied;
    if denied && world.is_out_of_reach(path, Purpose::Read) {
        let hint = Some(START_ANEW.to_owned());
        return (format!("{path_shown}: out of the running gateway's reach"), hint);
    }
    (format!("{path_shown}: {why}"), None)
}

/// The machine itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl World for System {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn beginning(&self, path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
        let (mut content, bytes) = (Vec::new(), u64::try_from(bytes).unwrap_or(u64::MAX));
        File::open(path)?.take(bytes).read_to_end(&mut content)?;
        Ok(content)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// The last good answer for each DNS name of a policy.
pub type Answers = BTreeMap<String, Vec<IpAddr>>;

/// What a policy depends on and must be looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files whose change changes the policy.
    pub files: BTreeSet<PathBuf>,
    /// DNS names and how often they are asked for.
    pub names: BTreeMap<String, Duration>,
}

/// `${file:…}` or `${env:…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    File(PathBuf),
    Variable(String),
}

impl Reference {
    /// The reference that `text` is, if it is one.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, String> {
        if !text.contains("${") {
            return Ok(None);
        }
        let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let parts =
            inner.filter(|inner| !inner.contains("${")).and_then(|inner| inner.split_once(':'));
        match parts {
            Some(("file", path)) if !path.is_empty() => Ok(Some(Self::File(path.into()))),
            Some(("env", name)) if !name.is_empty() => Ok(Some(Self::Variable(name.to_owned()))),
            Some(_) | None => {
                Err("a reference is the whole value: ${file:/path} or ${env:NAME}".to_owned())
            }
        }
    }

    /// What it leads to, without white space at its ends.
    ///
    /// # Errors
    ///
    /// What is wrong, and a hint where there is one.
    pub(crate) fn follow(
        &self,
        policy: &Path,
        world: &dyn World,
    ) -> Result<String, (String, Option<String>)> {
        match self {
            Self::File(path) => {
                let path = beside(policy, path);
                let bytes = world.read(&path).map_err(|why| unreadable(&path, &why, world))?;
                // It may be a secret.
                let bytes = Zeroizing::new(bytes);
                let text = std::str::from_utf8(&bytes);
                let text = text.map_err(|_| (format!("{}: not UTF-8", path.display()), None))?;
                Ok(text.trim().to_owned())
            }
            Self::Variable(name) => world
                .variable(name)
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| (format!("the environment has no variable `{name}`"), None)),
        }
    }
}

/// `path` as the policy means it: relative to the policy's own folder.
pub(crate) fn beside(policy: &Path, path: &Path) -> PathBuf {
    policy.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

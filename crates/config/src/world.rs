//! What a policy refers to outside of its file.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Files and environment, as an argument: tests bring their own.
pub trait World {
    /// The file's content.
    ///
    /// # Errors
    ///
    /// As [`std::fs::read`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The variable's value, if it is set to text.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The machine itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl World for System {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
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
    pub(crate) fn follow(&self, policy: &Path, world: &dyn World) -> Result<String, String> {
        match self {
            Self::File(path) => {
                let path = beside(policy, path);
                let bytes =
                    world.read(&path).map_err(|why| format!("{}: {why}", path.display()))?;
                let text = String::from_utf8(bytes);
                let text = text.map_err(|_| format!("{}: not UTF-8", path.display()))?;
                Ok(text.trim().to_owned())
            }
            Self::Variable(name) => world
                .variable(name)
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| format!("the environment has no variable `{name}`")),
        }
    }
}

/// `path` as the policy means it: relative to the policy's own folder.
pub(crate) fn beside(policy: &Path, path: &Path) -> PathBuf {
    policy.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

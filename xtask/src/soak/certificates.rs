//! Two chains for one host, each from an authority of its own, in force by turns.

use std::{
    cell::Cell,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use crate::{chain::write_chain, client::HOST};

/// The folder that the policy names; it leads to one of the two.
pub(super) const CURRENT: &str = "certificates/current";

/// The two chains, and which of them was put in place when.
pub(super) struct Shown {
    folder: PathBuf,
    leaves: [CertificateDer<'static>; 2],
    current: Cell<usize>,
    since: Cell<Instant>,
}

impl Shown {
    /// Makes both, puts the first in place, and gives the authorities.
    pub(super) fn begin(folder: &Path) -> anyhow::Result<(Self, Vec<CertificateDer<'static>>)> {
        let make = |name: &str| write_chain(name, HOST, &folder.join("certificates").join(name));
        let (one, two) = (make("one")?, make("two")?);
        let shown = Self {
            folder: folder.to_owned(),
            leaves: [one.0, two.0],
            current: Cell::new(0),
            since: Cell::new(Instant::now()),
        };
        shown.put()?;
        Ok((shown, vec![one.1, two.1]))
    }

    /// Puts the other one in place, both of its files at once.
    pub(super) fn swap(&self) -> anyhow::Result<()> {
        self.current.set(1 - self.current.get());
        self.since.set(Instant::now());
        self.put()
    }

    fn put(&self) -> anyhow::Result<()> {
        let next = self.folder.join("certificates/next");
        symlink(if self.current.get() == 0 { "one" } else { "two" }, &next)?;
        Ok(fs::rename(next, self.folder.join(CURRENT))?)
    }

    /// What handshakes have to show.
    pub(super) fn now(&self) -> anyhow::Result<CertificateDer<'static>> {
        self.leaves.get(self.current.get()).cloned().context("one of two")
    }

    /// Since when.
    pub(super) fn since(&self) -> Instant {
        self.since.get()
    }
}

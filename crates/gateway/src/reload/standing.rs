//! What is in force, for whoever works with it.

use std::{path::Path, sync::Arc};

use gateway_certs::{Keeper, Keeping, Served};
use gateway_config::{Needs, Settings};
use gateway_edge::Handshakes;
use gateway_proxy::Live;
use gateway_telemetry::Telemetry;
use tokio::sync::watch;

use super::{Outcome, Reloader};
use crate::{Guard, audit::Look, build::Terms, watched::short_hash};

impl Reloader {
    /// The rules in force, now and later.
    #[must_use]
    pub fn rules(&self) -> Live {
        self.rules.subscribe()
    }

    /// What strangers are held to, now and later.
    #[must_use]
    pub fn terms(&self) -> watch::Receiver<Terms> {
        self.terms.subscribe()
    }

    /// How handshakes are made, now and later.
    #[must_use]
    pub fn tls(&self) -> watch::Receiver<Arc<Handshakes>> {
        self.tls.subscribe()
    }

    /// What the policy depends on, now and later.
    #[must_use]
    pub fn needs(&self) -> watch::Receiver<Needs> {
        self.needs.subscribe()
    }

    /// What is looked at of n8n's own installation, now and later; nothing if the policy does not ask.
    pub(crate) fn looks(&self) -> watch::Receiver<Option<Look>> {
        self.looks.subscribe()
    }

    /// What the mechanism was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is said.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Who remembers clients.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The certificate in use.
    #[must_use]
    pub fn served(&self) -> &Arc<Served> {
        &self.served
    }

    /// The hold on whoever looks after the certificates.
    #[must_use]
    pub fn keeping(&self) -> &Keeping {
        &self.keeping
    }

    /// Whoever looks after the certificates, to be set to work; once.
    #[must_use]
    pub fn take_keeper(&mut self) -> Option<Keeper> {
        self.keeper.take()
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn hash(&self) -> String {
        short_hash(&self.text)
    }

    pub(crate) fn since(&self) -> i64 {
        self.since
    }

    pub(crate) fn last(&self) -> Option<&Outcome> {
        self.last.as_ref()
    }
}

//! The path of a change: read everything, build everything, then swap one pointer. A file with a
//! problem changes nothing.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use gateway_certs::{Clock, Served};
use gateway_config::{Answers, Config, Invalid, Needs, Settings, World, load};
use gateway_edge::{MinVersion, server_config};
use gateway_ledger::Limits;
use gateway_proxy::{Backend, Live, Rules, Timeouts, Upstream, Upstreams};
use gateway_telemetry::{CertificateRejected, PolicyWarning, Reload, ReloadOutcome, Telemetry};
use rustls::ServerConfig;
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    fingerprint::{Fingerprint, short_hash},
    identity,
};

/// How a reload ended.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// In one word.
    pub outcome: ReloadOutcome,
    /// The revision in force now.
    pub revision: u64,
    /// What is wrong, each with place and hint.
    pub problems: Vec<String>,
}

/// What a reload replaces, and what it must not.
pub struct Reloader {
    file: PathBuf,
    world: Box<dyn World + Send>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    settings: Settings,
    needs: watch::Sender<Needs>,
    answers: Answers,
    revision: u64,
    hash: String,
    since: i64,
    seen: Fingerprint,
    last: Option<Outcome>,
    served: Arc<Served>,
    rules: watch::Sender<Arc<Rules>>,
    limits: watch::Sender<Limits>,
    tls: watch::Sender<Arc<ServerConfig>>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader")
            .field("file", &self.file)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Reloader {
    /// Puts the first policy in force.
    ///
    /// # Errors
    ///
    /// A certificate that cannot be served.
    pub fn begin(
        file: &Path,
        world: Box<dyn World + Send>,
        answers: Answers,
        config: Config,
        clock: Arc<dyn Clock>,
        telemetry: Telemetry,
    ) -> anyhow::Result<Self> {
        let Config { settings, policy, needs, warnings } = config;
        let (identity, loaded) = identity::obtain(&settings, &policy, &*clock)?;
        let served = Arc::new(Served::new(identity));
        let tls = tls_config(&settings, &served)?;
        let upstreams = upstreams(&settings, &HashMap::new());
        let rules = rules(1, &settings, policy, upstreams);
        let reloader = Self {
            seen: Fingerprint::of(file, &needs.files),
            hash: short_hash(file),
            since: clock.now(),
            limits: watch::Sender::new(limits(&settings)),
            rules: watch::Sender::new(Arc::new(rules)),
            tls: watch::Sender::new(tls),
            file: file.to_owned(),
            revision: 1,
            last: None,
            world,
            clock,
            telemetry,
            settings,
            needs: watch::Sender::new(needs),
            answers,
            served,
        };
        reloader.telemetry.say(&loaded);
        reloader.warn(warnings);
        reloader.publish();
        Ok(reloader)
    }

    /// The rules in force, now and later.
    #[must_use]
    pub fn rules(&self) -> Live {
        self.rules.subscribe()
    }

    /// How many connections there may be, now and later.
    #[must_use]
    pub fn limits(&self) -> watch::Receiver<Limits> {
        self.limits.subscribe()
    }

    /// How handshakes are made, now and later.
    #[must_use]
    pub fn tls(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.tls.subscribe()
    }

    /// What the mechanism was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the policy depends on, now and later.
    #[must_use]
    pub fn needs(&self) -> watch::Receiver<Needs> {
        self.needs.subscribe()
    }

    /// The certificate in use.
    #[must_use]
    pub fn served(&self) -> &Arc<Served> {
        &self.served
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    pub(crate) fn since(&self) -> i64 {
        self.since
    }

    pub(crate) fn last(&self) -> Option<&Outcome> {
        self.last.as_ref()
    }

    /// Looks whether the files have changed, and reloads if they have.
    pub fn look(&mut self) -> Option<Outcome> {
        let now = self.fingerprint();
        (now != self.seen).then(|| self.reload("file"))
    }

    /// Takes new DNS answers; what is not among them keeps its last good one.
    pub fn learn(&mut self, answers: Answers) -> Option<Outcome> {
        let mut known = self.answers.clone();
        known.extend(answers);
        if known == self.answers {
            return None;
        }
        self.answers = known;
        Some(self.reload("dns"))
    }

    /// Reads the policy again, whatever has changed.
    pub fn reload(&mut self, because: &'static str) -> Outcome {
        let before = self.seen;
        self.seen = self.fingerprint();
        let unchanged = before == self.seen && because != "dns" && self.last_was_good();
        let (outcome, problems) = if unchanged {
            (ReloadOutcome::Unchanged, Vec::new())
        } else {
            match load(&self.file, &*self.world, &self.answers) {
                Ok(config) => self.apply(config),
                Err(Invalid(problems)) => {
                    (ReloadOutcome::Invalid, problems.iter().map(ToString::to_string).collect())
                }
            }
        };
        let revision = self.revision;
        self.telemetry.say(&Reload { outcome, because, revision, problems: problems.clone() });
        let outcome = Outcome { outcome, revision, problems };
        self.last = Some(outcome.clone());
        outcome
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.file, &self.needs.borrow().files)
    }

    fn last_was_good(&self) -> bool {
        self.last.as_ref().is_none_or(|last| {
            matches!(last.outcome, ReloadOutcome::Applied | ReloadOutcome::Unchanged)
        })
    }

    fn apply(&mut self, config: Config) -> (ReloadOutcome, Vec<String>) {
        let Config { settings, policy, needs, warnings } = config;
        let fixed = settings.needs_restart(&self.settings);
        if !fixed.is_empty() {
            let problem = |name: &&str| format!("a change of `{name}` needs a restart");
            return (ReloadOutcome::NeedsRestart, fixed.iter().map(problem).collect());
        }
        let rejected = |why: anyhow::Error| {
            let error = format!("{why:#}");
            self.telemetry.say(&CertificateRejected { error: error.clone() });
            (ReloadOutcome::CertificateRejected, vec![error])
        };
        let (identity, loaded) = match identity::obtain(&settings, &policy, &*self.clock) {
            Ok(obtained) => obtained,
            Err(why) => return rejected(why.into()),
        };
        if settings.tls.min_version != self.settings.tls.min_version {
            match tls_config(&settings, &self.served) {
                Ok(config) => drop(self.tls.send_replace(config)),
                Err(why) => return rejected(why),
            }
        }
        // Everything is built and nothing can fail any more.
        let other = self.served.current().not_after != identity.not_after;
        self.served.swap(identity);
        if other {
            self.telemetry.say(&loaded);
        }
        let known = self.known_upstreams();
        let upstreams = upstreams(&settings, &known);
        let kept: Vec<_> = upstreams.all().map(|it| it.backend.to_string()).collect();
        for gone in known.keys().map(ToString::to_string).filter(|it| !kept.contains(it)) {
            self.telemetry.metrics.forget_upstream(&gone);
        }
        self.revision += 1;
        self.limits.send_replace(limits(&settings));
        self.rules.send_replace(Arc::new(rules(self.revision, &settings, policy, upstreams)));
        self.seen = Fingerprint::of(&self.file, &needs.files);
        self.needs.send_replace(needs);
        self.settings = settings;
        (self.hash, self.since) = (short_hash(&self.file), self.clock.now());
        self.warn(warnings);
        self.publish();
        (ReloadOutcome::Applied, Vec::new())
    }

    fn known_upstreams(&self) -> HashMap<Backend, Arc<Upstream>> {
        let rules = self.rules.borrow();
        rules.upstreams.all().map(|it| (it.backend.clone(), Arc::clone(it))).collect()
    }

    fn warn(&self, warnings: Vec<gateway_config::Problem>) {
        for warning in warnings {
            self.telemetry.say(&PolicyWarning { warning: warning.to_string() });
        }
    }

    fn publish(&self) {
        self.telemetry.metrics.policy(self.revision, &self.hash, self.since);
    }
}

fn tls_config(settings: &Settings, served: &Arc<Served>) -> anyhow::Result<Arc<ServerConfig>> {
    let min_version = match settings.tls.min_version {
        gateway_config::TlsVersion::Tls12 => MinVersion::Tls12,
        gateway_config::TlsVersion::Tls13 => MinVersion::Tls13,
    };
    Ok(server_config(Arc::clone(served) as _, min_version)?)
}

fn limits(settings: &Settings) -> Limits {
    let gateway_config::Connections { total, per_client } = settings.connections;
    Limits { total, per_client }
}

/// n8n's processes; those that were known keep what is known of them.
fn upstreams(settings: &Settings, known: &HashMap<Backend, Arc<Upstream>>) -> Upstreams {
    let upstream = |backend: &gateway_config::Backend| {
        let backend = Backend { host: backend.host.clone(), port: backend.port };
        known.get(&backend).cloned().unwrap_or_else(|| Arc::new(Upstream::new(backend)))
    };
    let webhooks = settings.n8n.webhooks.iter().map(upstream).collect();
    Upstreams::new(upstream(&settings.n8n.main), webhooks)
}

fn rules(
    revision: u64,
    settings: &Settings,
    policy: gateway_policy::Policy,
    upstreams: Upstreams,
) -> Rules {
    let gateway_config::Timeouts { answer, body, stream, tunnel, drain: _ } = settings.timeouts;
    Rules {
        revision,
        policy,
        upstreams,
        readiness: settings.n8n.readiness.clone(),
        timeouts: Timeouts { answer, body, stream, tunnel },
        // A browser would refuse a developer's other services on the same name for a year.
        hsts: settings.tls.certificate != gateway_config::Certificate::SelfSigned,
    }
}

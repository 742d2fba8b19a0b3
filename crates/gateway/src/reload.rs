//! The path of a change: read everything, build everything, then swap one pointer. A file with a
//! problem changes nothing.

mod standing;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gateway_certs::{Clock, Keeper, Keeping, Served, keep};
use gateway_config::{Answers, Config, Invalid, Needs, Settings, World, load};
use gateway_edge::Handshakes;
use gateway_n8n::Release;
use gateway_policy::{KnownAttack, Policy, Reaction};
use gateway_proxy::{Backend, Rules, Upstream};
use gateway_telemetry::{
    HonestStopped, PolicyWarning, ReleaseFound, Reload, ReloadOutcome, Telemetry,
};
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    Guard,
    audit::Look,
    build::{self, Terms},
    identity::{self, Obtained},
    watched::{Marks, Recorder, changed},
};

/// Whoever signed in during this time must be able to reach the editor after a reload.
const LATELY: Duration = Duration::from_hours(24);

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

/// A policy with all that it needs, read and checked and not yet in force.
#[derive(Debug)]
struct Candidate {
    config: Config,
    obtained: Obtained,
}

/// How an attempt ended, and what a person is told of it.
struct Ended(ReloadOutcome, Vec<String>);

/// What a reload replaces, and what it must not.
pub struct Reloader {
    file: PathBuf,
    world: Box<dyn World + Send>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    guard: Guard,
    settings: Settings,
    needs: watch::Sender<Needs>,
    answers: Answers,
    /// The release that n8n is of, as far as it has said.
    release: Option<Release>,
    /// The text of the policy in force, and how its files were when it was read.
    text: Vec<u8>,
    marks: Marks,
    /// How the files were of the last policy that was tried and not put in force.
    tried: Marks,
    revision: u64,
    since: i64,
    last: Option<Outcome>,
    served: Arc<Served>,
    keeping: Keeping,
    /// Until somebody sets it to work.
    keeper: Option<Keeper>,
    rules: watch::Sender<Arc<Rules>>,
    terms: watch::Sender<Terms>,
    tls: watch::Sender<Arc<Handshakes>>,
    looks: watch::Sender<Option<Look>>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Reloader");
        shown.field("file", &self.file).field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// Reads a policy and its certificate.
fn read(
    file: &Path,
    world: &dyn World,
    answers: &Answers,
    clock: &dyn Clock,
) -> Result<Candidate, Ended> {
    let config = load(file, world, answers).map_err(|Invalid(problems)| {
        let problems = problems.iter().map(ToString::to_string).collect();
        Ended(ReloadOutcome::Invalid, problems)
    })?;
    let obtained = identity::obtain(&config.settings, &config.policy, world, clock);
    let obtained = obtained.map_err(rejected)?;
    Ok(Candidate { config, obtained })
}

/// A certificate cannot be used.
fn rejected(why: gateway_certs::Error) -> Ended {
    Ended(ReloadOutcome::CertificateRejected, vec![format!("{:#}", anyhow::Error::from(why))])
}

impl Reloader {
    /// Puts the first policy in force. `telemetry` is made from its settings, once it is known to
    /// be fit.
    ///
    /// # Errors
    ///
    /// [`Invalid`] for a policy with problems, [`gateway_certs::Error`] for a certificate that
    /// cannot be served, and what `telemetry` fails with.
    pub fn begin(
        file: &Path,
        world: Box<dyn World + Send>,
        answers: Answers,
        clock: Arc<dyn Clock>,
        telemetry: impl FnOnce(&Settings) -> anyhow::Result<Telemetry>,
    ) -> anyhow::Result<Self> {
        let recorder = Recorder::new(&*world);
        let config = load(file, &recorder, &answers)?;
        let obtained = identity::obtain(&config.settings, &config.policy, &recorder, &*clock)?;
        let (text, marks) = recorder.into_parts();
        let Config { settings, policy, needs, warnings } = config;
        let telemetry = telemetry(&settings)?;
        let guard = Guard::open(&settings.state, Arc::clone(&clock), telemetry.clone())?;
        let terms = build::terms(&settings);
        guard.adopt(&policy, &settings, &terms);
        let served = Arc::new(match &obtained {
            Obtained::One(identity, _) => Served::new((**identity).clone()),
            Obtained::Kept(wanted) => Served::temporary(&wanted.hosts, clock.now())?,
        });
        let (keeping, keeper) =
            keep(&settings.state, Arc::clone(&served), Arc::clone(&clock), telemetry.clone());
        match obtained {
            Obtained::One(_, loaded) => telemetry.say(&loaded),
            Obtained::Kept(wanted) => keeping.want(Some(wanted))?,
        }
        let tls = build::tls(&settings, &served)?;
        let looks = watch::Sender::new(Look::scheduled(&settings, &policy));
        let upstreams = build::upstreams(&settings, &HashMap::new());
        let rules = build::rules(1, &settings, policy, upstreams);
        let reloader = Self {
            since: clock.now(),
            terms: watch::Sender::new(terms),
            rules: watch::Sender::new(Arc::new(rules)),
            tls: watch::Sender::new(tls),
            needs: watch::Sender::new(needs),
            looks,
            file: file.to_owned(),
            tried: Marks::new(),
            revision: 1,
            last: None,
            text,
            marks,
            world,
            clock,
            telemetry,
            guard,
            settings,
            answers,
            release: None,
            served,
            keeping,
            keeper: Some(keeper),
        };
        reloader.warn(warnings);
        reloader.publish();
        Ok(reloader)
    }

    /// Looks whether the files have changed, and reloads if they have.
    pub fn look(&mut self) -> Option<Outcome> {
        (changed(&self.marks) || changed(&self.tried)).then(|| self.reload("file"))
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

    /// Takes down which release n8n is of, and stops the attacks that it is open to. The policy itself
    /// has not changed, so its revision stays.
    pub fn found(&mut self, release: Release) {
        if self.release == Some(release) {
            return;
        }
        let rules = Arc::clone(&self.rules.borrow());
        let mut policy = rules.policy.clone();
        policy.attacks = policy.attacks.with_release(Some(release));
        let open = |(it, _): &(&KnownAttack, _)| {
            it.entry.affected.as_ref().is_some_and(|all| all.contains(release))
        };
        self.telemetry.say(&ReleaseFound {
            release: release.to_string(),
            before: self.release.map(|it| it.to_string()),
            open_to: policy.attacks.all().filter(open).count(),
        });
        for (KnownAttack { entry, .. }, now) in policy.attacks.all() {
            if now == Some(Reaction::Block) && !entry.told.is_empty() {
                let (release, attack) = (release.to_string(), entry.id.to_string());
                self.telemetry.say(&HonestStopped { release, attack, advice: entry.advice });
            }
        }
        self.release = Some(release);
        let upstreams = build::upstreams(&self.settings, &self.known_upstreams());
        let rules = build::rules(self.revision, &self.settings, policy, upstreams);
        self.rules.send_replace(Arc::new(rules));
    }

    /// Reads the policy again, whatever has changed.
    pub fn reload(&mut self, because: &'static str) -> Outcome {
        self.reload_with(because, false)
    }

    /// Reads the policy again; with `force` even one by which nobody who signed in lately could
    /// reach the editor.
    pub fn reload_with(&mut self, because: &'static str, force: bool) -> Outcome {
        let news = because == "dns" || changed(&self.marks) || changed(&self.tried);
        let Ended(outcome, problems) = if news || !self.last_was_good() {
            self.try_file(because == "dns", force)
        } else {
            Ended(ReloadOutcome::Unchanged, Vec::new())
        };
        let revision = self.revision;
        self.telemetry.say(&Reload { outcome, because, revision, problems: problems.clone() });
        let outcome = Outcome { outcome, revision, problems };
        self.last = Some(outcome.clone());
        outcome
    }

    fn last_was_good(&self) -> bool {
        let good = [ReloadOutcome::Applied, ReloadOutcome::Unchanged];
        self.last.as_ref().is_none_or(|last| good.contains(&last.outcome))
    }

    /// Tries the policy as the file has it now. If it is not fit, the one in force stays, with its
    /// lists and names as they are now: a pending edit must not hold a revocation up.
    fn try_file(&mut self, learnt: bool, force: bool) -> Ended {
        let recorder = Recorder::new(&*self.world);
        let candidate = read(&self.file, &recorder, &self.answers, &*self.clock);
        let (text, marks) = recorder.into_parts();
        let fit = candidate
            .and_then(|candidate| self.check_fixed(candidate))
            .and_then(|candidate| if force { Ok(candidate) } else { self.check_way_in(candidate) });
        let ended = match fit {
            Ok(candidate) => {
                (self.text, self.marks, self.tried) = (text, marks, Marks::new());
                return self.apply(candidate);
            }
            Err(ended) => ended,
        };
        // What was tried is watched from now on, the policy's own file with it; `marks` watches
        // what the policy in force refers to.
        self.tried = marks;
        self.marks.remove(&self.file);
        if learnt || changed(&self.marks) {
            let kept = Recorder::with(&*self.world, &self.file, &self.text);
            let again = read(&self.file, &kept, &self.answers, &*self.clock);
            self.marks = kept.into_parts().1;
            if let Ok(candidate) = again {
                drop(self.apply(candidate));
            }
        }
        ended
    }

    fn check_fixed(&self, candidate: Candidate) -> Result<Candidate, Ended> {
        let fixed = candidate.config.settings.needs_restart(&self.settings);
        if fixed.is_empty() {
            return Ok(candidate);
        }
        let problem = |name: &&str| format!("a change of `{name}` needs a restart");
        Err(Ended(ReloadOutcome::NeedsRestart, fixed.iter().map(problem).collect()))
    }

    /// A policy that shuts out everybody who signed in during the last day is somebody's slip.
    fn check_way_in(&self, candidate: Candidate) -> Result<Candidate, Ended> {
        let since = self.guard.now() - LATELY;
        let addresses = self.guard.ledger().signed_in_since(since);
        if addresses.is_empty() || candidate.config.policy.editor_is_open_to_any(&addresses) {
            return Ok(candidate);
        }
        let seen: Vec<String> = addresses.iter().take(5).map(ToString::to_string).collect();
        let problem = format!(
            "nobody who signed in during the last day could reach the editor (last from {})\n  \
             hint: add them to a network of `access.editor`, or `n8n-gateway reload --force`",
            seen.join(", ")
        );
        Err(Ended(ReloadOutcome::LocksOut, vec![problem]))
    }

    /// Puts a policy in force.
    fn apply(&mut self, candidate: Candidate) -> Ended {
        let Candidate { config, obtained } = candidate;
        let Config { settings, mut policy, needs, warnings } = config;
        policy.attacks = policy.attacks.with_release(self.release);
        let other_tls = settings.tls.min_version != self.settings.tls.min_version
            || settings.client_cas != self.settings.client_cas;
        let handshakes = other_tls.then(|| build::tls(&settings, &self.served)).transpose();
        let handshakes = match handshakes {
            Ok(handshakes) => handshakes,
            Err(why) => return Ended(ReloadOutcome::CertificateRejected, vec![format!("{why:#}")]),
        };
        if let Err(why) = self.show(obtained, &policy) {
            return rejected(why);
        }
        // With it go the old session tickets: a session of another authority's is not resumed.
        if let Some(handshakes) = handshakes {
            self.tls.send_replace(handshakes);
        }
        // Everything is built and nothing can fail any more.
        let known = self.known_upstreams();
        let upstreams = build::upstreams(&settings, &known);
        let kept: Vec<_> = upstreams.all().map(|it| it.backend.clone()).collect();
        for gone in known.keys().filter(|it| !kept.contains(it)) {
            self.telemetry.metrics.forget_upstream(&gone.to_string());
        }
        self.revision += 1;
        let terms = build::terms(&settings);
        self.guard.adopt(&policy, &settings, &terms);
        self.terms.send_replace(terms);
        self.looks.send_replace(Look::scheduled(&settings, &policy));
        let rules = Arc::new(build::rules(self.revision, &settings, policy, upstreams));
        let before = self.rules.send_replace(Arc::clone(&rules));
        for gone in build::webhooks_gone(&before.policy, &rules.policy) {
            self.telemetry.metrics.forget_webhook(&gone);
        }
        self.needs.send_replace(needs);
        (self.settings, self.since) = (settings, self.clock.now());
        self.warn(warnings);
        self.publish();
        Ended(ReloadOutcome::Applied, Vec::new())
    }

    /// Serves what a policy asks for.
    fn show(&self, obtained: Obtained, policy: &Policy) -> Result<(), gateway_certs::Error> {
        match obtained {
            Obtained::One(identity, loaded) => {
                let kept = !self.keeping.standings().is_empty();
                let other = kept
                    || self.served.current().serial != identity.serial
                    || self.rules.borrow().policy.hosts != policy.hosts;
                self.keeping.want(None)?;
                self.served.swap(*identity);
                if other {
                    self.telemetry.metrics.forget_certificates();
                    self.telemetry.say(&loaded);
                }
                Ok(())
            }
            Obtained::Kept(wanted) => self.keeping.want(Some(wanted)),
        }
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
        self.telemetry.metrics.policy(self.revision, &self.hash(), self.since);
    }
}

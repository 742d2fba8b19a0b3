//! What happens beside the requests: looking at files, asking names and n8n's health, reloading,
//! telling systemd, answering the operator.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::future::join_all;
use gateway_certs::Clock;
use gateway_config::Answers;
use gateway_n8n::Release;
use gateway_proxy::{Backend, CircuitState, Connect, Live, Tcp, Upstream, probe};
use gateway_telemetry::{HandedOver, Telemetry, UpgradeFailed};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Outcome, Reloader,
    admin::windows,
    audit::AuditStatus,
    certificates,
    confine::{Confinement, Reach},
    signals::{self, Asked, Signals},
    status::{PolicyStatus, Recent, Status, UpstreamStatus},
    upgrade::{Ended, Upgrade, Waiting},
};

/// What the operator asks of a running gateway.
#[derive(Debug)]
pub(crate) enum Order {
    Reload {
        /// Even if nobody who signed in lately could reach the editor then.
        force: bool,
        reply: oneshot::Sender<Outcome>,
    },
    Status(oneshot::Sender<Box<Status>>),
    Upgrade(Waiting),
}

/// Why the work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// A signal, by its name.
    Signal(&'static str),
    /// Another process serves.
    HandedOver,
}

/// An upgrade that is under way, and who waits for its end.
type Attempt = (Pin<Box<dyn Future<Output = Ended> + Send>>, Option<Waiting>);

/// The end of the attempt that is under way, if one is.
async fn ended(attempt: &mut Option<Attempt>) -> Ended {
    match attempt {
        Some((attempt, _)) => attempt.as_mut().await,
        None => std::future::pending().await,
    }
}

/// How often files are looked at: a change is in force within two seconds of saving.
const LOOK: Duration = Duration::from_secs(1);

/// How often what is not needed any more is forgotten.
const TIDY: Duration = Duration::from_secs(60);

/// How often n8n is asked whether it is ready.
const PROBE: Duration = Duration::from_secs(5);

/// The same while its circuit is open.
const PROBE_SHUT: Duration = Duration::from_secs(1);

/// Whoever carries out what is not a request.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) reloader: Reloader,
    pub(crate) answers: mpsc::Receiver<Answers>,
    pub(crate) releases: mpsc::Receiver<Release>,
    pub(crate) telemetry: Telemetry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) started: Instant,
    /// What came of the last look at n8n's own installation.
    pub(crate) audited: watch::Receiver<Option<AuditStatus>>,
    pub(crate) confinement: Confinement,
    pub(crate) reach: Reach,
    pub(crate) upgrade: Arc<Upgrade>,
}

impl Control {
    /// Works until a signal asks for an end, or another process serves.
    pub(crate) async fn work(mut self, mut signals: Signals) -> Because {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut alive = interval(signals::watchdog().unwrap_or(LOOK));
        let mut tidy = interval(TIDY);
        let mut recent = Recent::new();
        let mut attempt: Option<Attempt> = None;
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Reload => drop(self.reload("signal", false)),
                    Asked::Upgrade => self.begin(None, &mut attempt),
                    Asked::End(because) => return Because::Signal(because),
                },
                ended = ended(&mut attempt) => {
                    let waiting = attempt.take().and_then(|(_, waiting)| waiting);
                    if self.has_ended(ended, waiting) {
                        return Because::HandedOver;
                    }
                }
                _ = alive.tick() => signals::alive(),
                _ = look.tick() => {
                    recent.sample(self.telemetry.metrics.refused_so_far());
                    self.reloader.look();
                    self.reloader.guard().sweep();
                }
                _ = tidy.tick() => {
                    self.reloader.guard().tidy();
                    for lost in self.reach.lost() {
                        self.telemetry.say(&lost);
                    }
                }
                Some(answers) = self.answers.recv() => drop(self.reloader.learn(answers)),
                Some(release) = self.releases.recv() => self.reloader.found(release),
                Some(order) = self.orders.recv() => match order {
                    // Whoever asked may have gone; the reload has happened all the same.
                    Order::Reload { force, reply } => {
                        drop(reply.send(self.reload("admin", force)));
                    }
                    Order::Upgrade(reply) => self.begin(Some(reply), &mut attempt),
                    Order::Status(reply) => drop(reply.send(Box::new(self.status(&recent)))),
                },
            }
        }
    }

    fn reload(&mut self, because: &'static str, force: bool) -> Outcome {
        signals::reloading();
        let outcome = self.reloader.reload_with(because, force);
        signals::ready();
        outcome
    }

    /// Lets another process take over, unless that is being done.
    fn begin(&self, waiting: Option<Waiting>, attempt: &mut Option<Attempt>) {
        if attempt.is_none() {
            *attempt = Some((Box::pin(Arc::clone(&self.upgrade).attempt()), waiting));
        } else if let Some(waiting) = waiting {
            // Whoever asked may have gone.
            drop(waiting.send(Err("another upgrade is under way".to_owned())));
        }
    }

    /// Tells how an upgrade has ended, and whether this process has nothing more to do.
    fn has_ended(&self, ended: Ended, waiting: Option<Waiting>) -> bool {
        let over = match &ended {
            Ok(process) => {
                signals::handed_over(*process);
                self.telemetry.say(&HandedOver { process: *process });
                true
            }
            Err(error) => {
                self.telemetry.say(&UpgradeFailed { error: error.clone() });
                false
            }
        };
        if let Some(waiting) = waiting {
            drop(waiting.send(ended));
        }
        over
    }

    fn status(&self, recent: &Recent) -> Status {
        let rules = Arc::clone(&self.reloader.rules().borrow());
        let hosts: Vec<String> = rules.policy.hosts.names().map(str::to_owned).collect();
        let last = self.reloader.last();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            hardening: self.confinement.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            policy: PolicyStatus {
                file: self.reloader.file().display().to_string(),
                revision: rules.revision,
                hash: self.reloader.hash(),
                since: self.reloader.since(),
                last_reload: last.map(|last| last.outcome.name().to_owned()),
                problems: last.map(|last| last.problems.clone()).unwrap_or_default(),
            },
            n8n: rules
                .upstreams
                .all()
                .map(|it| UpstreamStatus {
                    url: it.backend.to_string(),
                    up: it.is_up(),
                    circuit: it.circuit().name().to_owned(),
                })
                .collect(),
            n8n_release: rules.policy.attacks.release().map(|it| it.to_string()),
            certificates: certificates::all(&self.reloader, &hosts, self.clock.now()),
            audit: self.audited.borrow().clone(),
            connections: self.reloader.guard().load().connections.total(),
            banned: self.reloader.guard().ledger().in_jails().iter().map(|(_, count)| count).sum(),
            windows: windows::list(self.reloader.guard()).windows,
            refused_in_the_last_5_minutes: recent.rise(self.telemetry.metrics.refused_so_far()),
        }
    }
}

/// Asks n8n's processes again and again whether they are ready, each by itself: one that hangs
/// keeps no other waiting.
pub(crate) async fn watch_health(mut rules: Live, telemetry: Telemetry, stop: CancellationToken) {
    let mut known: Vec<Backend> = Vec::new();
    loop {
        let now = Arc::clone(&rules.borrow_and_update());
        let watched = now.upstreams.all().map(|upstream| {
            let first = !known.contains(&upstream.backend);
            watch(Tcp, upstream, &now.readiness, &telemetry, first)
        });
        let watched: Vec<_> = watched.collect();
        known = now.upstreams.all().map(|it| it.backend.clone()).collect();
        tokio::select! {
            _ = join_all(watched) => {}
            Ok(()) = rules.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Asks one process whether it is ready: now and then, at once when its circuit opens, and often
/// until it closes, so that nobody waits long for an n8n that has started.
async fn watch(
    connect: impl Connect,
    upstream: &Upstream,
    readiness: &str,
    telemetry: &Telemetry,
    mut first: bool,
) {
    loop {
        probe(&connect, upstream, readiness, telemetry, first).await;
        first = false;
        let pause = if upstream.circuit() == CircuitState::Closed { PROBE } else { PROBE_SHUT };
        tokio::select! {
            () = sleep(pause) => {}
            () = upstream.opened() => {}
        }
    }
}

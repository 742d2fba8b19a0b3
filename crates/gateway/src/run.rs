//! A gateway, from its policy to its end.

use std::{io, net::SocketAddr, net::TcpListener, path::Path, sync::Arc, thread, time::Duration};

use anyhow::{Context, bail};
use gateway_certs::{Clock, Https, SystemClock};
use gateway_config::{
    Answers, Config, Hardening, Invalid, LogFormat, LogLevel, Needs, Settings, System, load,
};
use gateway_edge::{Activated, Leave};
use gateway_n8n::Release;
use gateway_proxy::Tcp;
use gateway_telemetry::{Format, Level, Log, Metrics, Started, Stopped, Stopping, Telemetry};
use rustix::thread::disable_transparent_huge_pages;
use tokio::{
    runtime::{self, Runtime},
    sync::{Mutex, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Assembly, Reloader,
    acme::OwnListener,
    admin::{self, Desk, Names, Passes, Socket},
    audit::keep_auditing,
    claimed::watch_owner,
    confine::{Confinement, Grounds, Reach, confine},
    control::{Because, Control, Order, watch_health},
    guard::Writing,
    identity,
    load::watch_memory,
    n8n_release::watch_release,
    nftables,
    otlp::{Collector, Exporting},
    resolve::{keep_asking, look_up},
    runtimes::Runtimes,
    signals::{self, Signals},
    sockets::{Listener, Sockets, clones},
    upgrade::{Predecessor, Starters, Upgrade},
    watched::Recorder,
};

/// How many orders of the operator may wait.
const ORDERS: usize = 16;

/// How long connections have that wait for a request, when everything else has had its time.
const FAREWELL: Duration = Duration::from_secs(3);

/// The addresses behind the DNS names of the policy, as far as they can be had.
///
/// # Errors
///
/// Every problem of the policy.
pub(crate) async fn resolve_names(file: &Path) -> Result<Answers, Invalid> {
    Ok(resolve(&load(file, &System, &Answers::new())?.needs).await)
}

async fn resolve(needs: &Needs) -> Answers {
    let mut answers = Answers::new();
    for name in needs.names.keys() {
        if let Ok(addresses) = look_up(name).await {
            answers.insert(name.clone(), addresses);
        }
    }
    answers
}

/// Runs a gateway until a signal asks for its end.
///
/// # Errors
///
/// [`Invalid`] for a policy that cannot be used, and whatever keeps the gateway from starting.
pub fn run(file: &Path) -> anyhow::Result<()> {
    begin(file, None, Activated::from_env(), None)
}

/// Runs a gateway in place of the one that started this process.
///
/// # Errors
///
/// As [`run`]; the other one is told, and goes on.
pub(crate) fn take_over(file: &Path) -> anyhow::Result<()> {
    let (predecessor, sockets, operator) = Predecessor::meet()?;
    let ended = begin(file, Some(&predecessor), sockets, Some(operator));
    ended.inspect_err(|why| predecessor.failed(why))
}

fn begin(
    file: &Path,
    predecessor: Option<&Predecessor>,
    activated: Activated,
    operator: Option<Listener>,
) -> anyhow::Result<()> {
    // Of a huge page that is touched once all two megabytes are the process's, and idle connections
    // touch little of what they hold. Where the kernel lets nobody choose, they cost more.
    disable_transparent_huge_pages(true).unwrap_or_default();
    let (settings, needs) = glance(file)?;
    // What is wrong with a certificate is said before what is wrong with an address.
    let sockets = Sockets::open(&settings, activated, operator);
    let starters = Starters::begin(file, settings.hardening != Hardening::Off);
    // There is one thread so far: what it gives up, no later one has.
    let grounds = Grounds { policy: file, settings: &settings, needs: &needs };
    let (confinement, reach) = confine(grounds)?;
    let control = runtime::Builder::new_current_thread().enable_all().build()?;
    control.block_on(async {
        let answers = resolve(&needs).await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // The log lives as long as its guard does: until everything has been said.
        let mut guard = None;
        let mut opened = None;
        let mut exporting = None;
        let telemetry = |fresh: &Settings| {
            if !fresh.needs_restart(&settings).is_empty() {
                bail!("the policy changed while the gateway started");
            }
            opened = Some(sockets?);
            let (log, worker) = log(fresh);
            guard = Some(worker);
            hook_panics();
            let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))?);
            let mut telemetry = Telemetry::new(metrics, log);
            if let Some(named) = &fresh.log.otlp {
                let (exported, exports) = telemetry.with_export();
                exporting = Some((Collector::new(named)?, exports));
                telemetry = exported;
            }
            telemetry.say(&confinement.event());
            // Everything is fit; what comes next, two processes cannot have at once.
            predecessor.map_or(Ok(()), Predecessor::ready)?;
            Ok(match &fresh.log.fail2ban {
                Some(file) => telemetry.with_fail2ban(file.clone()),
                None => telemetry,
            })
        };
        let world = Box::new(reach.clone());
        let reloader = Reloader::begin(file, world, answers, Arc::clone(&clock), telemetry)?;
        let sockets = opened.context("no sockets")?;
        let exporting = Exporting::begin(exporting, reloader.telemetry());
        let serving = || predecessor.map_or((), Predecessor::serving);
        let process = (confinement, reach, starters);
        let served = serve(reloader, clock, sockets, process, serving).await;
        exporting.end().await;
        drop(guard);
        served
    })
}

/// What the policy says of the process itself, and every file that it names.
fn glance(file: &Path) -> Result<(Settings, Needs), Invalid> {
    let recorder = Recorder::new(&System);
    let Config { settings, mut needs, .. } = load(file, &recorder, &Answers::new())?;
    needs.files.extend(recorder.into_parts().1.into_keys());
    Ok((settings, needs))
}

async fn serve(
    mut reloader: Reloader,
    clock: Arc<dyn Clock>,
    sockets: Sockets,
    (confinement, reach, starters): (Confinement, Reach, Starters),
    serving: impl FnOnce(),
) -> anyhow::Result<()> {
    let (settings, telemetry) = (reloader.settings().clone(), reloader.telemetry().clone());
    let signals = Signals::listen()?;
    let leave = Leave::new(&CancellationToken::new());
    let socket = sockets.operator.try_clone()?.into_socket()?;

    let (guard, tasks) = (reloader.guard().clone(), TaskTracker::new());
    let operators = TaskTracker::new();
    let writing = Arc::new(Mutex::new(Writing::begin(guard.clone(), tasks.clone())));
    let certified = look_after_certificates(&mut reloader, &tasks, leave.retirement());
    let assembly = assemble(&reloader, &leave);
    let (latest, audited) = watch::channel(None);
    let (runtimes, counted) = Runtimes::start()?;
    let (orders, answers, releases) = attend(&reloader, (socket, &operators), counted, &leave);
    let auditing = keep_auditing(
        reloader.looks(),
        latest,
        Arc::clone(&clock),
        telemetry.clone(),
        leave.retirement().clone(),
    );
    tasks.spawn(auditing);
    let workers = employ(&sockets, &assembly, runtimes, settings.timeouts.drain)?;
    telemetry.say(&Started {
        version: env!("CARGO_PKG_VERSION"),
        listening: sockets.addresses(),
        policy: reloader.file().display().to_string(),
        authority: identity::authority(&settings).map(|path| path.display().to_string()),
    });
    serving();
    signals::ready();

    let (said, started) = (telemetry.clone(), Instant::now());
    let upgrade = Arc::new(Upgrade { starters, sockets, writing: Arc::clone(&writing) });
    let control = Control {
        reloader,
        answers,
        releases,
        telemetry,
        clock,
        orders,
        started,
        audited,
        confinement,
        reach,
        upgrade,
    };
    let because = control.work(signals).await;
    let over = Instant::now() + settings.timeouts.drain;
    part(because, &leave, &said);
    let drained = drain(workers).await;
    part_from_operators(&operators, &leave, over).await;
    if because != Because::HandedOver {
        remove(&settings);
    }
    // Whatever the last requests brought is written before the end.
    guard.settled().await;
    writing.lock().await.let_go().await;
    drop(certified.await);
    said.say(&Stopped { drained });
    Ok(())
}

/// Takes nothing new from now on, and says why.
fn part(because: Because, leave: &Leave, telemetry: &Telemetry) {
    match because {
        Because::Signal(because) => {
            signals::stopping();
            telemetry.say(&Stopping { because });
            leave.end().cancel();
        }
        Because::HandedOver => {
            telemetry.say(&Stopping { because: "upgrade" });
            leave.retire();
        }
    }
}

/// Completes the operator's answers, the one about an upgrade among them, until `over`. Who has come and
/// is about to ask has a moment for it.
async fn part_from_operators(operators: &TaskTracker, leave: &Leave, over: Instant) {
    operators.close();
    if !leave.end().is_cancelled() {
        let moment = over.min(Instant::now() + FAREWELL);
        drop(timeout_at(moment, operators.wait()).await);
        leave.end().cancel();
    }
    drop(timeout_at(over, operators.wait()).await);
}

/// Sets whoever looks after the certificates to work.
fn look_after_certificates(
    reloader: &mut Reloader,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let listen = &reloader.settings().listen;
    let vouching = listen.proxy_protocol.then(|| reloader.rules());
    let own = listen.https.first().map(|address| OwnListener::new(*address, vouching));
    let (keeper, stop) = (reloader.take_keeper(), stop.clone());
    tasks.spawn(async move {
        if let (Some(keeper), Some(own)) = (keeper, own) {
            keeper.work(&Https, &own, stop).await;
        }
    })
}

fn assemble(reloader: &Reloader, leave: &Leave) -> Assembly<Tcp> {
    let listen = &reloader.settings().listen;
    Assembly {
        rules: reloader.rules(),
        terms: reloader.terms(),
        tls: reloader.tls(),
        guard: reloader.guard().clone(),
        challenges: Arc::clone(reloader.served().challenges()),
        telemetry: reloader.telemetry().clone(),
        connect: Tcp,
        proxy_protocol: listen.proxy_protocol,
        https_port: listen.https.first().map_or(443, SocketAddr::port),
        leave: leave.clone(),
    }
}

/// Starts what runs beside the requests: the operator's listener, n8n's health, DNS names.
fn attend(
    reloader: &Reloader,
    (socket, operators): (Socket, &TaskTracker),
    runtimes: Runtimes,
    leave: &Leave,
) -> (mpsc::Receiver<Order>, mpsc::Receiver<Answers>, mpsc::Receiver<Release>) {
    let (retire, stop) = (leave.retirement(), leave.end());
    let (tasks, telemetry) = (TaskTracker::new(), reloader.telemetry().clone());
    let (orders, to_do) = mpsc::channel(ORDERS);
    let (resolved, answers) = mpsc::channel(ORDERS);
    let (found, releases) = mpsc::channel(1);
    let (token, names) = match &reloader.settings().listen.admin {
        gateway_config::Admin::Tcp(address, token) => {
            let local = address.ip().is_loopback();
            (token.clone(), if local { Names::Local } else { Names::Any })
        }
        gateway_config::Admin::Unix(_) => (None, Names::Local),
    };
    let rules = reloader.rules();
    let guard = reloader.guard().clone();
    if reloader.settings().nftables {
        let (guard, rules) = (guard.clone(), reloader.rules());
        tasks.spawn(nftables::tell(guard, rules, telemetry.clone(), retire.clone()));
    }
    let watching = watch_memory(guard.clone(), reloader.terms(), telemetry.clone(), stop.clone());
    tasks.spawn(watching);
    let keeping = reloader.keeping().clone();
    let desk = Desk {
        telemetry: telemetry.clone(),
        runtimes,
        rules,
        orders,
        guard,
        keeping,
        leave: leave.clone(),
        token,
        names,
        passes: Passes::new(),
    };
    tasks.spawn(admin::serve(socket, desk, operators.clone()));
    let owner =
        watch_owner(reloader.rules(), reloader.guard().clone(), telemetry.clone(), stop.clone());
    tasks.spawn(owner);
    tasks.spawn(watch_health(reloader.rules(), telemetry.clone(), stop.clone()));
    tasks.spawn(watch_release(reloader.rules(), found, stop.clone()));
    tasks.spawn(keep_asking(reloader.needs(), resolved, telemetry, retire.clone()));
    (to_do, answers, releases)
}

/// Waits for the workers, and tells whether everything had ended by itself.
async fn drain(workers: Vec<thread::JoinHandle<bool>>) -> bool {
    let ended = move || {
        workers.into_iter().map(|it| it.join().unwrap_or(false)).fold(true, |all, one| all & one)
    };
    tokio::task::spawn_blocking(ended).await.unwrap_or(false)
}

/// Removes the operator's socket.
fn remove(settings: &Settings) {
    if let gateway_config::Admin::Unix(path) = &settings.listen.admin {
        // Whoever starts next replaces it anyway.
        drop(std::fs::remove_file(path));
    }
}

/// Sets each runtime to work on a thread, each with a pool of its own: no work is stolen. A worker
/// tells at its end whether everything had ended by itself.
fn employ(
    sockets: &Sockets,
    assembly: &Assembly<Tcp>,
    runtimes: Vec<Runtime>,
    drain: Duration,
) -> io::Result<Vec<thread::JoinHandle<bool>>> {
    (0..)
        .zip(runtimes)
        .map(|(core, runtime): (usize, _)| {
            let (https, http) = (clones(&sockets.https)?, clones(&sockets.http)?);
            let assembly = assembly.clone();
            let work = move || runtime.block_on(worker(assembly, https, http, drain));
            thread::Builder::new().name(format!("worker-{core}")).spawn(work)
        })
        .collect()
}

async fn worker(
    assembly: Assembly<Tcp>,
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    drain: Duration,
) -> bool {
    let tasks = TaskTracker::new();
    let serving = assembly.https(&tasks);
    for listener in https.into_iter().filter_map(|it| tokio::net::TcpListener::from_std(it).ok()) {
        tasks.spawn(serving.clone().accept(listener));
    }
    let redirecting = assembly.http(&tasks);
    for listener in http.into_iter().filter_map(|it| tokio::net::TcpListener::from_std(it).ok()) {
        tasks.spawn(redirecting.clone().accept(listener));
    }
    drop((serving, redirecting));
    assembly.leave.retired().await;
    tasks.close();
    // Whoever is about to send a request finds its connection open; in the end it is closed.
    let last = drain.min(FAREWELL);
    tokio::select! {
        () = tasks.wait() => return true,
        () = assembly.leave.end().cancelled() => return timeout(drain, tasks.wait()).await.is_ok(),
        () = sleep(drain - last) => assembly.leave.end().cancel(),
    }
    timeout(last, tasks.wait()).await.is_ok()
}

fn log(settings: &Settings) -> (Log, gateway_telemetry::LogGuard) {
    let format = match settings.log.format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
    };
    let level = match settings.log.level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
    };
    Log::stdout(format, level)
}

/// A panic is a bug: where it happened goes to the log, and the request it met gets an answer.
fn hook_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug");
    }));
}

//! A gateway, from its policy to its end.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
};

use anyhow::Context;
use gateway_certs::{Clock, Https, SystemClock};
use gateway_config::{Answers, Invalid, LogFormat, LogLevel, Settings, System, load};
use gateway_edge::Activated;
use gateway_proxy::Tcp;
use gateway_telemetry::{Format, Level, Log, Metrics, Started, Stopped, Stopping, Telemetry};
use tokio::{
    runtime,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Assembly, Reloader,
    acme::OwnListener,
    admin::{self, Desk, Socket},
    control::{Control, Order, watch_health},
    identity,
    load::watch_memory,
    nftables,
    resolve::{keep_asking, look_up},
    signals::{self, Signals},
};

/// How many orders of the operator may wait.
const ORDERS: usize = 16;

/// The addresses behind the DNS names of the policy, as far as they can be had.
///
/// # Errors
///
/// Every problem of the policy.
pub(crate) async fn resolve_names(file: &Path) -> Result<Answers, Invalid> {
    let config = load(file, &System, &Answers::new())?;
    let mut answers = Answers::new();
    for name in config.needs.names.keys() {
        if let Ok(addresses) = look_up(name).await {
            answers.insert(name.clone(), addresses);
        }
    }
    Ok(answers)
}

/// Runs a gateway until a signal asks for its end.
///
/// # Errors
///
/// [`Invalid`] for a policy that cannot be used, and whatever keeps the gateway from starting.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let control = runtime::Builder::new_current_thread().enable_all().build()?;
    control.block_on(async {
        let answers = resolve_names(file).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // The log lives as long as its guard does: until everything has been said.
        let mut guard = None;
        let telemetry = |settings: &Settings| {
            let (log, worker) = log(settings);
            guard = Some(worker);
            hook_panics();
            let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))?);
            let telemetry = Telemetry::new(metrics, log);
            Ok(match &settings.log.fail2ban {
                Some(file) => telemetry.with_fail2ban(file.clone()),
                None => telemetry,
            })
        };
        let world = Box::new(System);
        let reloader = Reloader::begin(file, world, answers, Arc::clone(&clock), telemetry)?;
        let served = serve(file, reloader, clock).await;
        drop(guard);
        served
    })
}

async fn serve(file: &Path, mut reloader: Reloader, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    let (settings, telemetry) = (reloader.settings().clone(), reloader.telemetry().clone());
    let signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let sockets = Sockets::open(&settings)?;
    let (socket, admin_address) = admin::open(&settings.listen.admin)
        .await
        .with_context(|| format!("cannot open the admin listener ({:?})", settings.listen.admin))?;

    let (guard, keeping) = (reloader.guard().clone(), CancellationToken::new());
    let (keeper, until) = (guard.clone(), keeping.clone());
    let tasks = TaskTracker::new();
    let kept = tasks.spawn(async move { keeper.keep(until).await });
    let certified = look_after_certificates(&mut reloader, &tasks, &stop);
    let assembly = assemble(&reloader, &stop);
    let (orders, answers) = attend(&reloader, socket, &stop);
    let mut listening = sockets.addresses();
    listening.push(admin_address);
    let workers = sockets.serve(&assembly, settings.timeouts.drain)?;
    telemetry.say(&Started {
        version: env!("CARGO_PKG_VERSION"),
        listening,
        policy: file.display().to_string(),
        authority: identity::authority(&settings).map(|path| path.display().to_string()),
    });
    signals::ready();

    let (said, started) = (telemetry.clone(), Instant::now());
    let control = Control { reloader, answers, telemetry, clock, orders, started };
    let because = control.work(signals).await;
    signals::stopping();
    said.say(&Stopping { because });
    stop.cancel();
    let drained = drain(workers, &settings).await;
    // Whatever the last requests brought is written before the end.
    guard.settled().await;
    keeping.cancel();
    drop((kept.await, certified.await));
    said.say(&Stopped { drained });
    Ok(())
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

fn assemble(reloader: &Reloader, stop: &CancellationToken) -> Assembly<Tcp> {
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
        stop: stop.clone(),
    }
}

/// Starts what runs beside the requests: the operator's listener, n8n's health, DNS names.
fn attend(
    reloader: &Reloader,
    socket: Socket,
    stop: &CancellationToken,
) -> (mpsc::Receiver<Order>, mpsc::Receiver<Answers>) {
    let (tasks, telemetry) = (TaskTracker::new(), reloader.telemetry().clone());
    let (orders, to_do) = mpsc::channel(ORDERS);
    let (resolved, answers) = mpsc::channel(ORDERS);
    let (token, local) = match &reloader.settings().listen.admin {
        gateway_config::Admin::Tcp(address, token) => (token.clone(), address.ip().is_loopback()),
        gateway_config::Admin::Unix(_) => (None, false),
    };
    let rules = reloader.rules();
    let guard = reloader.guard().clone();
    if reloader.settings().nftables {
        let (guard, rules) = (guard.clone(), reloader.rules());
        tasks.spawn(nftables::tell(guard, rules, telemetry.clone(), stop.clone()));
    }
    let watching = watch_memory(guard.clone(), reloader.terms(), telemetry.clone(), stop.clone());
    tasks.spawn(watching);
    let keeping = reloader.keeping().clone();
    let desk = Desk { telemetry: telemetry.clone(), rules, orders, guard, keeping, token, local };
    tasks.spawn(admin::serve(socket, desk, stop.clone(), tasks.clone()));
    tasks.spawn(watch_health(reloader.rules(), telemetry.clone(), stop.clone()));
    tasks.spawn(keep_asking(reloader.needs(), resolved, telemetry, stop.clone()));
    (to_do, answers)
}

/// Waits for the workers, and tells whether everything had ended by itself.
async fn drain(workers: Vec<thread::JoinHandle<bool>>, settings: &Settings) -> bool {
    let ended = move || {
        workers.into_iter().map(|it| it.join().unwrap_or(false)).fold(true, |all, one| all & one)
    };
    let drained = tokio::task::spawn_blocking(ended).await.unwrap_or(false);
    if let gateway_config::Admin::Unix(path) = &settings.listen.admin {
        // Whoever starts next replaces it anyway.
        drop(std::fs::remove_file(path));
    }
    drained
}

/// The listening sockets of strangers.
struct Sockets {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
}

impl Sockets {
    fn open(settings: &Settings) -> anyhow::Result<Self> {
        let mut activated = Activated::from_env();
        let mut open = |addresses: &[SocketAddr]| {
            let open = addresses.iter().map(|address| activated.take_or_bind(*address));
            open.collect::<Result<Vec<_>, _>>()
        };
        let (https, http) = (open(&settings.listen.https)?, open(&settings.listen.http)?);
        Ok(Self { https, http })
    }

    fn addresses(&self) -> Vec<String> {
        let address = |scheme: &'static str| {
            move |it: &TcpListener| it.local_addr().ok().map(|it| format!("{scheme}://{it}"))
        };
        let https = self.https.iter().filter_map(address("https"));
        https.chain(self.http.iter().filter_map(address("http"))).collect()
    }

    /// Starts a runtime for each core, each with a pool of its own: no work is stolen. A worker
    /// tells at its end whether everything had ended by itself.
    fn serve(
        &self,
        assembly: &Assembly<Tcp>,
        drain: std::time::Duration,
    ) -> io::Result<Vec<thread::JoinHandle<bool>>> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let clone = |listeners: &[TcpListener]| {
            listeners.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>()
        };
        (0..cores)
            .map(|core| {
                let (https, http) = (clone(&self.https)?, clone(&self.http)?);
                let assembly = assembly.clone();
                let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                let work = move || runtime.block_on(worker(assembly, https, http, drain));
                thread::Builder::new().name(format!("worker-{core}")).spawn(work)
            })
            .collect()
    }
}

async fn worker(
    assembly: Assembly<Tcp>,
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    drain: std::time::Duration,
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
    assembly.stop.cancelled().await;
    tasks.close();
    timeout(drain, tasks.wait()).await.is_ok()
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

//! A keeper with everything around it: a store, a clock that can be set wrong, an authority, and
//! the handshakes that are made meanwhile.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use gateway_certs::{
    Acme, Challenge, Clock, Directory, Keeping, KeyKind, Look, Mirror, Outcome, Served, Standing,
    Wanted, keep, shown,
};
use gateway_telemetry::{Level, Log, Metrics, Telemetry};
use gateway_testkit::{
    FakeAuthority, FakeInternet, MovedClock, Probe,
    authority::{Endpoint, Trouble},
};
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::{
    io::{DuplexStream, duplex},
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const HOST: &str = "n8n.test";
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A machine's clock, which somebody can set wrong.
#[derive(Debug, Default)]
pub(crate) struct Wall {
    right: MovedClock,
    wrong_by: AtomicI64,
}

impl Wall {
    /// Sets it wrong by so many seconds.
    pub(crate) fn set_wrong_by(&self, seconds: i64) {
        self.wrong_by.store(seconds, Ordering::Relaxed);
    }

    /// What time it really is.
    pub(crate) fn really(&self) -> i64 {
        self.right.now()
    }
}

impl Clock for Wall {
    fn now(&self) -> i64 {
        self.right.now() + self.wrong_by.load(Ordering::Relaxed)
    }
}

/// The time as the authority has it, which is right.
#[derive(Debug)]
struct Right(Arc<Wall>);

impl Clock for Right {
    fn now(&self) -> i64 {
        self.0.really()
    }
}

/// Handshakes with what is served.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    served: Arc<Served>,
    tasks: TaskTracker,
}

impl Wire {
    pub(crate) fn dial(&self) -> DuplexStream {
        let (ours, theirs) = duplex(16 * 1024);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.served) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"acme-tls/1".to_vec()];
        let accept = TlsAcceptor::from(Arc::new(config)).accept(theirs);
        self.tasks.spawn(async move { drop(accept.await) });
        ours
    }
}

impl Mirror for Wire {
    fn look<'a>(&'a self, host: &'a str) -> Look<'a> {
        Box::pin(shown(self.dial(), host))
    }
}

/// A keeper with everything around it.
pub(crate) struct House {
    pub(crate) wall: Arc<Wall>,
    pub(crate) ca: FakeAuthority,
    pub(crate) wire: Wire,
    pub(crate) keeping: Keeping,
    /// Whether port 80 and port 443 are open to the authority.
    pub(crate) open: Arc<[AtomicBool; 2]>,
    pub(crate) telemetry: Telemetry,
    folder: Arc<TempDir>,
    wanted: Wanted,
    internet: FakeInternet,
    log: Arc<Mutex<Vec<u8>>>,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

/// A directory that `ca` is.
pub(crate) fn directory(ca: &FakeAuthority, name: &str) -> Directory {
    Directory {
        name: name.to_owned(),
        url: ca.directory().to_owned(),
        staging: None,
        roots: None,
        external: None,
        profile: None,
    }
}

/// What is wanted of `directories`, for [`HOST`].
pub(crate) fn wanted(directories: Vec<Directory>) -> Wanted {
    Wanted {
        hosts: vec![HOST.to_owned()],
        acme: Arc::new(Acme {
            email: "ops@example.com".to_owned(),
            directories,
            challenges: vec![Challenge::TlsAlpn01, Challenge::Http01],
            dns: None,
            key: KeyKind::P256,
        }),
    }
}

/// What stands before there is a keeper.
pub(crate) struct Ground {
    pub(crate) wall: Arc<Wall>,
    pub(crate) ca: FakeAuthority,
    pub(crate) others: Vec<FakeAuthority>,
    pub(crate) folder: Arc<TempDir>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let wall = Arc::new(Wall::default());
        let ca = FakeAuthority::new(Arc::new(Right(Arc::clone(&wall))));
        Self { wall, ca, others: Vec::new(), folder: Arc::new(tempfile::tempdir().unwrap()) }
    }

    /// Another authority.
    pub(crate) fn another(&mut self, host: &str) -> FakeAuthority {
        let other = FakeAuthority::named(host, Arc::new(Right(Arc::clone(&self.wall))));
        self.others.push(other.clone());
        other
    }

    /// A keeper of what is wanted.
    pub(crate) fn keep(self, wanted: Wanted) -> House {
        let Self { wall, ca, others, folder } = self;
        let mut all = vec![ca.clone()];
        all.extend(others);
        let open = Arc::new([AtomicBool::new(true), AtomicBool::new(true)]);
        House::start(wall, ca, FakeInternet(all), folder, wanted, open)
    }
}

impl House {
    /// A keeper of [`HOST`] at one authority.
    pub(crate) fn new() -> Self {
        let ground = Ground::new();
        let wanted = wanted(vec![directory(&ground.ca, "ca")]);
        ground.keep(wanted)
    }

    fn start(
        wall: Arc<Wall>,
        ca: FakeAuthority,
        internet: FakeInternet,
        folder: Arc<TempDir>,
        wanted: Wanted,
        open: Arc<[AtomicBool; 2]>,
    ) -> Self {
        let (log, lines) = Log::memory(Level::Debug);
        let telemetry = Telemetry::new(Arc::new(Metrics::new("test").unwrap()), log);
        let served = Arc::new(Served::temporary(&wanted.hosts, wall.now()).unwrap());
        let clock: Arc<dyn Clock> = Arc::clone(&wall) as _;
        let (keeping, keeper) = keep(folder.path(), Arc::clone(&served), clock, telemetry.clone());
        keeping.want(Some(wanted.clone())).unwrap();
        let wire = Wire { served, tasks: TaskTracker::new() };
        let stop = CancellationToken::new();
        let (reached, mirror, until) = (internet.clone(), wire.clone(), stop.clone());
        let work = wire.tasks.spawn(async move { keeper.work(&reached, &mirror, until).await });
        let house = Self {
            wall,
            ca,
            wire,
            keeping,
            open,
            telemetry,
            folder,
            wanted,
            internet,
            log: lines,
            stop,
            work,
        };
        house.is_where_it_leads();
        house
    }

    /// Makes the host lead here: this is where the authorities look.
    pub(crate) fn is_where_it_leads(&self) {
        let (doors, dialled) = (Arc::clone(&self.open), self.wire.clone());
        let probe = Probe::new(move |port| {
            let door = doors.get(usize::from(port == 443)).unwrap();
            let is_open = door.load(Ordering::Relaxed);
            is_open.then(|| if port == 443 { dialled.dial() } else { file_server(&dialled) })
        });
        for one in &self.internet.0 {
            one.validator(Arc::clone(&probe) as _);
        }
    }

    /// Breaks a part of the authority.
    pub(crate) fn breaks_at(&self, endpoint: Endpoint, trouble: Trouble) {
        self.ca.misbehave(|it| it.at = [(endpoint, trouble)].into());
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Lets time pass until `what` is so, or fails.
    pub(crate) async fn until(&self, limit: Duration, what: impl Fn(&Self) -> bool) {
        let step = (limit / 200).max(Duration::from_secs(1));
        for _ in 0..=200 {
            if what(self) {
                return;
            }
            sleep(step).await;
        }
        panic!("not within {limit:?}: {:?}\n{}", self.standing(), self.said());
    }

    /// Waits for the first certificate.
    pub(crate) async fn issued(self) -> Self {
        self.issued_within(10 * MINUTE).await
    }

    /// Waits for a certificate of the CA's.
    pub(crate) async fn issued_within(self, limit: Duration) -> Self {
        self.until(limit, |it| !it.is_temporary()).await;
        self
    }

    /// Ends the process as a signal does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.work.await.unwrap();
    }

    /// Ends the process as a signal does, and starts another.
    pub(crate) async fn restart(self) -> Self {
        self.stop.cancel();
        self.work.await.unwrap();
        Self::start(self.wall, self.ca, self.internet, self.folder, self.wanted, self.open)
    }

    /// Ends the process without a warning, and starts another.
    pub(crate) async fn kill(self) -> Self {
        self.work.abort();
        drop(self.work.await);
        Self::start(self.wall, self.ca, self.internet, self.folder, self.wanted, self.open)
    }

    pub(crate) fn shown(&self) -> gateway_certs::Shown {
        self.wire.served.of(HOST).unwrap()
    }

    pub(crate) fn serial(&self) -> String {
        self.shown().identity.serial
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.shown().temporary
    }

    /// How long what is served is good for, in seconds, by the right time.
    pub(crate) fn left(&self) -> i64 {
        self.shown().identity.not_after - self.wall.really()
    }

    pub(crate) fn standing(&self) -> Option<Standing> {
        self.keeping.standings().into_iter().find(|it| it.host == HOST)
    }

    pub(crate) async fn renew(&self) -> Vec<Outcome> {
        self.keeping.renew(None, "a test").await.unwrap()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("certificates")
    }

    /// A file of the store.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).unwrap()
    }

    /// The whole log.
    pub(crate) fn said(&self) -> String {
        String::from_utf8(self.log.lock().unwrap().clone()).unwrap()
    }

    /// How often something was said.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.said().matches(&format!("\"event\":\"{event}\"")).count()
    }
}

/// The least that answers http-01: what the gateway's listener does is tested with the gateway.
fn file_server(wire: &Wire) -> DuplexStream {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let (ours, mut theirs) = duplex(16 * 1024);
    let challenges = Arc::clone(wire.served.challenges());
    wire.tasks.spawn(async move {
        let mut line = String::new();
        BufReader::new(&mut theirs).read_line(&mut line).await.unwrap();
        let token = line.split(' ').nth(1).and_then(|it| it.rsplit('/').next()).unwrap().to_owned();
        let body = challenges.file(&token).unwrap_or_default();
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        drop(theirs.write_all(answer.as_bytes()).await);
    });
    ours
}

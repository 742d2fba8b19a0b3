//! A whole gateway on in-memory wires.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gateway_certs::{Clock, Identity, Keeping};
use gateway_config::{Answers, Invalid, Settings, System};
use gateway_edge::{Entry, Handshakes, Leave};
use gateway_proxy::{Rules, probe};
use gateway_telemetry::{Level, Log, Metrics, Telemetry};
use http::Request;
use http_body_util::Full;
use n8n_gateway::{Assembly, Guard, Outcome, Reloader};
use rustls::{RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Client, FakeN8n, MovedClock, Response, Wire,
    certified::{Authorities, FakeInternet, Wires},
};

/// The policy of most tests: the editor for 192.0.2.0/24, everything else at its default.
pub const POLICY: &str = "\
version: 1
site: { host: n8n.test }
tls: { self_signed: true }
networks: { team: [192.0.2.0/24] }
access: { editor: team }
state: { dir: state }
";

/// A gateway whose listeners are wires.
#[derive(Debug)]
pub struct Gateway {
    /// What n8n saw.
    pub n8n: FakeN8n,
    /// Cancelled when the gateway is to stop.
    pub stop: CancellationToken,
    /// What shutdown waits for.
    pub tasks: TaskTracker,
    /// What is said and counted.
    pub telemetry: Telemetry,
    folder: TempDir,
    reloader: Reloader,
    assembly: Assembly<Wire>,
    https: Https,
    log: Arc<Mutex<Vec<u8>>>,
}

/// The HTTPS listener: one, with one pool of connections to n8n, for all who connect.
struct Https(Box<dyn Fn(Entry<DuplexStream>) + Send + Sync>);

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Https")
    }
}

impl Gateway {
    /// Starts a gateway with `policy` in front of a fake n8n.
    ///
    /// # Errors
    ///
    /// The policy's problems.
    pub fn start(policy: &str) -> Result<Self, Invalid> {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), policy, None)
    }

    /// Starts a gateway that gets its certificates from these authorities, which look at challenges
    /// from 198.51.100.80, a stranger's address.
    ///
    /// # Errors
    ///
    /// The policy's problems.
    pub fn start_certified(policy: &str, authorities: &Authorities) -> Result<Self, Invalid> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, policy, Some(authorities))
    }

    /// Starts a gateway that can write nothing of what it remembers down, as on a full disk.
    ///
    /// # Errors
    ///
    /// The policy's problems.
    pub fn start_without_disk(policy: &str) -> Result<Self, Invalid> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("state");
        std::fs::create_dir(&state).expect("a folder");
        // SQLite cannot open a folder, and nobody but us takes it away.
        std::fs::create_dir(state.join("state.db")).expect("a folder");
        Self::start_in(folder, policy, None)
    }

    /// Gives a gateway that was started without it room for its state.
    pub fn give_disk(&self) {
        std::fs::remove_dir(self.folder.path().join("state/state.db")).expect("a folder");
    }

    fn start_in(
        folder: TempDir,
        policy: &str,
        authorities: Option<&Authorities>,
    ) -> Result<Self, Invalid> {
        let file = folder.path().join("policy.yaml");
        std::fs::write(&file, policy).expect("a policy file");
        let (log, lines) = Log::memory(Level::Debug);
        let telemetry = move |_: &Settings| {
            Ok(Telemetry::new(Arc::new(Metrics::new("test").expect("sound names")), log))
        };
        let world = Box::new(System);
        let clock: Arc<dyn Clock> = match authorities {
            Some(authorities) => Arc::clone(&authorities.clock),
            None => Arc::new(MovedClock::default()),
        };
        let mut reloader = match Reloader::begin(&file, world, Answers::new(), clock, telemetry) {
            Ok(reloader) => reloader,
            Err(why) => return Err(why.downcast::<Invalid>().expect("a problem of the policy")),
        };
        // The same on each machine.
        let loopback = ["127.0.0.1", "::1"].map(|it| it.parse().expect("an address"));
        reloader.guard().own_are(loopback);
        let (settings, telemetry) = (reloader.settings().clone(), reloader.telemetry().clone());
        let proxy_protocol = settings.listen.proxy_protocol;
        let https_port = settings.listen.https.first().map_or(443, SocketAddr::port);
        let n8n = FakeN8n::default();
        let stop = CancellationToken::new();
        let assembly = Assembly {
            rules: reloader.rules(),
            terms: reloader.terms(),
            tls: reloader.tls(),
            guard: reloader.guard().clone(),
            challenges: Arc::clone(reloader.served().challenges()),
            telemetry: telemetry.clone(),
            connect: n8n.wire(),
            proxy_protocol,
            https_port,
            leave: Leave::new(&stop),
        };
        let tasks = TaskTracker::new();
        let (keeper, until) = (reloader.guard().clone(), stop.clone());
        tasks.spawn(async move { keeper.keep(until).await });
        if let (Some(authorities), Some(keeper)) = (authorities, reloader.take_keeper()) {
            let wires = Wires { assembly: assembly.clone(), tasks: tasks.clone() };
            let stranger = IpAddr::from([198, 51, 100, 80]);
            for authority in &authorities.all {
                authority.validator(wires.probe(stranger));
            }
            let (internet, until) = (FakeInternet(authorities.all.clone()), stop.clone());
            tasks.spawn(async move { keeper.work(&internet, &wires, until).await });
        }
        let (edge, served) = (assembly.https(&tasks), tasks.clone());
        let https = Https(Box::new(move |entry| drop(served.spawn(edge.clone().serve(entry)))));
        Ok(Self { n8n, stop, tasks, telemetry, folder, reloader, assembly, https, log: lines })
    }

    /// The gateway's own folder, with `policy.yaml` in it.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Writes another policy and reads it.
    pub fn reload(&mut self, policy: &str) -> Outcome {
        std::fs::write(self.folder.path().join("policy.yaml"), policy).expect("a policy file");
        self.reloader.reload("admin")
    }

    /// Writes another policy and reads it, even if it shuts everybody out.
    pub fn force(&mut self, policy: &str) -> Outcome {
        std::fs::write(self.folder.path().join("policy.yaml"), policy).expect("a policy file");
        self.reloader.reload_with("admin", true)
    }

    /// Looks whether files have changed, as the gateway does each second.
    pub fn look(&mut self) -> Option<Outcome> {
        self.reloader.look()
    }

    /// Asks n8n's processes whether they are ready, as the gateway does again and again.
    pub async fn probe(&self) {
        let rules = self.rules();
        for upstream in rules.upstreams.all() {
            let wire = self.n8n.wire();
            probe(&wire, upstream, &rules.readiness, &self.telemetry, false).await;
        }
    }

    /// Takes down which release n8n is of, as if it had been asked.
    pub fn n8n_is(&mut self, release: &str) {
        self.reloader.found(release.parse().expect("a release"));
    }

    /// Whoever remembers clients.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        self.reloader.guard()
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.assembly.rules.borrow())
    }

    /// How handshakes are made now.
    #[must_use]
    pub fn tls(&self) -> Arc<Handshakes> {
        Arc::clone(&self.assembly.tls.borrow())
    }

    /// The hold on whoever looks after the certificates.
    #[must_use]
    pub fn keeping(&self) -> &Keeping {
        self.reloader.keeping()
    }

    /// The certificate in use.
    #[must_use]
    pub fn certificate(&self) -> Identity {
        self.reloader.served().current()
    }

    /// The lines of the log so far, as JSON.
    #[must_use]
    pub fn log(&self) -> Vec<serde_json::Value> {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = String::from_utf8_lossy(&lines);
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// A connection in clear to the HTTPS listener from `from`, before any byte.
    #[must_use]
    pub fn dial(&self, from: &str) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let peer = SocketAddr::new(from.parse::<IpAddr>().expect("an address"), 50_000);
        (self.https.0)(Entry { io: theirs, peer });
        ours
    }

    /// A connection to the HTTP listener from `from`.
    #[must_use]
    pub fn dial_http(&self, from: &str) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let peer = SocketAddr::new(from.parse::<IpAddr>().expect("an address"), 50_000);
        self.tasks.spawn(self.assembly.http(&self.tasks).serve(Entry { io: theirs, peer }));
        ours
    }

    /// The TLS handshake for `host` over `io`, with `alpn`; the gateway's own authority is trusted, or
    /// the one that is told by [`Gateway::trust`].
    ///
    /// # Errors
    ///
    /// A handshake that fails.
    pub async fn secure<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
        host: &str,
        alpn: &'static str,
    ) -> io::Result<TlsStream<IO>> {
        self.secure_with(io, host, alpn, rustls::DEFAULT_VERSIONS).await
    }

    /// Trusts `root` from now on, as far as tests shake hands.
    pub fn trust(&self, root: &CertificateDer<'_>) {
        let file = self.folder.path().join("state/ca.pem");
        std::fs::create_dir_all(self.folder.path().join("state")).expect("a folder");
        let text = BASE64_STANDARD.encode(root);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        std::fs::write(file, pem).expect("a file");
    }

    /// The same, with these versions of TLS alone.
    ///
    /// # Errors
    ///
    /// A handshake that fails.
    pub async fn secure_with<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
        host: &str,
        alpn: &'static str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<TlsStream<IO>> {
        let config = self.client_config(alpn, versions, None);
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        TlsConnector::from(config).connect(name, io).await
    }

    /// The gateway's own authority, as a client trusts it.
    pub(crate) fn roots(&self) -> RootCertStore {
        let authority = self.folder.path().join("state/ca.pem");
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(authority).expect("the authority");
        roots.add(authority).expect("an authority");
        roots
    }

    /// An HTTP/1.1 client at `from`.
    pub async fn client(&self, from: &str) -> Client {
        let io = self.secure(self.dial(from), "n8n.test", "http/1.1").await;
        Client::h1(io.expect("a handshake"), &self.tasks).await
    }

    /// An HTTP/2 client at `from`.
    pub async fn client_h2(&self, from: &str) -> Client {
        let io = self.secure(self.dial(from), "n8n.test", "h2").await;
        Client::h2(io.expect("a handshake"), &self.tasks).await
    }

    /// One request from `from` on a connection of its own. `lines` is `METHOD target` and a field
    /// a line; `host: n8n.test` is added where no host is given.
    pub async fn ask(&self, from: &str, lines: &str) -> Response {
        self.client(from).await.ask(lines).await
    }

    /// A request in the form of [`Gateway::ask`], with a body.
    #[must_use]
    pub fn request(lines: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let mut lines = lines.lines();
        let first = lines.next().expect("a request line");
        let (method, target) = first.split_once(' ').expect("a method and a target");
        let mut request = Request::builder().method(method).uri(target);
        let mut host = false;
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a field");
            host |= name.eq_ignore_ascii_case("host");
            request = request.header(name, value);
        }
        if !host {
            request = request.header("host", "n8n.test");
        }
        request.body(Full::new(body.into())).expect("a request")
    }
}

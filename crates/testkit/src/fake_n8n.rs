//! An n8n that reports what it saw and behaves as the path asks.

mod script;
mod sign_in;

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::pending;
use gateway_proxy::{Backend, Connect};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, channel::Channel};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
    time::sleep,
};
use tokio_util::task::TaskTracker;

pub use self::{
    script::Step,
    sign_in::{token, token_of},
};
use crate::Knife;

/// One request as n8n saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The process that was asked, by its URL.
    pub process: String,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The header.
    pub headers: HeaderMap,
    /// How many bytes of body there were, or `None` if the body broke off.
    pub body: Option<usize>,
    /// Its first 64 KiB.
    pub beginning: Vec<u8>,
}

/// An n8n on in-memory wires. What it does depends on the last segment of the path:
///
/// | segment | behaviour |
/// |---|---|
/// | `hang` | never answers |
/// | `break` | closes the connection instead of an answer |
/// | `half` | promises 100 bytes, sends 10 and closes |
/// | `stream` | sends what [`FakeN8n::drip`] is told, as it is told |
/// | `early` | answers 200 without reading the body |
/// | `slow` | answers after ten minutes |
/// | `401`, `500` and so on | answers with it |
/// | anything | reads the body, answers 200 with its length |
///
/// Where people sign in it answers as n8n does; see `sign_in.rs` for who has an account.
///
/// An upgrade is answered with 101, and bytes are echoed; with `half` in its query, the first half
/// of a text frame comes at once and the rest as [`FakeN8n::drip`] is told; with `bye`, n8n hangs
/// up at once.
#[derive(Clone, Debug)]
pub struct FakeN8n {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    down: AtomicBool,
    unreachable: AtomicBool,
    gone: Mutex<Option<String>>,
    bug: AtomicBool,
    script: Mutex<Option<Vec<Step>>>,
    knife: Mutex<Option<Knife>>,
    begun: AtomicUsize,
    drips: watch::Sender<Vec<Bytes>>,
    hang_up: watch::Sender<usize>,
    tasks: TaskTracker,
}

impl Default for FakeN8n {
    fn default() -> Self {
        Self {
            state: Arc::new(State {
                seen: Mutex::default(),
                connections: AtomicUsize::new(0),
                down: AtomicBool::new(false),
                unreachable: AtomicBool::new(false),
                gone: Mutex::default(),
                bug: AtomicBool::new(false),
                script: Mutex::default(),
                knife: Mutex::default(),
                begun: AtomicUsize::new(0),
                drips: watch::Sender::new(Vec::new()),
                hang_up: watch::Sender::new(0),
                tasks: TaskTracker::new(),
            }),
        }
    }
}

type Body = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

impl FakeN8n {
    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every request since this was last asked.
    #[must_use]
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many connections have been opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Refuses connections from now on, or takes them again.
    pub fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    /// Does not even refuse connections from now on, as if its network were gone, or not any more.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.state.unreachable.store(unreachable, Ordering::SeqCst);
    }

    /// Refuses connections to one of its processes, by its URL, from now on.
    pub fn set_gone(&self, process: &str) {
        *self.state.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(process.to_owned());
    }

    /// Closes every connection that is open now.
    pub fn hang_up(&self) {
        self.state.hang_up.send_modify(|times| *times += 1);
    }

    /// Makes the way to it panic, as a bug of the gateway's would, or not any more.
    pub fn set_bug(&self, bug: bool) {
        self.state.bug.store(bug, Ordering::SeqCst);
    }

    /// Does as it is told on every connection from now on, or as the path asks again.
    pub fn set_script(&self, script: Option<Vec<Step>>) {
        *self.state.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Holds up or cuts connections from now on, or not any more.
    pub fn set_knife(&self, knife: Option<Knife>) {
        *self.state.knife.lock().unwrap_or_else(PoisonError::into_inner) = knife;
    }

    /// Of how many requests at least a byte has come where it was told what to do.
    #[must_use]
    pub fn requests_begun(&self) -> usize {
        self.state.begun.load(Ordering::SeqCst)
    }

    /// Sends one more piece of a `stream`; an empty one is its end.
    pub fn drip(&self, piece: &'static str) {
        self.state.drips.send_modify(|drips| drips.push(Bytes::from_static(piece.as_bytes())));
    }

    /// The way to it.
    #[must_use]
    pub fn wire(&self) -> Wire {
        Wire { n8n: self.clone() }
    }

    fn begun(&self) {
        self.state.begun.fetch_add(1, Ordering::SeqCst);
    }

    fn note(&self, seen: Seen) {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }

    async fn serve(self, io: DuplexStream, process: String) {
        let script = self.state.script.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(script) = script {
            return self.play(script, io, &process).await;
        }
        let mut hang_up = self.state.hang_up.subscribe();
        let service = service_fn(move |request| self.clone().answer(request, process.clone()));
        let mut builder = http1::Builder::new();
        // As Node does: an idle connection is closed after five seconds.
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(5));
        // How a connection ends is what tests of the gateway look at from its other end.
        tokio::select! {
            ended = builder.serve_connection(TokioIo::new(io), service).with_upgrades() => drop(ended),
            _ = hang_up.changed() => {}
        }
    }

    /// Sends back what comes, after what the query asks for.
    async fn talk(self, upgrade: OnUpgrade, query: String) {
        let Ok(io) = upgrade.await else { return };
        let mut io = TokioIo::new(io);
        if query.contains("half") {
            self.half_a_frame(&mut io).await;
        }
        if !query.contains("bye") {
            echo(io).await;
        }
    }

    async fn answer(
        self,
        mut request: Request<Incoming>,
        process: String,
    ) -> io::Result<Response<Body>> {
        let behaviour = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let upgrade = request.headers().contains_key(header::UPGRADE);
        let upgrade = upgrade.then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let (body, form) = match behaviour.as_str() {
            "early" => (Some(0), Vec::new()),
            _ => read(body).await,
        };
        self.note(Seen {
            process,
            method: head.method.clone(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            headers: head.headers.clone(),
            body,
            beginning: form.clone(),
        });
        if let Some(upgrade) = upgrade {
            let query = head.uri.query().unwrap_or_default().to_owned();
            let tasks = self.state.tasks.clone();
            tasks.spawn(self.talk(upgrade, query));
            return Ok(switching());
        }
        let own = |text: String| Response::new(Either::Left(Full::from(text)));
        if let Some(answer) = sign_in::answer(&head, &form) {
            return Ok(answer.map(|text| Either::Left(Full::from(text))));
        }
        match behaviour.as_str() {
            "hang" => pending().await,
            "break" => Err(io::ErrorKind::ConnectionAborted.into()),
            "slow" => {
                sleep(Duration::from_mins(10)).await;
                Ok(own("at last".to_owned()))
            }
            "half" => {
                let (mut sender, channel) = Channel::new(1);
                let mut response = Response::new(Either::Right(channel));
                let promised = HeaderValue::from_static("100");
                response.headers_mut().insert(header::CONTENT_LENGTH, promised);
                self.state.tasks.spawn(async move {
                    // Who does not listen any more is no concern of n8n's.
                    drop(sender.send_data(Bytes::from_static(b"0123456789")).await);
                });
                Ok(response)
            }
            "stream" => Ok(Response::new(Either::Right(self.dripping()))),
            _ => {
                let answer = own(format!("{} bytes", body.unwrap_or_default()));
                Ok(as_asked(&behaviour, answer))
            }
        }
    }

    async fn half_a_frame(&self, io: &mut TokioIo<hyper::upgrade::Upgraded>) {
        let mut drips = self.state.drips.subscribe();
        // How it ends is what tests look at from the other end.
        drop(io.write_all(b"\x81\x05he").await);
        drop(io.flush().await);
        let told = drips.wait_for(|drips| !drips.is_empty()).await;
        let rest = told.map(|drips| drips.concat()).unwrap_or_default();
        drop(io.write_all(&rest).await);
        drop(io.flush().await);
    }

    fn dripping(&self) -> Channel<Bytes, Infallible> {
        let (mut sender, channel) = Channel::new(1);
        let mut drips = self.state.drips.subscribe();
        self.state.tasks.spawn(async move {
            let mut sent = 0;
            loop {
                let next = drips.borrow_and_update().get(sent).cloned();
                match next {
                    Some(piece) if piece.is_empty() => return,
                    Some(piece) => {
                        if sender.send_data(piece).await.is_err() {
                            return;
                        }
                        sent += 1;
                    }
                    None if drips.changed().await.is_ok() => {}
                    None => return,
                }
            }
        });
        channel
    }
}

/// An answer with the status that a segment asks for.
fn as_asked(segment: &str, mut answer: Response<Body>) -> Response<Body> {
    let failure = segment.parse::<u16>().ok().filter(|it| (400..600).contains(it));
    if let Some(failure) = failure.and_then(|it| StatusCode::from_u16(it).ok()) {
        *answer.status_mut() = failure;
    }
    answer
}

/// Reads a body to its end: its length, nothing if it broke off; and its beginning.
async fn read(mut body: Incoming) -> (Option<usize>, Vec<u8>) {
    let (mut length, mut beginning) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (None, beginning) };
        let Some(data) = frame.data_ref() else { continue };
        length += data.len();
        beginning.extend(data.iter().take((64 * 1024_usize).saturating_sub(beginning.len())));
    }
    (Some(length), beginning)
}

fn switching() -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

async fn echo(mut io: TokioIo<hyper::upgrade::Upgraded>) {
    let mut buffer = [0; 1024];
    while let Ok(read) = io.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return };
        // As every server does: a pong is no message.
        if matches!(bytes, [0x8a, 0x80, _, _, _, _]) {
            continue;
        }
        if io.write_all(bytes).await.is_err() || io.flush().await.is_err() {
            return;
        }
    }
}

/// In-memory connections to a [`FakeN8n`].
#[derive(Clone, Debug)]
pub struct Wire {
    n8n: FakeN8n,
}

impl Connect for Wire {
    type Io = DuplexStream;

    async fn connect(&self, to: &Backend) -> io::Result<DuplexStream> {
        let state = &self.n8n.state;
        assert!(!state.bug.load(Ordering::SeqCst), "a bug, on purpose");
        if state.unreachable.load(Ordering::SeqCst) {
            return pending().await;
        }
        let gone = state.gone.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if state.down.load(Ordering::SeqCst) || gone.is_some_and(|gone| gone == to.to_string()) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        state.connections.fetch_add(1, Ordering::SeqCst);
        let (ours, theirs) = duplex(64 * 1024);
        let knife = state.knife.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let n8ns = match knife {
            None => theirs,
            Some(knife) => {
                let (near, far) = duplex(64 * 1024);
                state.tasks.spawn(knife.carry(theirs, near));
                far
            }
        };
        state.tasks.spawn(self.n8n.clone().serve(n8ns, to.to_string()));
        Ok(ours)
    }
}

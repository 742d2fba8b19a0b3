//! After an upgrade: bytes both ways, until one side ends, nobody speaks for too long, the client
//! is gone, the policy no longer allows it, its client is banned, or the gateway stops. Who is
//! closed by us gets a WebSocket close frame.

mod frames;
mod pulse;

use std::{io, sync::Arc, time::Duration};

use gateway_policy::{Question, Windows};
use gateway_telemetry::{ConnectionKind, TunnelClosed};
use http::{HeaderMap, HeaderName, Method, Request, Uri, Version, header, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    frames::Frames,
    pulse::{PING, Pulse},
};
use crate::{Exchange, Live, Rules, Warden, signed::Signed};

/// How long the frame under way may take to end, and the client to answer our close.
const GOODBYE: Duration = Duration::from_secs(2);

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// Why we close a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// The policy no longer allows it.
    Policy,
    /// The window that let it in is closed.
    Window,
    /// Its client is banned.
    Banned,
    /// Nobody spoke for too long.
    Idle,
    /// The client does not answer.
    Vanished,
    /// The gateway stops.
    Shutdown,
}

impl Because {
    fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Window => "window",
            Self::Banned => "banned",
            Self::Idle => "idle",
            Self::Vanished => "vanished",
            Self::Shutdown => "shutdown",
        }
    }

    /// The close frame (RFC 6455 5.5.1): 1008 policy violation, 1001 going away, 1012 restart.
    fn frame(self) -> [u8; 4] {
        let code: u16 = match self {
            Self::Policy | Self::Window | Self::Banned => 1008,
            Self::Idle | Self::Vanished => 1001,
            Self::Shutdown => 1012,
        };
        let [high, low] = code.to_be_bytes();
        [0x88, 2, high, low]
    }
}

/// What we have to say ourselves, between two frames of n8n's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    Nothing,
    Ping,
    Close(Because),
}

/// What a later policy needs of a request's head to decide about its tunnel again.
#[derive(Debug)]
pub(crate) struct Claim {
    head: request::Parts,
    signed: Signed,
}

impl Claim {
    pub(crate) fn new(method: Method, uri: Uri, headers: &HeaderMap, warden: &impl Warden) -> Self {
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri, head.version) = (method, uri, Version::HTTP_11);
        for name in [header::HOST, header::CONNECTION, header::UPGRADE] {
            let name: HeaderName = name;
            if let Some(value) = headers.get(&name) {
                head.headers.insert(name, value.clone());
            }
        }
        Self { head, signed: Signed::of(headers, warden) }
    }

    fn still_stands(
        &self,
        rules: &Rules,
        windows: &Windows,
        exchange: &Exchange,
        warden: &impl Warden,
    ) -> bool {
        let sni = exchange.connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        let (client, shown) = (exchange.client(), exchange.connection.shown());
        let login = self.signed.login(client, rules, warden);
        let question = Question { head: &self.head, sni, client, shown, login, windows };
        rules.policy.decide(question).is_ok_and(|permit| permit.upgrade())
    }
}

/// A tunnel to be.
#[derive(Debug)]
pub(crate) struct Tunnel<W> {
    pub(crate) warden: W,
    pub(crate) claim: Claim,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) rules: Live,
    pub(crate) stop: CancellationToken,
}

impl<W: Warden> Tunnel<W> {
    /// Waits for both sides to be upgraded and carries bytes until it ends.
    pub(crate) async fn open(self, client: OnUpgrade, n8n: OnUpgrade) {
        let Ok((client, n8n)) = tokio::try_join!(client, n8n) else { return };
        let _open = self.exchange.telemetry().metrics.open(ConnectionKind::Tunnel);
        if let Some(because) = self.carry(TokioIo::new(client), TokioIo::new(n8n)).await {
            self.exchange.telemetry().say(&TunnelClosed {
                request_id: self.exchange.id().to_string(),
                client: self.exchange.client().address,
                because: because.name(),
            });
        }
    }

    async fn carry(&self, client: TokioIo<Upgraded>, n8n: TokioIo<Upgraded>) -> Option<Because> {
        let (mut from_client, mut to_client) = split(client);
        let (mut from_n8n, mut to_n8n) = split(n8n);
        let pulse = Pulse::now();
        let (say, said) = watch::channel(Say::Nothing);

        let mut told = said.clone();
        let up = async {
            let carried = pump(&mut from_client, &mut to_n8n, |bytes| {
                pulse.client(bytes);
                self.exchange.receive(bytes.len());
            });
            let closed = async { drop(told.wait_for(|it| matches!(it, Say::Close(_))).await) };
            tokio::select! {
                // An end and an error are alike: the other side is told by its own end.
                ended = carried => {
                    drop(ended);
                    drop(to_n8n.shutdown().await);
                }
                // Once we close, n8n hears no more of the client, and may end its frame.
                () = closed => {
                    drop(pump(&mut from_client, &mut tokio::io::sink(), |_| {}).await);
                }
            }
        };
        let down = async {
            let count = |bytes: &[u8]| {
                pulse.n8n();
                self.exchange.send(bytes.len());
            };
            drop(downward(&mut from_n8n, &mut to_client, said, count).await);
            drop(to_client.shutdown().await);
        };
        let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
        // One side that has ended leaves the other a moment to end as well, and no more: a
        // WebSocket has no use for half a connection.
        tokio::select! {
            () = up.as_mut() => {
                drop(timeout(GOODBYE, down).await);
                None
            }
            () = down.as_mut() => {
                drop(timeout(GOODBYE, up).await);
                None
            }
            because = self.until_closed(&pulse, &say) => {
                say.send_replace(Say::Close(because));
                // The close frame is on its way; a polite client answers it.
                drop(timeout(GOODBYE, async { tokio::join!(up, down) }).await);
                Some(because)
            }
        }
    }

    /// Waits for a reason to close.
    async fn until_closed(&self, pulse: &Pulse, say: &watch::Sender<Say>) -> Because {
        let (idle, ping) = (self.exchange.rules.timeouts.tunnel, self.exchange.rules.timeouts.ping);
        let (mut rules, mut bans) = (self.rules.clone(), self.warden.bans());
        let mut windows = self.warden.windows();
        // What changed between the decision and now is looked at as well.
        rules.mark_changed();
        bans.mark_changed();
        windows.mark_changed();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Because::Shutdown,
                changed = rules.changed() => {
                    let now = Arc::clone(&rules.borrow_and_update());
                    let open = Arc::clone(&windows.borrow());
                    match changed {
                        Ok(()) if self.claim.still_stands(&now, &open, &self.exchange, &self.warden) => {}
                        Ok(()) => return Because::Policy,
                        Err(_) => return Because::Shutdown,
                    }
                }
                Ok(()) = windows.changed() => {
                    let open = Arc::clone(&windows.borrow_and_update());
                    let now = Arc::clone(&rules.borrow());
                    if !self.claim.still_stands(&now, &open, &self.exchange, &self.warden) {
                        return Because::Window;
                    }
                }
                Ok(()) = bans.changed() => {
                    bans.mark_unchanged();
                    let (case, path) = (self.exchange.case(), self.claim.head.uri.path());
                    let now = Arc::clone(&rules.borrow());
                    if let Some(durable) = self.warden.turns_away(&case, path, &now) {
                        durable.await;
                        return Because::Banned;
                    }
                    // The operator may have ended its session.
                    let open = Arc::clone(&windows.borrow());
                    if !self.claim.still_stands(&now, &open, &self.exchange, &self.warden) {
                        return Because::Policy;
                    }
                }
                () = sleep_until(pulse.last() + idle) => {
                    if pulse.last() + idle <= Instant::now() {
                        return Because::Idle;
                    }
                }
                () = sleep_until(pulse.client_last() + ping) => {
                    if pulse.client_last() + ping > Instant::now() {
                        continue;
                    }
                    if !pulse.ask() {
                        return Because::Vanished;
                    }
                    say.send_replace(Say::Ping);
                }
            }
        }
    }
}

/// Carries bytes one way until they end.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut seen: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        seen(bytes);
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}

/// Carries n8n's frames to the client, and between two of them what we have to say; a close frame
/// is the last one.
async fn downward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut said: watch::Receiver<Say>,
    mut seen: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; CHUNK];
    let mut say = Say::Nothing;
    loop {
        if said.has_changed().unwrap_or(false) {
            say = *said.borrow_and_update();
        }
        if frames.between() {
            match std::mem::replace(&mut say, Say::Nothing) {
                Say::Nothing => {}
                Say::Ping => {
                    to.write_all(&PING).await?;
                    to.flush().await?;
                }
                Say::Close(because) => {
                    to.write_all(&because.frame()).await?;
                    return to.flush().await;
                }
            }
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read?,
            Ok(()) = said.changed() => {
                said.mark_changed();
                continue;
            }
        };
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        seen(bytes);
        frames.pass(bytes);
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}

//! Somebody else's machine: whoever connects to it reaches the gateway from its address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_util::{sync::CancellationToken, sync::DropGuard, task::TaskTracker};

/// Passes connections on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Relay {
    /// Listens on `at` and passes connections on to a gateway's port, from the address `from`.
    pub(crate) async fn start(at: impl Into<SocketAddr>, from: IpAddr, port: u16) -> Self {
        let listener = TcpListener::bind(at.into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        tasks.clone().spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let passed = pass_on(client, from, port);
                tasks.spawn(stopped.clone().run_until_cancelled_owned(passed));
            }
        }));
        Self { address, _stop: stop.drop_guard() }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

/// A connection that the gateway drops is dropped here, too.
async fn pass_on(mut client: TcpStream, from: IpAddr, port: u16) -> Option<()> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::new(from, 0)).ok()?;
    let mut gateway = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.ok()?;
    copy_bidirectional(&mut client, &mut gateway).await.ok().map(|_| ())
}

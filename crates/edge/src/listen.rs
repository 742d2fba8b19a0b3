//! Sockets to listen on: our own, or those that systemd hands over.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, not ours, or needs a privilege.
    #[error("cannot listen on {address}{}", hint(.source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A socket handed over by systemd is not what it should be.
    #[error("the socket handed over by systemd for {0} cannot be used")]
    Activated(SocketAddr, #[source] io::Error),
}

fn hint(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need CAP_NET_BIND_SERVICE or socket activation)"
        }
        io::ErrorKind::AddrInUse => " (is another server running?)",
        _ => "",
    }
}

/// A client whose machine is gone without a word is asked for after a minute. Who is there and does
/// not read is [`crate::Bounds::pace`]'s business.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// How much of an answer waits in the kernel beside what is under way. Half of it gone is a sign of
/// life; without a bound it would be a third of megabytes, and a slow reader look like none at all.
const UNSENT: u32 = 64 * 1024;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens on `address`. An unspecified IPv6 address takes IPv4 clients as well, and falls back
/// to IPv4 alone where the machine has no IPv6.
///
/// # Errors
///
/// An address that cannot be listened on.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = listener(address).or_else(|why| match address {
        SocketAddr::V6(v6)
            if v6.ip().is_unspecified() && why.raw_os_error() == Some(NO_ADDRESS_FAMILY) =>
        {
            listener(SocketAddr::from(([0, 0, 0, 0], v6.port())))
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => Err(why),
    });
    bound.map_err(|source| ListenError::Bind { address, source })
}

/// Linux `EAFNOSUPPORT`.
const NO_ADDRESS_FAMILY: i32 = 97;

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    patient(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What connections inherit from the socket that they come in by.
fn patient(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_keepalive(&KEEP_ALIVE)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

/// Sockets that systemd handed over (`LISTEN_FDS`), or another process, to be taken by their address.
#[derive(Debug, Default)]
pub struct Activated {
    sockets: Vec<TcpListener>,
    /// Whether another gateway opened them, for a policy that may have named other addresses.
    ours: bool,
}

impl Activated {
    /// Takes what systemd handed over; nothing if it started no socket for us.
    #[must_use]
    pub fn from_env() -> Self {
        let mut handed = ListenFd::from_env();
        let all = 0..handed.len();
        let sockets = all.filter_map(|at| handed.take_tcp_listener(at).ok().flatten()).collect();
        Self { sockets, ours: false }
    }

    /// Takes what another process hands over.
    #[must_use]
    pub fn from_sockets(sockets: Vec<TcpListener>) -> Self {
        Self { sockets, ours: true }
    }

    /// The socket for `address` if there is one, else a new one. One of systemd's is meant if its
    /// port is the same: its unit and the policy may spell "everywhere" differently. Another
    /// gateway's is meant only if it listens where this one is to.
    ///
    /// # Errors
    ///
    /// An address that cannot be listened on.
    pub fn take_or_bind(&mut self, address: SocketAddr) -> Result<TcpListener, ListenError> {
        let meant = |socket: &TcpListener| {
            socket.local_addr().is_ok_and(|it| {
                let everywhere = it.ip().is_unspecified() && address.ip().is_unspecified();
                it.port() == address.port() && (!self.ours || it == address || everywhere)
            })
        };
        match self.sockets.iter().position(meant) {
            Some(at) => {
                let socket = self.sockets.swap_remove(at);
                let ready =
                    socket.set_nonblocking(true).and_then(|()| patient(&SockRef::from(&socket)));
                ready.map(|()| socket).map_err(|why| ListenError::Activated(address, why))
            }
            None => bind(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_takes_both_families() {
        let listener = bind("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn connections_inherit_how_long_they_are_waited_for() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT);
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    }

    #[test]
    fn a_taken_address_says_so() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let why = bind(first.local_addr().unwrap()).unwrap_err().to_string();
        assert!(why.contains("is another server running?"), "{why}");
    }

    #[test]
    fn a_socket_is_known_by_its_port() {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut activated = Activated { sockets: vec![socket], ours: false };
        let taken = activated.take_or_bind(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        assert_eq!(taken.local_addr().unwrap().ip().to_string(), "127.0.0.1");
        assert!(activated.sockets.is_empty());
    }

    /// A policy that listens less widely than the last one is not served by its sockets.
    #[test]
    fn another_gateways_socket_is_known_by_its_address() {
        let everywhere = bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = everywhere.local_addr().unwrap().port();
        let mut taken = Activated::from_sockets(vec![everywhere]);
        let narrow = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(taken.take_or_bind(narrow).is_err(), "it is open to everybody");
        assert!(taken.take_or_bind(format!("[::]:{port}").parse().unwrap()).is_ok());
    }
}

//! A gateway that gets its certificates from authorities in memory.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use gateway_certs::{Clock, Directory, Internet, Look, Mirror, NoInternet, shown};
use gateway_edge::Entry;
use instant_acme::HttpClient;
use n8n_gateway::Assembly;
use tokio::io::{DuplexStream, duplex};
use tokio_util::task::TaskTracker;

use crate::{FakeAuthority, Wire, probe::Probe};

/// An internet that these authorities are in, and nobody else.
#[derive(Clone, Debug)]
pub struct FakeInternet(pub Vec<FakeAuthority>);

impl Internet for FakeInternet {
    fn way(&self, _: &Directory) -> Result<Box<dyn HttpClient>, NoInternet> {
        Ok(FakeAuthority::network(&self.0))
    }
}

/// Authorities, and the time that they and the gateway have.
#[derive(Debug)]
pub struct Authorities {
    /// Who can be asked.
    pub all: Vec<FakeAuthority>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The wires of a gateway's listeners.
#[derive(Clone, Debug)]
pub(crate) struct Wires {
    pub(crate) assembly: Assembly<Wire>,
    pub(crate) tasks: TaskTracker,
}

impl Wires {
    /// A connection from `from` to the HTTPS listener, or to that of HTTP.
    pub(crate) fn dial(&self, from: IpAddr, port: u16) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let entry = Entry { io: theirs, peer: SocketAddr::new(from, 50_000) };
        if port == 80 {
            self.tasks.spawn(self.assembly.http(&self.tasks).serve(entry));
        } else {
            self.tasks.spawn(self.assembly.https(&self.tasks).serve(entry));
        }
        ours
    }

    /// What an authority at `from` sees.
    pub(crate) fn probe(&self, from: IpAddr) -> Arc<Probe> {
        let wires = self.clone();
        Probe::new(move |port| Some(wires.dial(from, port)))
    }
}

impl Mirror for Wires {
    fn look<'a>(&'a self, host: &'a str) -> Look<'a> {
        Box::pin(async move {
            let own: IpAddr = "127.0.0.1".parse().map_err(io::Error::other)?;
            shown(self.dial(own, 443), host).await
        })
    }
}

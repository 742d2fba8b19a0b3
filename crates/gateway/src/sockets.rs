//! The listening sockets: opened by this process, or handed to it by systemd or by the process that
//! it takes over from.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
};

use anyhow::Context;
use gateway_config::{Admin, Settings};
use gateway_edge::Activated;

use crate::admin::Socket;

/// All that a gateway listens on.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) https: Vec<TcpListener>,
    pub(crate) http: Vec<TcpListener>,
    pub(crate) operator: Listener,
}

impl Sockets {
    /// Opens what the settings name, unless it is among `activated`, or the operator's socket is
    /// `operator`.
    pub(crate) fn open(
        settings: &Settings,
        mut activated: Activated,
        operator: Option<Listener>,
    ) -> anyhow::Result<Self> {
        let mut open = |addresses: &[SocketAddr]| {
            let open = addresses.iter().map(|address| activated.take_or_bind(*address));
            open.collect::<Result<Vec<_>, _>>()
        };
        let (https, http) = (open(&settings.listen.https)?, open(&settings.listen.http)?);
        let admin = &settings.listen.admin;
        let operator = match operator.filter(|it| it.is(admin)) {
            Some(operator) => operator,
            None => Listener::open(admin)
                .with_context(|| format!("cannot open the admin listener ({admin:?})"))?,
        };
        Ok(Self { https, http, operator })
    }

    /// Where strangers and the operator find them.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let address = |scheme: &'static str| {
            move |it: &TcpListener| it.local_addr().ok().map(|it| format!("{scheme}://{it}"))
        };
        let https = self.https.iter().filter_map(address("https"));
        let strangers = https.chain(self.http.iter().filter_map(address("http")));
        strangers.chain([self.operator.address()]).collect()
    }

    /// What strangers come to, and last what the operator comes to.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let strangers = self.https.iter().chain(&self.http).map(AsFd::as_fd);
        strangers.chain([self.operator.as_fd()]).collect()
    }
}

/// The same listeners again.
pub(crate) fn clones(listeners: &[TcpListener]) -> io::Result<Vec<TcpListener>> {
    listeners.iter().map(TcpListener::try_clone).collect()
}

/// A socket of the operator's.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// A Unix socket is for its owner and group; one that a dead process left behind is replaced.
    fn open(admin: &Admin) -> io::Result<Self> {
        let listener = match admin {
            Admin::Unix(path) => Self::Unix(unix(path)?),
            Admin::Tcp(address, _) => Self::Tcp(TcpListener::bind(address)?),
        };
        listener.ready()
    }

    /// Never waited for: a runtime looks after it.
    pub(crate) fn ready(self) -> io::Result<Self> {
        match &self {
            Self::Unix(it) => it.set_nonblocking(true)?,
            Self::Tcp(it) => it.set_nonblocking(true)?,
        }
        Ok(self)
    }

    /// For a runtime.
    pub(crate) fn into_socket(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Unix(it) => Socket::Unix(tokio::net::UnixListener::from_std(it)?),
            Self::Tcp(it) => Socket::Tcp(tokio::net::TcpListener::from_std(it)?),
        })
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(it) => Self::Unix(it.try_clone()?),
            Self::Tcp(it) => Self::Tcp(it.try_clone()?),
        })
    }

    /// Whether it is the one that the settings name.
    fn is(&self, admin: &Admin) -> bool {
        match (self, admin) {
            (Self::Unix(it), Admin::Unix(path)) => {
                it.local_addr().is_ok_and(|it| it.as_pathname() == Some(path))
            }
            (Self::Tcp(it), Admin::Tcp(address, _)) => {
                it.local_addr().is_ok_and(|it| it == *address)
            }
            (Self::Unix(_), Admin::Tcp(..)) | (Self::Tcp(_), Admin::Unix(_)) => false,
        }
    }

    pub(crate) fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    fn address(&self) -> String {
        match self {
            Self::Unix(it) => {
                let address = it.local_addr().ok();
                let path = address.as_ref().and_then(|it| it.as_pathname());
                path.map(|path| format!("unix:{}", path.display())).unwrap_or_default()
            }
            Self::Tcp(it) => it.local_addr().map(|it| it.to_string()).unwrap_or_default(),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(it) => it.as_fd(),
            Self::Tcp(it) => it.as_fd(),
        }
    }
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if let Ok(there) = std::fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            let why = format!("{} is there and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

//! The other side of an upgrade: what a process does that takes over from a running one.

use std::{
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixListener},
};

use anyhow::{Context, bail};
use gateway_edge::Activated;

use super::{Greeting, PATIENCE, Permission, Progress, line::Line};
use crate::sockets::Listener;

/// The process that serves until this one does.
#[derive(Debug)]
pub(crate) struct Predecessor {
    line: Line,
}

impl Predecessor {
    /// Hears from it what it listens on.
    pub(crate) fn meet() -> anyhow::Result<(Self, Activated, Listener)> {
        let line =
            Line::given().context("`--take-over` is for a gateway to say, not for people")?;
        let greeting = line.hear::<Greeting>(Some(PATIENCE));
        let Some((Greeting { unix }, mut sockets)) = greeting.context("the running gateway")?
        else {
            bail!("the gateway to take over from is gone");
        };
        let operator = sockets.pop().context("no socket was handed over")?;
        let operator = operator_of(operator, unix).ready()?;
        let strangers = sockets.into_iter().map(TcpListener::from).collect();
        Ok((Self { line }, Activated::from_sockets(strangers), operator))
    }

    /// Says that everything is ready but what two cannot have at once, and waits until it is this
    /// process's.
    pub(crate) fn ready(&self) -> anyhow::Result<()> {
        self.line.say(&Progress::Ready, &[])?;
        match self.line.hear::<Permission>(Some(PATIENCE))? {
            Some((Permission::Yours, _)) => Ok(()),
            None => bail!("the gateway to take over from is gone"),
        }
    }

    /// Says that this process serves. If nobody hears it any more, it serves all the same.
    pub(crate) fn serving(&self) {
        drop(self.line.say(&Progress::Serving, &[]));
    }

    /// Says why this process will not serve.
    pub(crate) fn failed(&self, why: &anyhow::Error) {
        let problems = why.is::<gateway_config::Invalid>();
        let why = if problems { why.to_string() } else { format!("{why:#}") };
        let why = why.chars().take(MOST).collect();
        drop(self.line.say(&Progress::Failed(why), &[]));
    }
}

/// How much of what is wrong is told, in characters.
const MOST: usize = 8000;

fn operator_of(socket: OwnedFd, unix: bool) -> Listener {
    if unix {
        Listener::Unix(UnixListener::from(socket))
    } else {
        Listener::Tcp(TcpListener::from(socket))
    }
}

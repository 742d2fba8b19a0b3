//! Another process takes over, and no connection is lost: the sockets that are listened on are the
//! same.
//!
//! The new process reads the policy, gets its certificate and confines itself while the old one
//! serves. Then the old one lets go of what two cannot have at once, the ledger's file; the new one
//! reads it and serves; and only then does the old one take nothing new. Until that moment whatever
//! goes wrong leaves the old one serving.

mod line;
mod predecessor;
mod starter;

use std::{io, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::spawn_blocking};

use self::{line::Line, starter::Starter};
pub(crate) use self::{predecessor::Predecessor, starter::work as work_as_starter};
use crate::{guard::Writing, sockets::Sockets};

/// What the old process says first; the operator's socket is the last of those it hands over.
#[derive(Debug, Deserialize, Serialize)]
struct Greeting {
    /// Whether the operator's is a Unix socket.
    unix: bool,
}

/// How far the new process is.
#[derive(Debug, Deserialize, Serialize)]
enum Progress {
    Ready,
    Serving,
    Failed(String),
}

/// That the new process may have what there is only once.
#[derive(Debug, Deserialize, Serialize)]
enum Permission {
    Yours,
}

/// How long each step of the new process may take: it may have to wait for names.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever starts others, as long as there may be one.
#[derive(Debug)]
pub(crate) struct Starters(Result<Starter, String>);

impl Starters {
    /// Before this process is confined.
    pub(crate) fn begin(policy: &Path, confined: bool) -> Self {
        if std::process::id() == 1 {
            let why = "this is the first process of a container, which ends with it: replace the \
                       container";
            return Self(Err(why.to_owned()));
        }
        let parent = rustix::process::getppid().map(|it| it.as_raw_nonzero().get());
        if parent == Some(1) && !Path::new("/run/systemd/system").exists() {
            let why = "the first process of this container started it and ends with it: replace the \
                       container";
            return Self(Err(why.to_owned()));
        }
        let begun = Starter::begin(policy, confined);
        Self(begun.map_err(|why| format!("the helper that starts processes: {why}")))
    }
}

/// What an upgrade works with.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) starters: Starters,
    pub(crate) sockets: Sockets,
    pub(crate) writing: Arc<tokio::sync::Mutex<Writing>>,
}

/// How an upgrade ended: the process that serves now, or why none does.
pub(crate) type Ended = Result<u32, String>;

/// Where the operator waits for the end.
pub(crate) type Waiting = oneshot::Sender<Ended>;

impl Upgrade {
    /// Starts another process and hands over to it. If that fails this one goes on as before.
    pub(crate) async fn attempt(self: Arc<Self>) -> Ended {
        self.try_to().await.map_err(|why| format!("{why:#}"))
    }

    async fn try_to(self: Arc<Self>) -> anyhow::Result<u32> {
        let this = Arc::clone(&self);
        let begun = spawn_blocking(move || this.prepare()).await??;
        let successor = Arc::new(begun);
        // From here on what is remembered is the new process's, unless it fails.
        self.writing.lock().await.let_go().await;
        let (this, it) = (Arc::clone(&self), Arc::clone(&successor));
        let done = spawn_blocking(move || this.hand_over(&it)).await;
        match done.map_err(anyhow::Error::from).and_then(|done| done) {
            Ok(()) => Ok(successor.process),
            Err(why) => {
                self.writing.lock().await.go_on();
                Err(why)
            }
        }
    }

    /// Starts another process, and waits until it is ready.
    fn prepare(&self) -> anyhow::Result<Successor> {
        let starter = self.starter()?;
        let (line, theirs) = Line::pair()?;
        let process = starter.start(theirs).context("cannot start another process")?;
        let successor = Successor { process, line };
        let descriptors = self.sockets.descriptors();
        let greeting = Greeting { unix: self.sockets.operator.is_unix() };
        // One that is gone already is asked why below.
        drop(successor.line.say(&greeting, &descriptors));
        match successor.line.hear::<Progress>(Some(PATIENCE)) {
            Ok(Some((Progress::Ready, _))) => Ok(successor),
            other => Err(self.given_up(&successor, other)),
        }
    }

    fn hand_over(&self, successor: &Successor) -> anyhow::Result<()> {
        drop(successor.line.say(&Permission::Yours, &[]));
        match successor.line.hear::<Progress>(Some(PATIENCE)) {
            Ok(Some((Progress::Serving, _))) => {
                self.starter()?.dismiss();
                Ok(())
            }
            other => Err(self.given_up(successor, other)),
        }
    }

    fn starter(&self) -> anyhow::Result<&Starter> {
        match &self.starters.0 {
            Ok(starter) => Ok(starter),
            Err(why) => bail!(why.clone()),
        }
    }

    /// Why a process does not take over, whatever it was; it is ended.
    fn given_up<T>(
        &self,
        successor: &Successor,
        said: io::Result<Option<(Progress, T)>>,
    ) -> anyhow::Error {
        let process = successor.process;
        let how = self.starter().and_then(|starter| match &said {
            // It ends by itself.
            Ok(None | Some((Progress::Failed(_), _))) => {
                Ok(starter.how_it_ended(process).or_else(|_| starter.end(process))?)
            }
            Ok(Some(_)) | Err(_) => Ok(starter.end(process)?),
        });
        let how = how.unwrap_or_else(|why| format!("{why:#}"));
        match said {
            Ok(Some((Progress::Failed(why), _))) => anyhow::anyhow!("{why}"),
            Ok(None) => anyhow::anyhow!(
                "the new process ended before it served ({how}); what it said is in the log"
            ),
            Ok(Some(_)) => anyhow::anyhow!("the new process does not follow"),
            Err(why) if why.kind() == io::ErrorKind::TimedOut => {
                let seconds = PATIENCE.as_secs();
                anyhow::anyhow!("the new process was not ready within {seconds} s and was ended")
            }
            Err(why) => anyhow::Error::new(why).context("the new process"),
        }
    }
}

/// The process that is to take over.
#[derive(Debug)]
struct Successor {
    process: u32,
    line: Line,
}

//! Whoever writes the ledger down, for as long as its file is this process's.

use std::time::Duration;

use gateway_edge::Leave;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Guard;

/// How long a change waits for another process to take over.
const PATIENCE: Duration = Duration::from_secs(20);

/// The writing of the ledger: begun, broken off, taken up again.
#[derive(Debug)]
pub(crate) struct Writing {
    guard: Guard,
    tasks: TaskTracker,
    now: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Writing {
    pub(crate) fn begin(guard: Guard, tasks: TaskTracker) -> Self {
        let mut writing = Self { guard, tasks, now: None };
        writing.write();
        writing
    }

    fn write(&mut self) {
        let (guard, until) = (self.guard.clone(), CancellationToken::new());
        let stop = until.clone();
        self.now = Some((until, self.tasks.spawn(async move { guard.keep(stop).await })));
    }

    /// Writes what is to be written, and closes the file: another process may have it. Bans that
    /// are made from now on hold from memory.
    pub(crate) async fn let_go(&mut self) {
        if let Some((until, task)) = self.now.take() {
            self.guard.ledger().lend(true);
            until.cancel();
            // A bug in it has been told, and there is nothing more to close.
            drop(task.await);
        }
    }

    /// Writes again, what came meanwhile first.
    pub(crate) fn go_on(&mut self) {
        if self.now.is_none() {
            self.guard.reopen();
            self.guard.ledger().lend(false);
            self.write();
        }
    }
}

impl Guard {
    /// Whether what is remembered is this process's to change. While another one is about to take
    /// over that is not known, and waited for: what was changed meanwhile would be lost.
    pub(crate) async fn is_ours(&self, leave: &Leave) -> bool {
        let mut lent = self.ledger().lent();
        tokio::select! {
            // A process that ends and has lent nothing carries out what is under way.
            biased;
            back = lent.wait_for(|lent| !lent) => back.is_ok(),
            () = leave.retired() => false,
            // Whoever takes over, or the disk, is slow.
            () = sleep(PATIENCE) => false,
        }
    }
}

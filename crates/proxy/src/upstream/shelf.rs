//! Connections that are kept for the next request.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::http1;
use tokio::time::{Instant, sleep};
use tokio_util::{sync::DropGuard, task::TaskTracker};

use super::{Backend, Upstream, upload::Upload, wire::Signs};

/// n8n closes an idle connection after 5 s (Node's `keepAliveTimeout`). One that is older than
/// this could be closing while a request travels to it.
const KEPT_FOR: Duration = Duration::from_secs(4);

/// How many idle connections are kept to one process.
const KEPT: usize = 256;

/// A connection. Dropped, it is closed, whatever is under way on it: what is left of an answer, or
/// of a request that was answered before its end.
pub(crate) struct Connection<B> {
    pub(crate) sender: http1::SendRequest<Upload<B>>,
    pub(crate) signs: Arc<Signs>,
    pub(crate) _close: DropGuard,
}

type Kept<B> = HashMap<Backend, Vec<(Connection<B>, Instant)>>;

/// Idle connections, closed when they are too old.
pub(crate) struct Shelf<B> {
    kept: Mutex<Kept<B>>,
    swept: AtomicBool,
    /// Ends when the shelf is dropped, and nobody waits for it.
    tasks: TaskTracker,
}

impl<B: Send + 'static> Shelf<B> {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), swept: AtomicBool::new(false), tasks: TaskTracker::new() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<B>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that takes a request at once.
    pub(crate) fn take(&self, backend: &Backend) -> Option<Connection<B>> {
        let mut kept = self.kept();
        let kept = kept.get_mut(backend)?;
        // The last one that came is the freshest, and the first to be ready again.
        let ready = kept.iter().rposition(|(connection, _)| connection.sender.is_ready())?;
        let taken = kept.swap_remove(ready);
        is_fresh(&taken).then_some(taken.0)
    }

    /// Keeps a connection, or closes it.
    pub(crate) fn keep(self: &Arc<Self>, upstream: &Upstream, connection: Connection<B>) {
        // Where others wait for room, it is theirs.
        if connection.sender.is_closed() || upstream.is_full() {
            return;
        }
        let mut kept = self.kept();
        let kept = kept.entry(upstream.backend.clone()).or_default();
        if kept.len() >= KEPT {
            kept.retain(is_fresh);
        }
        if kept.len() < KEPT {
            kept.push((connection, Instant::now()));
        }
        if !self.swept.swap(true, Ordering::Relaxed) {
            self.tasks.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what is too old, and tells whether something is left.
    fn tidy(&self) -> bool {
        let mut kept = self.kept();
        kept.retain(|_, kept| {
            kept.retain(is_fresh);
            !kept.is_empty()
        });
        // Under the lock, so that what is kept next is swept as well.
        self.swept.store(!kept.is_empty(), Ordering::Relaxed);
        !kept.is_empty()
    }
}

/// Not everything that answers for n8n closes idle connections, and they take others' room.
async fn sweep<B: Send + 'static>(shelf: std::sync::Weak<Shelf<B>>) {
    loop {
        sleep(KEPT_FOR).await;
        if !shelf.upgrade().is_some_and(|shelf| shelf.tidy()) {
            return;
        }
    }
}

fn is_fresh<B>((connection, since): &(Connection<B>, Instant)) -> bool {
    !connection.sender.is_closed() && since.elapsed() < KEPT_FOR
}

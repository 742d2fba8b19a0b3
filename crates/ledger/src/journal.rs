//! What still has to be written. Whoever must not go on before it is durable waits for it.
//!
//! Changes to one thing replace each other, so that what waits is never more than what there is.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gateway_telemetry::{StateRecovered, StateWriteFailed, Telemetry};
use ipnet::IpNet;
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{Change, Store, StoreError};

/// How long to wait before a store that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// So many changes are written in one go.
const BATCH: usize = 10_000;

/// When a change was made: the how manyth it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Ban(IpNet),
    Past(IpAddr),
    Visitor(IpAddr),
}

impl Change {
    fn subject(&self) -> Subject {
        match self {
            Self::Ban(net, _) => Subject::Ban(*net),
            Self::Past(client, _) => Subject::Past(*client),
            Self::Visitor(client, _) => Subject::Visitor(*client),
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    changes: BTreeMap<Subject, Change>,
    last: Entry,
}

/// What still has to be written.
#[derive(Debug)]
pub(crate) struct Journal {
    waiting: Mutex<Waiting>,
    wake: Notify,
    settled: watch::Sender<Entry>,
}

impl Default for Journal {
    fn default() -> Self {
        let settled = watch::Sender::new(Entry::default());
        Self { waiting: Mutex::default(), wake: Notify::new(), settled }
    }
}

impl Journal {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changes down to be written soon.
    pub(crate) fn post(&self, changes: impl IntoIterator<Item = Change>) -> Entry {
        let mut waiting = self.waiting();
        waiting.last.0 += 1;
        for change in changes {
            waiting.changes.insert(change.subject(), change);
        }
        self.wake.notify_one();
        waiting.last
    }

    /// The last change that was taken down.
    pub(crate) fn latest(&self) -> Entry {
        self.waiting().last
    }

    /// Waits until everything up to `entry` is durable, or cannot be made so for now: a store that
    /// fails keeps nobody waiting.
    pub(crate) async fn settled(&self, entry: Entry) {
        // The sender lives as long as this does.
        drop(self.settled.subscribe().wait_for(|settled| *settled >= entry).await);
    }

    /// Whether everything up to `entry` has been settled.
    pub(crate) fn is_settled(&self, entry: Entry) -> bool {
        *self.settled.borrow() >= entry
    }

    /// Writes what is taken down, until `stop` and everything is written or cannot be.
    pub(crate) async fn keep(
        &self,
        store: Box<dyn Store>,
        telemetry: Telemetry,
        stop: CancellationToken,
    ) {
        let store = Arc::new(Mutex::new(store));
        let mut failing = false;
        loop {
            let (batch, up_to) = self.take();
            if batch.is_empty() {
                tokio::select! {
                    () = self.wake.notified() => continue,
                    () = stop.cancelled() => return,
                }
            }
            let batch = Arc::new(batch);
            match write(&store, &batch).await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        telemetry.say(&StateRecovered {});
                    }
                    self.settle(up_to);
                }
                Err(why) => {
                    let first = !std::mem::replace(&mut failing, true);
                    telemetry.say(&StateWriteFailed { error: why.to_string(), first });
                    self.give_back(&batch);
                    self.settle(self.waiting().last);
                    tokio::select! {
                        () = sleep(RETRY) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    fn settle(&self, up_to: Entry) {
        self.settled.send_if_modified(|settled| {
            let news = *settled < up_to;
            *settled = up_to.max(*settled);
            news
        });
    }

    /// What is written next, and how far that goes.
    fn take(&self) -> (Vec<Change>, Entry) {
        let mut waiting = self.waiting();
        if waiting.changes.len() <= BATCH {
            return (std::mem::take(&mut waiting.changes).into_values().collect(), waiting.last);
        }
        let first = std::iter::from_fn(|| waiting.changes.pop_first());
        (first.take(BATCH).map(|(_, change)| change).collect(), Entry::default())
    }

    /// Takes back what could not be written, unless there is something newer.
    fn give_back(&self, batch: &[Change]) {
        let mut waiting = self.waiting();
        for change in batch {
            waiting.changes.entry(change.subject()).or_insert_with(|| change.clone());
        }
    }
}

async fn write(
    store: &Arc<Mutex<Box<dyn Store>>>,
    batch: &Arc<Vec<Change>>,
) -> Result<(), StoreError> {
    let (store, batch) = (Arc::clone(store), Arc::clone(batch));
    let write = move || store.lock().unwrap_or_else(PoisonError::into_inner).write(&batch);
    // A bug in a store is a failure to write: it must not end the keeping.
    tokio::task::spawn_blocking(write).await.unwrap_or_else(|bug| Err(StoreError::new(bug)))
}

#[cfg(test)]
mod tests {
    use gateway_telemetry::{Level, Log, Metrics};
    use tokio::time::{Instant, pause};

    use super::*;
    use crate::store::Change;

    fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A store that keeps what it is told in a list, and fails as long as it is broken.
    #[derive(Clone, Default)]
    struct List {
        kept: Arc<Mutex<Vec<Change>>>,
        broken: Arc<Mutex<bool>>,
    }

    impl Store for List {
        fn load(&mut self) -> Result<Vec<Change>, StoreError> {
            Ok(locked(&self.kept).clone())
        }

        fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
            if *locked(&self.broken) {
                return Err(StoreError::new("no space left"));
            }
            locked(&self.kept).extend_from_slice(changes);
            Ok(())
        }
    }

    fn forget(n: u8) -> Change {
        Change::Past([192, 0, 2, n].into(), None)
    }

    fn telemetry() -> (Telemetry, Arc<Mutex<Vec<u8>>>) {
        let (log, lines) = Log::memory(Level::Info);
        (Telemetry::new(Arc::new(Metrics::new("0").unwrap()), log), lines)
    }

    #[tokio::test]
    async fn what_is_settled_is_written() {
        let (journal, list, stop) =
            (Arc::new(Journal::default()), List::default(), CancellationToken::new());
        let (store, ends, (telemetry, _)) = (Box::new(list.clone()), stop.clone(), telemetry());
        let keeper = Arc::clone(&journal);
        let kept = async move { keeper.keep(store, telemetry, ends).await };
        let asks = async {
            for n in 0..20 {
                let entry = journal.post([forget(n)]);
                journal.settled(entry).await;
                assert!(journal.is_settled(entry));
                assert!(list.kept.lock().unwrap().contains(&forget(n)));
            }
            stop.cancel();
        };
        tokio::join!(kept, asks);
    }

    #[tokio::test]
    async fn a_store_that_fails_keeps_nobody_waiting_and_gets_everything_later() {
        pause();
        let (journal, list, stop) =
            (Arc::new(Journal::default()), List::default(), CancellationToken::new());
        let (store, ends, (telemetry, lines)) = (Box::new(list.clone()), stop.clone(), telemetry());
        *list.broken.lock().unwrap() = true;
        let keeper = Arc::clone(&journal);
        let said = telemetry.clone();
        let kept = async move { keeper.keep(store, telemetry, ends).await };
        let asks = async {
            let began = Instant::now();
            journal.settled(journal.post([forget(1), forget(2)])).await;
            assert_eq!(began.elapsed(), Duration::ZERO);
            journal.settled(journal.post([forget(3)])).await;
            assert!(list.kept.lock().unwrap().is_empty());
            *list.broken.lock().unwrap() = false;
            sleep(RETRY * 2).await;
            assert_eq!(*list.kept.lock().unwrap(), [forget(1), forget(2), forget(3)]);
            stop.cancel();
        };
        tokio::join!(kept, asks);
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert!(text.contains("state_write_failed") && text.contains("no space left"), "{text}");
        assert!(text.contains("state_recovered"), "{text}");
        assert!(said.exposition().contains("gateway_state_write_failures_total 2"));
    }

    #[test]
    fn what_waits_is_never_more_than_what_there_is() {
        let journal = Journal::default();
        for _ in 0..1000 {
            journal.post([forget(1), forget(2)]);
        }
        assert_eq!(journal.waiting().changes.len(), 2);
    }
}

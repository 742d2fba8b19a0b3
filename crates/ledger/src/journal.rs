//! What still has to be written. Whoever must not go on before it is durable waits for it.
//!
//! Changes to one thing replace each other, so that what waits is never more than what there is.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gateway_policy::Fingerprint;
use gateway_telemetry::{StateRecovered, StateWriteFailed, Telemetry};
use ipnet::IpNet;
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{Change, Ended, Message, Store, StoreError};

/// How long to wait before a store that failed is tried again.
pub(crate) const RETRY: Duration = Duration::from_secs(5);

/// How much may wait, ends included: a store can fail for long.
const MOST: usize = 1_500_000;

/// How long somebody waits for a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a change was made: the how manyth it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry(u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Ban(IpNet),
    Past(IpNet),
    Visitor(IpAddr),
    Session(u64),
    Ended(Ended),
    Webhook(String),
    Person(String),
    ApiKey(Fingerprint),
    Message(Message),
    Window(u64),
}

impl Change {
    /// Whether something is no more.
    fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Ban(_, None)
                | Self::Past(_, None)
                | Self::Visitor(_, None)
                | Self::Session(_, None)
                | Self::Ended(_, None)
                | Self::Webhook(_, None)
                | Self::Person(_, None)
                | Self::ApiKey(_, None)
                | Self::Message(_, None)
                | Self::Window(_, None)
        )
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Ban(net, _) => Subject::Ban(*net),
            Self::Past(client, _) => Subject::Past(*client),
            Self::Visitor(client, _) => Subject::Visitor(*client),
            Self::Session(token, _) => Subject::Session(*token),
            Self::Ended(ended, _) => Subject::Ended(ended.clone()),
            Self::Webhook(path, _) => Subject::Webhook(path.clone()),
            Self::Person(user, _) => Subject::Person(user.clone()),
            Self::ApiKey(key, _) => Subject::ApiKey(*key),
            Self::Window(id, _) => Subject::Window(*id),
            Self::Message(message, _) => Subject::Message(message.clone()),
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
    /// How far everything is durable.
    settled: watch::Sender<Entry>,
    /// Whether the store fails.
    failing: watch::Sender<bool>,
}

impl Default for Journal {
    fn default() -> Self {
        let settled = watch::Sender::new(Entry::default());
        let failing = watch::Sender::new(false);
        Self { waiting: Mutex::default(), wake: Notify::new(), settled, failing }
    }
}

impl Journal {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changes down to be written soon.
    pub(crate) fn post(&self, changes: impl IntoIterator<Item = Change>) {
        let mut waiting = self.waiting();
        waiting.last.0 += 1;
        for change in changes {
            waiting.changes.insert(change.subject(), change);
        }
        if waiting.changes.len() > MOST {
            // What has ended is found to have ended when it is read.
            waiting.changes.retain(|_, change| !change.is_end());
        }
        self.wake.notify_one();
    }

    /// Waits until everything so far is durable, and tells whether it is. A store that fails, or
    /// does not answer, keeps nobody waiting.
    pub(crate) async fn settled(&self) -> bool {
        let entry = self.waiting().last;
        if *self.settled.borrow() >= entry {
            return true;
        }
        let mut settled = self.settled.subscribe();
        let mut failing = self.failing.subscribe();
        tokio::select! {
            biased;
            done = settled.wait_for(|settled| *settled >= entry) => done.is_ok(),
            // The sender lives as long as this does.
            _ = failing.wait_for(|failing| *failing) => false,
            () = sleep(PATIENCE) => false,
        }
    }

    /// Says whether the store fails.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.failing.send_replace(failing);
    }

    /// Writes what is taken down, until `stop` and everything from before it is written or cannot be. If
    /// the store loses what it kept, `everything` is written again.
    pub(crate) async fn keep(
        &self,
        store: &Arc<Mutex<Box<dyn Store>>>,
        telemetry: &Telemetry,
        stop: &CancellationToken,
        everything: impl Fn() -> Vec<Change>,
    ) {
        let mut failing = false;
        loop {
            // What was taken down before the end is in this batch; later there may be no end of it.
            let last = stop.is_cancelled();
            let (batch, up_to) = self.take();
            if batch.is_empty() {
                self.settle(up_to);
                if last {
                    return;
                }
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            let batch = Arc::new(batch);
            match write(store, &batch).await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        telemetry.say(&StateRecovered {});
                        self.set_failing(false);
                    }
                    self.settle(up_to);
                    if last {
                        return;
                    }
                }
                Err(why) => {
                    let first = !std::mem::replace(&mut failing, true);
                    telemetry.say(&StateWriteFailed { error: why.to_string(), first });
                    self.give_back(&batch);
                    self.set_failing(true);
                    if why.is_lost() {
                        self.fill(everything());
                        continue;
                    }
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

    /// Everything that is to be written, and how far that goes.
    fn take(&self) -> (Vec<Change>, Entry) {
        let mut waiting = self.waiting();
        (std::mem::take(&mut waiting.changes).into_values().collect(), waiting.last)
    }

    /// Takes back what could not be written, unless there is something newer.
    fn give_back(&self, batch: &[Change]) {
        self.fill(batch.iter().cloned());
    }

    /// Takes changes down where nothing newer waits.
    fn fill(&self, changes: impl IntoIterator<Item = Change>) {
        let mut waiting = self.waiting();
        for change in changes {
            waiting.changes.entry(change.subject()).or_insert(change);
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
        Change::Past(IpNet::from(IpAddr::from([192, 0, 2, n])), None)
    }

    fn boxed(list: &List) -> Arc<Mutex<Box<dyn Store>>> {
        Arc::new(Mutex::new(Box::new(list.clone())))
    }

    fn telemetry() -> (Telemetry, Arc<Mutex<Vec<u8>>>) {
        let (log, lines) = Log::memory(Level::Info);
        (Telemetry::new(Arc::new(Metrics::new("0").unwrap()), log), lines)
    }

    #[tokio::test]
    async fn what_is_settled_is_written() {
        let (journal, list) = (Journal::default(), List::default());
        let stop = CancellationToken::new();
        let (telemetry, _) = telemetry();
        let store = boxed(&list);
        let kept = journal.keep(&store, &telemetry, &stop, Vec::new);
        let asks = async {
            for n in 0..20 {
                journal.post([forget(n)]);
                assert!(journal.settled().await);
                assert!(list.kept.lock().unwrap().contains(&forget(n)));
            }
            stop.cancel();
        };
        tokio::join!(kept, asks);
    }

    #[tokio::test]
    async fn a_store_that_fails_keeps_nobody_waiting_and_gets_everything_later() {
        pause();
        let (journal, list) = (Journal::default(), List::default());
        let stop = CancellationToken::new();
        let (telemetry, lines) = telemetry();
        *list.broken.lock().unwrap() = true;
        let store = boxed(&list);
        let kept = journal.keep(&store, &telemetry, &stop, Vec::new);
        let asks = async {
            let began = Instant::now();
            for changes in [vec![forget(1), forget(2)], vec![forget(3)]] {
                journal.post(changes);
                assert!(!journal.settled().await);
                assert_eq!(began.elapsed(), Duration::ZERO);
            }
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
        let failures = "gateway_state_write_failures_total 1";
        assert!(telemetry.exposition().contains(failures), "{}", telemetry.exposition());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_keeps_nobody_waiting_for_long() {
        // Nobody keeps it.
        let journal = Journal::default();
        journal.post([forget(1)]);
        let began = Instant::now();
        assert!(!journal.settled().await);
        assert_eq!(began.elapsed(), PATIENCE);
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

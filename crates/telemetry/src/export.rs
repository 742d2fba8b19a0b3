//! Lines on their way to somebody else. Nobody waits for them: what has no room is dropped and
//! counted.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use prometheus::IntCounter;
use tokio::sync::mpsc;

/// How many lines may wait.
const LINES: usize = 16 * 1024;

/// How much may wait and be under way, in bytes: a stranger chooses how long a path is.
const BYTES: usize = 8 << 20;

/// How many lines leave at once.
const BATCH_LINES: usize = 512;

/// How much leaves at once, in bytes, a line more or less. Collectors take 4 MiB and more.
const BATCH_BYTES: usize = 1 << 20;

/// Where lines go in.
#[derive(Clone)]
pub(crate) struct Export {
    queue: mpsc::Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

/// Where they come out.
#[derive(Debug)]
pub struct Exports {
    queue: mpsc::Receiver<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

/// Some lines. They count as waiting until this is dropped.
#[derive(Debug)]
pub struct Batch {
    lines: Vec<Vec<u8>>,
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

/// A queue; `dropped` counts what had no room in it.
pub(crate) fn queue(dropped: IntCounter) -> (Export, Exports) {
    let (sender, receiver) = mpsc::channel(LINES);
    let waiting = Arc::<AtomicUsize>::default();
    let export = Export { queue: sender, waiting: Arc::clone(&waiting), dropped };
    (export, Exports { queue: receiver, waiting })
}

impl Export {
    /// Hands a line over, or drops it.
    pub(crate) fn send(&self, line: Vec<u8>) {
        let length = line.len();
        let before = self.waiting.fetch_add(length, Ordering::Relaxed);
        if before + length > BYTES || self.queue.try_send(line).is_err() {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            self.dropped.inc();
        }
    }
}

impl Exports {
    /// An empty batch.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch { lines: Vec::new(), bytes: 0, waiting: Arc::clone(&self.waiting) }
    }

    /// Waits for a line and adds it; `false` if there will be none any more. No line is lost if
    /// nobody waits for the end of this.
    pub async fn one(&mut self, batch: &mut Batch) -> bool {
        let line = self.queue.recv().await;
        line.map(|line| batch.add(line)).is_some()
    }

    /// Adds what is there already.
    pub fn fill(&mut self, batch: &mut Batch) {
        while !batch.is_full()
            && let Ok(line) = self.queue.try_recv()
        {
            batch.add(line);
        }
    }
}

impl Batch {
    fn add(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push(line);
    }

    /// Whether it should leave now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many lines are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The lines.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(Vec::as_slice)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> (IntCounter, Export, Exports) {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let (export, exports) = queue(dropped.clone());
        (dropped, export, exports)
    }

    #[tokio::test]
    async fn what_has_no_room_is_dropped_and_counted() {
        let (dropped, export, mut exports) = counted();
        let long = vec![b'x'; 64 << 10];
        for _ in 0..BYTES / long.len() + 5 {
            export.send(long.clone());
        }
        assert_eq!(dropped.get(), 5, "by size");
        let mut batch = exports.batch();
        exports.fill(&mut batch);
        assert_eq!(batch.len(), BATCH_BYTES / long.len());
        export.send(long.clone());
        assert_eq!(dropped.get(), 6, "what is under way still counts");
        drop(batch);
        export.send(long);
        assert_eq!(dropped.get(), 6, "there is room again");
    }

    #[tokio::test]
    async fn as_many_lines_as_the_queue_has_and_a_batch_at_a_time() {
        let (dropped, export, mut exports) = counted();
        for _ in 0..LINES + 3 {
            export.send(b"{}".to_vec());
        }
        assert_eq!(dropped.get(), 3);
        let mut batch = exports.batch();
        assert!(exports.one(&mut batch).await);
        exports.fill(&mut batch);
        assert_eq!((batch.len(), batch.is_full()), (BATCH_LINES, true));
        drop(export);
        loop {
            batch = exports.batch();
            exports.fill(&mut batch);
            if batch.is_empty() {
                break;
            }
        }
        assert!(!exports.one(&mut batch).await, "nobody sends any more");
        assert_eq!(exports.waiting.load(Ordering::Relaxed), 0);
    }
}

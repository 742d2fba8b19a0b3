//! The runtimes of a process: one for each core's requests, and the one for everything else.

use std::{io, sync::Arc, thread};

use tokio::runtime::{Builder, Handle, Runtime};

/// How many names one core's requests look up at once: each takes a thread.
const LOOK_UPS: usize = 16;

/// All of them, as far as their tasks are counted.
#[derive(Clone, Debug)]
pub(crate) struct Runtimes(Arc<[Handle]>);

impl Runtimes {
    /// The current one, and one for each core.
    pub(crate) fn start() -> io::Result<(Vec<Runtime>, Self)> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<Runtime> = (0..cores)
            .map(|_| {
                Builder::new_current_thread().enable_all().max_blocking_threads(LOOK_UPS).build()
            })
            .collect::<io::Result<_>>()?;
        let handles = workers.iter().map(|it| it.handle().clone());
        let all = Self(std::iter::once(Handle::current()).chain(handles).collect());
        Ok((workers, all))
    }

    /// How many tasks there are now.
    pub(crate) fn tasks(&self) -> usize {
        self.0.iter().map(|it| it.metrics().num_alive_tasks()).sum()
    }
}

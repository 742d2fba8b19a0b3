//! The real programs: where they are, how they are started, and what they said.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    thread,
    time::Duration,
};

pub(crate) use gateway_testkit::free_ports;
use tokio::{
    process::{Child, Command},
    sync::{Mutex, MutexGuard},
    time::{sleep, timeout},
};

/// How long anything may take before a test gives up on it: far more than it needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at something that is awaited.
const PAUSE: Duration = Duration::from_millis(100);

/// n8n and a browser at once are more than a small machine can do: one test after the other.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Where in a test we are: shown when it fails.
pub(crate) fn step(what: &str) {
    println!("-- {what}");
}

/// Tries until there is something.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            sleep(PAUSE).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A path that the developers' tool passes on.
pub(crate) fn given(variable: &str) -> PathBuf {
    let Some(path) = std::env::var_os(variable) else {
        panic!("{variable} is not set: run `cargo xtask test`")
    };
    PathBuf::from(path)
}

/// A running program. It ends with its owner; if that is because a test fails, it is heard first.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts `program`; what it says goes to a file in `folder`.
    pub(crate) fn start(name: &'static str, command: &mut Command, folder: &Path) -> Self {
        let output = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&output).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true)
            .spawn();
        let child = child.unwrap_or_else(|why| panic!("{name} cannot be started: {why}"));
        Self { name, child, output }
    }

    /// Everything it has said so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Panics if it has ended.
    pub(crate) fn assert_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} has ended: {status}", self.name);
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        self.end_within(PATIENCE).await
    }

    /// The same, for one that takes its time.
    pub(crate) async fn end_within(&mut self, patience: Duration) -> ExitStatus {
        let ended = timeout(patience, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} does not end", self.name)).unwrap()
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let said = self.said();
            // The frames of HTTP/2, which a debug log is full of, would drown the rest.
            let lines: Vec<&str> = said.lines().filter(|it| !it.contains("\"h2::")).collect();
            let tail = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default();
            println!("-- {} said last:\n{}", self.name, tail.join("\n"));
        }
    }
}

/// The program's search path with `folder` before all others.
pub(crate) fn path_with(folder: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap()
}

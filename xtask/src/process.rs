//! Other programs: run to their end, or run beside us and ended by their id.

use std::{
    ffi::OsStr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    process::{Child, Command},
    time::{Instant, interval_at, sleep_until, timeout},
};

/// How often a long step says that it goes on.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a step may take: several times what the longest takes. What hangs is named, and does not
/// take the time of whoever waits for all of them.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// How long a program may take to end after it was asked to.
const FAREWELL: Duration = Duration::from_secs(35);

/// A command in the workspace's folder.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(crate::root()).kill_on_drop(true);
    command
}

/// Whether a program is there and answers: mostly to `--version`.
pub(crate) async fn answers(program: &str, asked: &str) -> bool {
    let mut command = command(program);
    command.args(asked.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

/// Runs a command to its end, saying now and then that it is still at it.
pub(crate) async fn run(what: &str, mut command: Command) -> anyhow::Result<()> {
    println!("==> {what}");
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| what.to_owned())?;
    let mut heartbeat = interval_at(began + HEARTBEAT, HEARTBEAT);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = heartbeat.tick() => println!("    {what}: {} s", began.elapsed().as_secs()),
            () = sleep_until(began + LONGEST) => bail!("{what}: no end after {} s", LONGEST.as_secs()),
        }
    };
    if !status.success() {
        bail!("{what}: {status}");
    }
    Ok(())
}

/// A program that runs beside us, its output in a file.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        output: &Path,
    ) -> anyhow::Result<Self> {
        let file = std::fs::File::create(output)
            .with_context(|| format!("cannot write {}", output.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child })
    }

    /// Its number.
    pub(crate) fn id(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// Ends it and all that it has started at once, as a crash would. Only for what leads a group
    /// of its own.
    pub(crate) async fn kill_group(mut self) -> anyhow::Result<()> {
        let mut kill = command("kill");
        kill.arg("-KILL").arg("--").arg(format!("-{}", self.id()?));
        kill.status().await?;
        self.child.wait().await?;
        Ok(())
    }

    /// Asks it to end, and waits for that as long as it may take.
    pub(crate) async fn end(mut self) -> anyhow::Result<ExitStatus> {
        let mut kill = command("kill");
        kill.arg("-TERM").arg(self.id()?.to_string()).status().await?;
        let ended = timeout(FAREWELL, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} does not end", self.name))??)
    }

    /// Fails if the program has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// Waits for its end, which nobody asked for.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("{} has ended: {status}", self.name),
            Err(why) => why.into(),
        }
    }

    /// Asks it to end, and ends it if it does not.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(id) = self.child.id() {
            let mut kill = command("kill");
            kill.arg("-TERM").arg(id.to_string());
            // It may have ended by itself: Ctrl-C goes to everybody in a terminal.
            kill.stderr(Stdio::null()).status().await?;
        }
        if timeout(FAREWELL, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        println!("    {} has stopped", self.name);
        Ok(())
    }
}

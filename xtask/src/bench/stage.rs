//! What is measured side by side: a backend, and the peers in front of it, each in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::{
    loopback::free_ports,
    process::{Running, command},
};

use super::{
    Bench, CLOSED_PATH, SMALL,
    client::{Offer, STRANGER},
    connection::ask,
    furnish::{many, write_list},
    peers::{PEERS, Reload, TABLE},
    sink::Sink,
    template::render,
};

/// What a policy has by default: see the templates.
pub(super) const USUAL: [&str; 5] = ["log", "allowlist", "limit", "bans", "hardening"];

/// How long a program may take to serve.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long what was asked may still be worked on when it is answered: records are written then.
const SETTLING: Duration = Duration::from_millis(100);

/// One that serves.
pub(super) struct Standing {
    /// Its place in the table.
    pub(super) peer: usize,
    pub(super) port: u16,
    pub(super) admin: u16,
    pub(super) process: u32,
    /// Has its configuration and what it writes.
    pub(super) folder: PathBuf,
    pub(super) configuration: PathBuf,
    program: PathBuf,
    running: Running,
}

/// A backend and who stands in front of it.
pub(super) struct Stage {
    pub(super) workers: usize,
    pub(super) standing: Vec<Standing>,
    pub(super) sink: Sink,
    backend: Option<Running>,
}

/// One to be put up.
pub(super) struct Wanted<'a> {
    pub(super) peer: usize,
    pub(super) flags: &'a [&'a str],
}

impl Stage {
    /// All peers that there are, with the same flags.
    pub(super) async fn all(bench: &Bench, workers: usize, flags: &[&str]) -> anyhow::Result<Self> {
        let wanted = (0..PEERS).map(|peer| Wanted { peer, flags });
        Self::build(bench, workers, wanted).await
    }

    /// Those, in this order. One that does not start is told about and left out.
    pub(super) async fn build(
        bench: &Bench,
        workers: usize,
        wanted: impl IntoIterator<Item = Wanted<'_>>,
    ) -> anyhow::Result<Self> {
        let (mut stage, backend) = Self::empty(bench, workers).await?;
        for (number, wanted) in wanted.into_iter().enumerate() {
            let start = async {
                match Start::prepare(bench, workers, number, &wanted, backend).await? {
                    Some(start) => Ok(Some(start.serve(bench).await?)),
                    None => anyhow::Ok(None),
                }
            };
            match start.await {
                Ok(standing) => stage.standing.extend(standing),
                Err(why) => {
                    let name = TABLE.get(wanted.peer).map_or("", |it| it.name);
                    println!("!!! {name} CANNOT BE MEASURED: {why:#}");
                }
            }
        }
        Ok(stage)
    }

    /// A backend with nobody in front of it, and its port.
    pub(super) async fn empty(bench: &Bench, workers: usize) -> anyhow::Result<(Self, u16)> {
        let folder = bench.folder.join("stage");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let own = folder.join("backend");
        fs::create_dir_all(&own)?;
        let (sink, [port]) = (Sink::open().await?, free_ports().await?);
        let values = [
            ("own", shown(&own)),
            ("port", port.to_string()),
            ("sink", sink.port.to_string()),
            ("www", shown(&bench.folder.join("www"))),
        ];
        let configuration = own.join("nginx.conf");
        fs::write(&configuration, render(include_str!("peers/backend.conf"), &[], &values))?;
        let mut start = command("taskset");
        start.args(["-c", &bench.processors.others(workers), "nginx", "-c"]).arg(&configuration);
        let backend = Some(Running::start("the backend", start, &own.join("output"))?);
        Ok((Self { workers, standing: Vec::new(), sink, backend }, port))
    }

    /// Measures all of them in turn, so often; each round begins with another one. What fails for one
    /// is told, and its figure is missing. For each round: for each peer.
    pub(super) async fn rounds<T: Copy>(
        &self,
        bench: &Bench,
        count: usize,
        measure: impl AsyncFn(&Standing) -> anyhow::Result<T>,
    ) -> Vec<[Option<T>; PEERS]> {
        let mut rounds = Vec::new();
        for number in 0..bench.rounds(count) {
            let (last, first) = self.standing.split_at(number % self.standing.len().max(1));
            rounds.push(in_order(first.iter().chain(last), &measure).await);
        }
        rounds
    }

    /// One round, in their order.
    pub(super) async fn once<T: Copy>(
        &self,
        measure: impl AsyncFn(&Standing) -> anyhow::Result<T>,
    ) -> [Option<T>; PEERS] {
        in_order(self.standing.iter(), &measure).await
    }

    /// Does something with all of them and ends them, however that went.
    pub(super) async fn then<T>(
        self,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let done = work(&self).await;
        self.end().await?;
        done
    }

    async fn end(mut self) -> anyhow::Result<()> {
        let running = self.standing.drain(..).map(|it| it.running).chain(self.backend.take());
        let mut ended = Ok(());
        for running in running.collect::<Vec<_>>() {
            ended = ended.and(quietly(running).await);
        }
        ended
    }
}

async fn in_order<T: Copy>(
    standing: impl Iterator<Item = &Standing>,
    measure: &impl AsyncFn(&Standing) -> anyhow::Result<T>,
) -> [Option<T>; PEERS] {
    let mut round = [None; PEERS];
    for standing in standing {
        match measure(standing).await {
            Ok(value) => {
                if let Some(place) = round.get_mut(standing.peer) {
                    *place = Some(value);
                }
            }
            Err(why) => println!("!!! {}: {why:#}", standing.name()),
        }
    }
    round
}

/// Ends a program; how it ends is its own matter.
async fn quietly(mut running: Running) -> anyhow::Result<()> {
    if running.check().is_ok() {
        running.end().await?;
    }
    Ok(())
}

/// A peer that is about to be started.
pub(super) struct Start {
    peer: usize,
    port: u16,
    admin: u16,
    folder: PathBuf,
    configuration: PathBuf,
    program: PathBuf,
    pub(super) command: Command,
}

impl Start {
    /// Writes its configuration; nothing if it is not there.
    pub(super) async fn prepare(
        bench: &Bench,
        workers: usize,
        number: usize,
        wanted: &Wanted<'_>,
        backend: u16,
    ) -> anyhow::Result<Option<Self>> {
        let Some(program) = bench.programs.get(wanted.peer).cloned().flatten() else {
            return Ok(None);
        };
        let peer = TABLE.get(wanted.peer).context("a peer")?;
        let own = bench.folder.join("stage").join(format!("{number}-{}", peer.name));
        fs::create_dir_all(&own)?;
        let [port, admin] = free_ports().await?;
        let values = [
            ("own", shown(&own)),
            ("port", port.to_string()),
            ("admin", admin.to_string()),
            ("backend", backend.to_string()),
            ("workers", workers.to_string()),
            ("keys", shown(&bench.folder.join("keys"))),
            ("lists", shown(&bench.folder.join("lists"))),
        ];
        let configuration = own.join(peer.file);
        fs::write(&configuration, render(peer.template, wanted.flags, &values))?;
        let reloading = wanted.flags.contains(&"big");
        if reloading {
            write_list(&own.join("big"), &many(false))?;
        }
        let processors = bench.processors.measured(workers);
        let command = peer.start(&program, &configuration, &processors, workers, reloading);
        Ok(Some(Self {
            peer: wanted.peer,
            port,
            admin,
            folder: own,
            configuration,
            program,
            command,
        }))
    }

    /// Starts it, and waits until it serves.
    pub(super) async fn serve(self, bench: &Bench) -> anyhow::Result<Standing> {
        let name = TABLE.get(self.peer).map_or("", |it| it.name);
        let running = Running::start(name, self.command, &self.folder.join("output"))?;
        let process = running.id()?;
        let mut standing = Standing {
            peer: self.peer,
            port: self.port,
            admin: self.admin,
            process,
            folder: self.folder,
            configuration: self.configuration,
            program: self.program,
            running,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let last = match standing.look(bench).await {
                Ok(()) => return Ok(standing),
                Err(why) => why,
            };
            let ended = standing.running.check();
            if ended.is_err() || Instant::now() > deadline {
                let said = fs::read_to_string(standing.folder.join("output")).unwrap_or_default();
                if ended.is_ok() {
                    quietly(standing.running).await?;
                }
                bail!("it does not serve: {last:#}; it says: {said}");
            }
            // Whoever measures how long it takes cannot be later than this.
            sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Standing {
    /// As it is spelled.
    pub(super) fn name(&self) -> &'static str {
        TABLE.get(self.peer).map_or("", |it| it.name)
    }

    /// Whether it does what all have to do: it serves, and refuses.
    async fn look(&self, bench: &Bench) -> anyhow::Result<()> {
        let mut wire = bench.client.connect(STRANGER, self.port, Offer::One).await?;
        // With a list of its own it lets nobody in yet; that it answers is enough.
        let status = ask(&mut wire, SMALL).await?;
        if ![200, 403, 404].contains(&status) {
            bail!("{SMALL} is answered with {status}");
        }
        let status = ask(&mut wire, CLOSED_PATH).await?;
        if ![403, 404].contains(&status) {
            bail!("{CLOSED_PATH} is answered with {status}");
        }
        Ok(())
    }

    /// The time on processors, in nanoseconds, that it spends while something is done.
    pub(super) async fn spent(
        &self,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<f64> {
        let before = super::cpu::Cpu::read(self.process)?;
        work.await?;
        sleep(SETTLING).await;
        Ok(super::cpu::Cpu::read(self.process)?.since(&before) as f64)
    }

    /// Its program, called for something else.
    pub(super) fn call(&self, arguments: &[&str]) -> Command {
        let mut call = command(&self.program);
        call.args(arguments);
        call
    }

    /// Makes it read its configuration again; it may go on with that when this ends.
    pub(super) async fn reload(&self) -> anyhow::Result<()> {
        let peer = TABLE.get(self.peer).context("a peer")?;
        let mut call = match peer.reload {
            Reload::Signal(signal) => {
                let mut kill = command("kill");
                kill.args([signal, &self.process.to_string()]);
                kill
            }
            Reload::Call(arguments) => {
                let mut call = command(&self.program);
                let admin = format!("127.0.0.1:{}", self.admin);
                call.args(arguments.iter().map(|it| it.replace("{admin}", &admin)));
                call.arg(&self.configuration);
                call
            }
        };
        let output = call.output().await?;
        if !output.status.success() {
            bail!("no reload: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Ends it.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        quietly(self.running).await
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

//! The helper that starts the process which takes over. It begins before the gateway is confined,
//! since a confined process cannot start one that is not; it listens to nobody else, and does one
//! thing: start the gateway's own program with the arguments that it was started with.

use std::{
    fmt, io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::line::Line;
use crate::confine;

/// What the helper is asked.
#[derive(Debug, Deserialize, Serialize)]
enum Request {
    /// To start a process; its end of the line to this one comes along.
    Start,
    /// To end the one that was started last.
    Kill,
}

/// What the helper answers.
#[derive(Debug, Deserialize, Serialize)]
enum Reply {
    Started(u32),
    Refused(String),
    Ended(u32, String),
}

/// This program, by the name it was called by if that leads to it: where versions are switched by a
/// link, the link is what is switched.
fn program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let same = called.components().count() > 1
        && called.canonicalize().is_ok_and(|it| program.canonicalize().is_ok_and(|own| own == it));
    if same { std::path::absolute(called) } else { Ok(program) }
}

/// How long the helper may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The hold on the helper.
pub(super) struct Starter {
    line: Line,
    /// What ended while something else was waited for.
    ended: Mutex<Vec<(u32, String)>>,
    _helper: Child,
}

impl fmt::Debug for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starter").finish_non_exhaustive()
    }
}

impl Starter {
    /// Starts the helper, which starts gateways with the policy at `policy`. `confined` if it gives
    /// up what a start does not need.
    pub(super) fn begin(policy: &Path, confined: bool) -> io::Result<Self> {
        // As it stands on the disk now: what is put there later is what is started.
        let program = program()?;
        let (line, theirs) = Line::pair()?;
        let mut helper = Command::new(&program);
        helper.arg("starter").arg("--config").arg(policy).arg("--program").arg(&program);
        if confined {
            helper.arg("--confined");
        }
        // In a group of its own: what a terminal sends to the gateway is not for it.
        let helper = helper.stdin(Stdio::from(theirs)).process_group(0).spawn()?;
        Ok(Self { line, ended: Mutex::default(), _helper: helper })
    }

    /// Starts a process that finds `line` as its standard input, and tells its number.
    pub(super) fn start(&self, line: OwnedFd) -> io::Result<u32> {
        use std::os::fd::AsFd;
        self.line.say(&Request::Start, &[line.as_fd()])?;
        // Theirs alone from now on: its end is theirs to tell.
        drop(line);
        loop {
            match self.next()? {
                Reply::Started(process) => return Ok(process),
                Reply::Refused(why) => return Err(io::Error::other(why)),
                Reply::Ended(..) => {}
            }
        }
    }

    fn next(&self) -> io::Result<Reply> {
        match self.line.hear::<Reply>(Some(PATIENCE))? {
            Some((Reply::Ended(process, how), _)) => {
                let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
                ended.push((process, how.clone()));
                Ok(Reply::Ended(process, how))
            }
            Some((reply, _)) => Ok(reply),
            None => Err(io::Error::other("the helper that starts processes is gone")),
        }
    }

    /// Ends `process`, and tells how it ended.
    pub(super) fn end(&self, process: u32) -> io::Result<String> {
        self.line.say(&Request::Kill, &[])?;
        self.how_it_ended(process)
    }

    /// Waits for the end of `process`.
    pub(super) fn how_it_ended(&self, process: u32) -> io::Result<String> {
        loop {
            let known = {
                let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
                let at = ended.iter().position(|(one, _)| *one == process);
                at.map(|at| ended.swap_remove(at).1)
            };
            match known {
                Some(how) => return Ok(how),
                None => drop(self.next()?),
            }
        }
    }

    /// Lets the helper go: what it started is then nobody's child but the service manager's.
    pub(super) fn dismiss(&self) {
        self.line.hang_up();
        // It says nothing more than how something ended, and is gone.
        while let Ok(Some(_)) = self.line.hear::<Reply>(Some(PATIENCE)) {}
    }
}

/// Works as the helper until the gateway that started it is gone.
pub(crate) fn work(policy: &Path, program: &Path, confined: bool) -> anyhow::Result<()> {
    let line = Arc::new(Line::given()?);
    if confined {
        confine::confine_helper()?;
    }
    let latest = Arc::new(Mutex::new(None));
    while let Some((request, mut sockets)) = line.hear::<Request>(None)? {
        match (request, sockets.pop()) {
            (Request::Start, Some(theirs)) => match start(policy, program, theirs) {
                Ok(child) => {
                    line.say(&Reply::Started(child.id()), &[])?;
                    *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(child.id());
                    let (line, latest) = (Arc::clone(&line), Arc::clone(&latest));
                    thread::Builder::new().spawn(move || await_end(child, &line, &latest))?;
                }
                Err(why) => {
                    let why = format!("{}: {why}", program.display());
                    line.say(&Reply::Refused(why), &[])?;
                }
            },
            (Request::Kill, _) => {
                let latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
                let process = latest.and_then(|it: u32| Pid::from_raw(i32::try_from(it).ok()?));
                if let Some(process) = process {
                    // It may have ended by itself, and is not yet waited for.
                    kill_process(process, Signal::KILL).unwrap_or_default();
                }
            }
            (Request::Start, None) => {}
        }
    }
    Ok(())
}

fn start(policy: &Path, program: &Path, line: OwnedFd) -> io::Result<Child> {
    let mut successor = Command::new(program);
    successor.arg("run").arg("--config").arg(policy).arg("--take-over").stdin(Stdio::from(line));
    // These are meant for the process that the service manager started.
    for variable in ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_PID"] {
        successor.env_remove(variable);
    }
    successor.spawn()
}

fn await_end(mut child: Child, line: &Line, latest: &Mutex<Option<u32>>) {
    let process = child.id();
    let ended = child.wait();
    let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
    if *latest == Some(process) {
        *latest = None;
    }
    let how = ended.map_or_else(|why| why.to_string(), |status| status.to_string());
    // Whoever asked may be gone.
    drop(line.say(&Reply::Ended(process, how), &[]));
}

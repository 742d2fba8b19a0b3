//! A real n8n with a probe in it, that says who takes a request instead of letting it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    time::Duration,
};

use tempfile::TempDir;

use super::judge::Passed;
use crate::{
    installation::n8n_command,
    processes::{Process, eventually, free_ports},
};

/// Long enough for anything, short enough to fail for want of an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An n8n and its routes.
pub(super) struct N8n {
    process: Process,
    port: u16,
    probe: u16,
    patterns: Vec<String>,
    /// The last to go.
    folder: TempDir,
}

/// Who takes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// `route`, `mount`, `middleware`, `file`, `folder`, `socket`, `nothing`, `parser`.
    pub(super) kind: String,
    /// As n8n wrote it when it mounted it.
    pub(super) pattern: String,
    pub(super) status: String,
    /// What a trigger would be looked up by, percent-encoded where a field cannot have it.
    pub(super) name: String,
}

impl N8n {
    /// Starts n8n with these endpoints (key, variable, segment), and waits until it has mounted
    /// everything: the editor's page is the last.
    pub(super) async fn start(renamed: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, probe] = free_ports();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/routing/probe.cjs");
        let node = ["--require".as_ref(), script.as_os_str()];
        let url = format!("http://127.0.0.1:{port}");
        let mut command = n8n_command(folder.path(), port, &url, &node);
        command.env("ROUTING_PROBE_PORT", probe.to_string()).env("N8N_METRICS", "true");
        command.env("CREDENTIALS_OVERWRITE_ENDPOINT", "preset");
        command.env("N8N_ENABLED_MODULES", "agents");
        // What is told too often is not told at all.
        let limited = ["REGISTER", "AUTHORIZE", "TOKEN", "REVOKE", "WELL_KNOWN"];
        let limits = limited.map(|it| (format!("N8N_OAUTH_SERVER_{it}_RATE_LIMIT"), "0"));
        command.envs(limits).env("N8N_MCP_SERVER_RATE_LIMIT", "0");
        command.envs(renamed.iter().map(|(_, variable, segment)| (variable, segment)));
        let mut process = Process::start("n8n", &mut command, folder.path());
        let patterns = eventually("n8n mounts everything", async || {
            process.assert_runs();
            let page = one(probe, "GET /signin HTTP/1.1\r\naccept: text/html\r\n")?;
            if !page.contains("x-taken-by: middleware historyApiHandler") {
                return None;
            }
            let list = one(probe, "GET / HTTP/1.1\r\nx-list: 1\r\n")?;
            Some(list.split_once("\r\n\r\n")?.1.lines().map(str::to_owned).collect())
        })
        .await;
        Self { process, port, probe, patterns, folder }
    }

    /// Every pattern that n8n has mounted something at.
    pub(super) fn patterns(&self) -> &[String] {
        &self.patterns
    }

    pub(super) fn link(&self) -> Link {
        Link { port: self.probe, stream: open(self.probe), rest: Vec::new() }
    }

    /// What n8n itself answers, to the end of its head.
    pub(super) fn really(&self, asked: &Passed) -> Head {
        let mut link = Link { port: self.port, stream: open(self.port), rest: Vec::new() };
        link.stream.write_all(&asked.head()).unwrap();
        let head = link.head().unwrap_or_else(|| panic!("no answer to {asked:?}"));
        Head(String::from_utf8_lossy(&head).into_owned())
    }

    pub(super) async fn stop(mut self) {
        self.process.kill().await;
        self.folder.close().unwrap();
    }
}

fn open(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request on a connection of its own, and all that comes back.
fn one(port: u16, head: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("{head}host: n8n\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A connection to the probe.
pub(super) struct Link {
    port: u16,
    stream: TcpStream,
    /// What came after the last answer.
    rest: Vec<u8>,
}

impl Link {
    /// Asks them all at once; the answers are in their order.
    pub(super) fn ask<'p>(&mut self, asked: impl Iterator<Item = &'p Passed>) -> Vec<Answer> {
        let asked: Vec<&Passed> = asked.collect();
        let plain = || asked.iter().filter(|it| !it.upgrade);
        let heads: Vec<u8> = plain().flat_map(|it| it.head()).collect();
        // If that is broken off, what has no answer is asked alone.
        drop(self.stream.write_all(&heads));
        // Node's parser answers at once and out of turn: whose fault it was is asked again.
        let told = plain().map_while(|_| self.answer().filter(|it| it.kind != "parser"));
        let answers: Vec<Answer> = told.collect();
        let whole = answers.len() == plain().count();
        let mut answers = answers.into_iter();
        let mut answer_of = |it: &&Passed| match it.upgrade {
            true => self.alone(it),
            false => answers.next().unwrap_or_else(|| self.alone(it)),
        };
        let all = asked.iter().map(&mut answer_of).collect();
        if !whole {
            (self.stream, self.rest) = (open(self.port), Vec::new());
        }
        all
    }

    /// On a connection of its own: it may end it.
    fn alone(&self, asked: &Passed) -> Answer {
        let mut link = Self { port: self.port, stream: open(self.port), rest: Vec::new() };
        link.stream.write_all(&asked.head()).unwrap();
        link.answer().unwrap_or_else(|| panic!("no answer to {asked:?}"))
    }

    /// The next answer; none if the connection has ended, or ends with one that Node's parser
    /// gives to whatever is last.
    fn answer(&mut self) -> Option<Answer> {
        let head = self.head()?;
        let head = Head(String::from_utf8_lossy(&head).into_owned());
        Some(head.answer().unwrap_or_else(|| Answer {
            kind: "parser".to_owned(),
            pattern: head.0.lines().next().unwrap_or_default().replace(' ', "-"),
            ..Answer::default()
        }))
    }

    fn head(&mut self) -> Option<Vec<u8>> {
        let mut more = [0; 64 * 1024];
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|it| it == b"\r\n\r\n") {
                break at;
            }
            let read = self.stream.read(&mut more).ok().filter(|read| *read > 0)?;
            self.rest.extend(&more[..read]);
        };
        Some(self.rest.drain(..end + 4).collect())
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head(String);

impl Head {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| {
            let (it, _) = line.split_once(": ")?;
            it.eq_ignore_ascii_case(name).then_some(it.len() + 2)
        };
        self.0.lines().find_map(|line| line.get(of(line)?..))
    }

    pub(super) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Who took the request, if somebody said so.
    pub(super) fn answer(&self) -> Option<Answer> {
        let mut words = self.field("x-taken-by")?.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        Some(Answer { kind: word(), pattern: word(), status: word(), name: word() })
    }
}

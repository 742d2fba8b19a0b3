//! Traffic on connections that are kept, made by h2load.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use tokio::time::timeout;

use crate::{client::Version, process::command};

use super::client::HOST;

/// No run takes longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is asked, and how.
#[derive(Clone, Debug)]
pub(super) struct Load<'a> {
    pub(super) version: Version,
    pub(super) path: &'a str,
    pub(super) connections: u32,
    /// Requests at once on each connection; HTTP/1 has one.
    pub(super) streams: u32,
    /// A file that is uploaded with each request.
    pub(super) upload: Option<&'a Path>,
    /// The processors that it may use, as `taskset -c` takes them.
    pub(super) processors: &'a str,
}

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// By the first digit of their status.
    pub(super) good: u64,
    pub(super) refused: u64,
    /// Bytes of bodies.
    pub(super) data: u64,
}

impl Load<'_> {
    /// Asks a port so often.
    pub(super) async fn run(&self, port: u16, count: u64) -> anyhow::Result<Answers> {
        let mut load = command("taskset");
        load.args(["-c", self.processors, "h2load"]);
        if self.version == Version::One {
            load.arg("--h1");
        }
        let streams = if self.version == Version::One { 1 } else { self.streams };
        load.args(["-c", &self.connections.to_string(), "-m", &streams.to_string()]);
        load.args(["-n", &count.to_string()]);
        if let Some(file) = self.upload {
            load.arg("-d").arg(file);
        }
        load.arg(format!("--connect-to=127.0.0.1:{port}"));
        load.arg(format!("https://{HOST}:{port}{}", self.path));
        let output = timeout(PATIENCE, load.output()).await.context("h2load does not end")??;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "h2load: {}", String::from_utf8_lossy(&output.stderr));
        parse(&text).with_context(|| format!("h2load says: {text}"))
    }

    /// The same, where each request has to be answered with 2xx.
    pub(super) async fn good(&self, port: u16, count: u64) -> anyhow::Result<Answers> {
        let answers = self.run(port, count).await?;
        if answers.good != count {
            bail!("of {count} requests for {} only {} are answered well", self.path, answers.good);
        }
        Ok(answers)
    }
}

fn parse(text: &str) -> anyhow::Result<Answers> {
    let line = |name: &str| text.lines().find_map(|it| it.strip_prefix(name)).context("a line");
    let number = |line: &str, what: &str| -> anyhow::Result<u64> {
        let part = line.split(',').find_map(|it| it.trim().strip_suffix(what));
        Ok(part.context("a number")?.trim().parse()?)
    };
    let codes = line("status codes:")?;
    let traffic = line("traffic:")?;
    let data = traffic.rsplit_once('(').context("data")?.1.split_once(')').context("data")?.0;
    Ok(Answers {
        good: number(codes, " 2xx")?,
        refused: number(codes, " 4xx")?,
        data: data.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Answers, parse};

    #[test]
    fn what_h2load_says_is_read() {
        let text = "finished in 1.51s, 13252.28 req/s, 3.35MB/s\n\
            requests: 20000 total, 20001 started, 20000 done, 19996 succeeded, 4 failed, 0 errored, 0 timeout\n\
            status codes: 19996 2xx, 0 3xx, 4 4xx, 0 5xx\n\
            traffic: 2.04MB (2137358) total, 484.84KB (496478) headers (space savings 85.22%), 1.22MB (1280000) data\n";
        let expected = Answers { good: 19_996, refused: 4, data: 1_280_000 };
        assert_eq!(parse(text).unwrap(), expected);
        assert!(parse("").is_err());
    }
}

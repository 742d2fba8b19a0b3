//! Offences and bans in the shape of fail2ban's own log, for tools that read it.
//!
//! Source: fail2ban 1.1 `server/filter.py`, `server/actions.py`, and the format of its
//! `logtarget`.

use std::{fs::OpenOptions, io, io::Write, path::PathBuf, sync::Arc, time::SystemTime};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail2ban {
    /// What of fail2ban would say it: `filter` or `actions`.
    pub part: &'static str,
    /// `INFO` or `NOTICE`.
    pub level: &'static str,
    /// The jail.
    pub jail: &'static str,
    /// `Found`, `Ban` or `Unban`.
    pub what: &'static str,
    /// The address or the network.
    pub whom: String,
}

impl Fail2ban {
    fn line(&self, time: &str, process: u32) -> String {
        let Self { part, level, jail, what, whom } = self;
        let part = format!("fail2ban.{part}");
        let found = if *what == "Found" { format!(" - {time}") } else { String::new() };
        format!("{time},000 {part:<23} [{process}]: {level:<7} [{jail}] {what} {whom}{found}\n")
    }
}

/// A file of such lines. A line is never waited for.
#[derive(Clone)]
pub(crate) struct Fail2banLog {
    queue: NonBlocking,
    _worker: Arc<WorkerGuard>,
}

/// How many lines may wait.
const QUEUE: usize = 4096;

impl Fail2banLog {
    pub(crate) fn open(path: PathBuf) -> Self {
        let builder = NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true);
        let (queue, worker) = builder.finish(Appended { path });
        Self { queue, _worker: Arc::new(worker) }
    }

    pub(crate) fn write(&self, line: &Fail2ban) {
        #[expect(clippy::disallowed_methods, reason = "a line's own time")]
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let time = now.trim_end_matches('Z').replace('T', " ");
        let line = line.line(&time, std::process::id());
        // The queue takes a line whole or drops it.
        drop(self.queue.clone().write_all(line.as_bytes()));
    }
}

/// A file that is opened for each line, so that whoever rotates it needs to tell nobody.
struct Appended {
    path: PathBuf,
}

impl Write for Appended {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_fail2bans() {
        let line = |part, level, what| Fail2ban {
            part,
            level,
            jail: "sign-in",
            what,
            whom: "192.0.2.1".to_owned(),
        };
        assert_eq!(
            line("filter", "INFO", "Found").line("2026-11-22 01:02:03", 7),
            "2026-11-22 01:02:03,000 fail2ban.filter         [7]: INFO    [sign-in] Found 192.0.2.1 - 2026-11-22 01:02:03\n"
        );
        assert_eq!(
            line("actions", "NOTICE", "Ban").line("2026-11-22 01:02:03", 7),
            "2026-11-22 01:02:03,000 fail2ban.actions        [7]: NOTICE  [sign-in] Ban 192.0.2.1\n"
        );
    }

    #[test]
    fn a_file_that_is_moved_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fail2ban.log");
        let mut file = Appended { path: path.clone() };
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, folder.path().join("fail2ban.log.1")).unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
    }
}

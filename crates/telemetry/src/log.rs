//! Lines of a log: JSON for machines, text for people.

use std::{
    fmt,
    io::{BufWriter, Write},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use serde::Serialize;
use serde_json::Value;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
};

use crate::export::Export;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// For a person.
    Text,
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A fault.
    Error,
    /// Somebody should look.
    Warn,
    /// Every day.
    Info,
    /// For a developer.
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

/// Where lines go. A line is never waited for: if nobody reads them, they are dropped and counted.
#[derive(Clone)]
pub struct Log {
    sink: Sink,
    format: Format,
    level: Level,
    export: Option<Export>,
}

#[derive(Clone)]
enum Sink {
    Queue(NonBlocking, ErrorCounter),
    Memory(Arc<Mutex<Vec<u8>>>),
}

/// Keeps the writing thread alive; what is still queued is written when it is dropped.
#[derive(Debug)]
pub struct LogGuard {
    _worker: WorkerGuard,
}

/// How long a line is, more or less, in bytes: what would have to grow is copied.
const USUAL_LENGTH: usize = 512;

/// How many lines may wait.
const QUEUE: usize = 16 * 1024;

impl Log {
    /// Lines to standard output, written by a thread of their own, all that wait at once. What the libraries say through
    /// `tracing` goes there as well.
    #[must_use]
    pub fn stdout(format: Format, level: Level) -> (Self, LogGuard) {
        let builder = NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true);
        let (writer, worker) = builder.finish(BufWriter::new(std::io::stdout()));
        let counter = writer.error_counter();
        diagnostics(format, level, writer.clone());
        (
            Self { sink: Sink::Queue(writer, counter), format, level, export: None },
            LogGuard { _worker: worker },
        )
    }

    /// Lines to memory, for tests.
    #[must_use]
    pub fn memory(level: Level) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let lines = Arc::default();
        let sink = Sink::Memory(Arc::clone(&lines));
        (Self { sink, format: Format::Json, level, export: None }, lines)
    }

    /// The same, and each line goes to `export` as well.
    pub(crate) fn with_export(self, export: Export) -> Self {
        Self { export: Some(export), ..self }
    }

    pub(crate) fn dropped(&self) -> u64 {
        match &self.sink {
            Sink::Queue(_, counter) => counter.dropped_lines().try_into().unwrap_or(u64::MAX),
            Sink::Memory(_) => 0,
        }
    }

    /// Whether lines of `level` are written.
    pub(crate) fn takes(&self, level: Level) -> bool {
        level <= self.level
    }

    pub(crate) fn line(&self, level: Level, event: &'static str, fields: &impl Serialize) {
        if !self.takes(level) {
            return;
        }
        let line = Line { timestamp: now(), level: level.name(), event, fields };
        let json = || {
            let mut text = Vec::with_capacity(USUAL_LENGTH);
            serde_json::to_writer(&mut text, &line).ok().map(|()| text)
        };
        let written = match self.format {
            Format::Json => json(),
            Format::Text => serde_json::to_value(&line).ok().map(|line| text(&line).into_bytes()),
        };
        if let Some(export) = &self.export {
            let again = if self.format == Format::Json { written.clone() } else { json() };
            again.into_iter().for_each(|line| export.send(line));
        }
        let Some(mut line) = written else { return };
        line.push(b'\n');
        match &self.sink {
            // A full queue drops the line and counts it; there is nobody else to tell.
            Sink::Queue(writer, _) => drop(writer.clone().write_all(&line)),
            Sink::Memory(lines) => {
                lines.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&line);
            }
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("format", &self.format).field("level", &self.level).finish()
    }
}

#[derive(Serialize)]
struct Line<'f, F> {
    timestamp: String,
    level: &'static str,
    event: &'static str,
    #[serde(flatten)]
    fields: &'f F,
}

#[expect(clippy::disallowed_methods, reason = "a log line says when it was written")]
fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn text(line: &Value) -> String {
    let mut text = String::new();
    for (name, value) in line.as_object().into_iter().flatten() {
        let bare = match value {
            Value::String(bare) => bare.clone(),
            other => other.to_string(),
        };
        match name.as_str() {
            "timestamp" => text.push_str(&bare),
            "level" => text.push_str(&format!(" {bare:<5}")),
            "event" => text.push_str(&format!(" {bare}")),
            _ if bare.is_empty() || bare.contains([' ', '"', '=']) => {
                text.push_str(&format!(" {name}={bare:?}"));
            }
            _ => text.push_str(&format!(" {name}={bare}")),
        }
    }
    text
}

/// The crates whose diagnostics go by the log's own level; libraries speak up for trouble alone,
/// or `debug` would show every frame of every connection.
const OWN: [&str; 4] = ["gateway_edge", "gateway_proxy", "gateway_certs", "n8n_gateway"];

fn diagnostics(format: Format, level: Level, writer: NonBlocking) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let libraries = level.min(LevelFilter::WARN);
    let whose = Targets::new().with_default(libraries).with_targets(OWN.map(|own| (own, level)));
    let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let layer = match format {
        Format::Json => lines.json().flatten_event(true).with_filter(whose).boxed(),
        Format::Text => lines.with_filter(whose).boxed(),
    };
    // Only the first log of a process gets them: a second one is a test's.
    drop(tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Panicked};

    #[test]
    fn a_line_is_an_object_and_quiet_ones_are_left_out() {
        let (log, lines) = Log::memory(Level::Warn);
        let event = Panicked { request_id: "1".to_owned(), message: "a \"bug\"".to_owned() };
        log.line(Level::Error, Panicked::NAME, &event);
        log.line(Level::Info, Panicked::NAME, &event);
        let lines = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert_eq!(lines.lines().count(), 1);
        let line: Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(line["event"], "panicked");
        assert_eq!(line["message"], "a \"bug\"");
    }

    #[test]
    fn text_is_one_line_whatever_it_says() {
        let line = serde_json::json!({ "timestamp": "t", "level": "WARN", "event": "e", "a": "x\ny z", "b": 1 });
        assert_eq!(text(&line), "t WARN  e a=\"x\\ny z\" b=1");
    }
}

//! slowhttptest, which holds servers up for a living: slow heads, slow bodies, ranges without end,
//! slow reading.
//!
//! It cannot be told where to come from, so it is at one of the machine's own addresses, which is
//! never banned: the gateway is rid of it by its bounds alone.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    installation::Installation,
    processes::{Process, step},
    triggers::ECHO,
};

/// How many connections each kind opens.
pub(super) const CONNECTIONS: u16 = 300;

/// A webhook that answers with a megabyte. slowhttptest names itself at random, now and then after a
/// bot, and n8n gives bots none of its editor's files.
pub(super) const LARGE: &str = "/webhook/large-c41d7a9e";

/// Whether an access record is that of a slow reader: nobody else takes so little of so much for so
/// long. The tool itself looks now and then whether it is answered, and leaves when it is.
pub(super) fn is_large(record: &Value) -> bool {
    let sent = record["sent"].as_u64().is_some_and(|sent| (64 << 10..1 << 20).contains(&sent));
    let read_for = record["duration_ms"].as_f64().zip(record["n8n_ms"].as_f64());
    let stayed = read_for.is_some_and(|(all, n8n)| all - n8n > LOOK_MS);
    sent && stayed && record["client"] == "127.0.0.1" && record["surface"] == "webhook"
}

/// Longer than it takes to look, and shorter than any reader is waited for, in milliseconds.
const LOOK_MS: f64 = 20_000.0;

/// How long it may go on, in seconds; it ends as soon as all its connections are closed. What the
/// kernel holds for one that reads a little can stretch its time by another patience.
const LENGTH: u64 = 200;

/// All four kinds at once.
pub(super) async fn all(installation: &Installation) {
    step("slowhttptest");
    let url = |path: &str| format!("{}{path}", installation.gateway.url());
    let folder = installation.folder.path();
    // It notices its end only when it has read what is in its own buffer.
    let reading = ["-X", "-n", "1", "-z", "128", "-w", "512", "-y", "1024"];
    tokio::join!(
        kind(folder, "slow-heads", url("/"), &["-H", "-i", "2"]),
        kind(folder, "slow-bodies", url(ECHO), &["-B", "-i", "2", "-s", "8192"]),
        kind(folder, "ranges", url("/signin"), &["-R", "-t", "HEAD", "-b", "2000"]),
        kind(folder, "slow-reading", url(LARGE), &reading),
    );
}

/// Runs one kind to its end. In the end the gateway has closed every connection, and somebody who
/// asked in between was answered all the time.
async fn kind(folder: &Path, name: &'static str, url: String, how: &[&str]) {
    let mut command = Command::new("slowhttptest");
    command.args(how).args(["-u", &url, "-c", &CONNECTIONS.to_string(), "-r", "100"]);
    command.args(["-l", &LENGTH.to_string(), "-p", "60", "-g", "-o", name]).current_dir(folder);
    let mut tool = Process::start(name, &mut command, folder);
    tool.end_within(Duration::from_secs(LENGTH + 20)).await;
    let said = tool.said();
    let table = fs::read_to_string(folder.join(format!("{name}.csv"))).unwrap();
    let rows = table.lines().skip(1).map(|row| {
        let row = row.split(',').map(|it| it.trim().parse::<u32>().unwrap());
        <[u32; 5]>::try_from(row.collect::<Vec<_>>()).unwrap()
    });
    let rows: Vec<_> = rows.collect();
    for [second, _, _, _, available] in &rows {
        assert_ne!(*available, 0, "{name}: not available after {second} s\n{table}");
    }
    let said = plain(&said);
    // Its table is a moment old when it ends; how many were cut, the gateway is asked for later.
    assert!(said.contains("Exit status: No open connections left"), "{name}\n{table}\n{said}");
    let errors = said.lines().filter_map(|line| line.strip_prefix("error:"));
    for error in errors {
        assert_eq!(error.trim(), "0", "{name}\n{table}\n{said}");
    }
    step(&format!("slowhttptest, {name}: all are closed after {} s", rows.len()));
}

/// A terminal's text without its colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.map(|piece| piece.split_once(['m', 'H', 'J']).map_or("", |(_, it)| it));
    first + &rest.collect::<String>()
}

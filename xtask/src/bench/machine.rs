//! On what it was measured, and the files that a full run writes.

use std::{fmt::Write as _, fs};

use anyhow::Context;

use crate::process::command;

use super::{
    Bench,
    peers::TABLE,
    report::{Row, between, rounds, table},
    scenarios::SCENARIOS,
};

/// Machine, versions and date, as a list.
pub(super) async fn describe(bench: &Bench) -> anyhow::Result<String> {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("of an unknown kind", |it| it.trim_start_matches([' ', '\t', ':']));
    let mut text = String::new();
    _ = writeln!(text, "- {}", said("date", &["-u", "+%-d %B %Y"]).await);
    _ = writeln!(text, "- {} processors: {model}", bench.processors.count());
    _ = writeln!(text, "- {}", said("uname", &["-srm"]).await);
    for (peer, program) in TABLE.iter().zip(&bench.programs) {
        let version = match program {
            Some(program) => said(&program.display().to_string(), &[peer.version]).await,
            None => "**not there**".to_owned(),
        };
        _ = writeln!(text, "- {}: {version}", peer.name);
    }
    _ = writeln!(text, "- h2load: {}", said("h2load", &["--version"]).await);
    Ok(text)
}

/// The first line of what a program says.
async fn said(program: &str, arguments: &[&str]) -> String {
    let output = command(program).args(arguments).output().await;
    let text = output.map_or_else(
        |why| why.to_string(),
        |it| String::from_utf8_lossy(&[it.stdout, it.stderr].concat()).into_owned(),
    );
    text.lines().next().unwrap_or_default().trim().to_owned()
}

const BEGIN: &str = "<!-- bench -->";
const END: &str = "<!-- /bench -->";

/// Writes `benches/RESULTS.md`, and the table in the README.
pub(super) fn write(machine: &str, rows: &[Row]) -> anyhow::Result<()> {
    let mut text = String::from(include_str!("results.md"));
    let (table, rounds) = (table(rows), rounds(rows));
    let how: String = SCENARIOS
        .iter()
        .fold(String::new(), |all, it| format!("{all}- **{}**: {}.\n", it.name, it.what));
    let mut configurations = String::new();
    for peer in &TABLE {
        _ = write!(
            configurations,
            "### {}: `{}`\n\n```\n{}```\n\n",
            peer.name, peer.file, peer.template
        );
    }
    let backend = include_str!("peers/backend.conf");
    _ = write!(configurations, "### The backend\n\n```\n{backend}```\n");
    for (mark, value) in [
        ("{machine}", machine),
        ("{table}", &table),
        ("{how}", &how),
        ("{configurations}", &configurations),
        ("{rounds}", &rounds),
    ] {
        text = text.replace(mark, value);
    }
    let root = crate::root();
    fs::create_dir_all(root.join("benches"))?;
    fs::write(root.join("benches/RESULTS.md"), text)?;
    let readme = fs::read_to_string(root.join("README.md"))?;
    let readme = between(&readme, BEGIN, END, &format!("{machine}\n{table}"))
        .with_context(|| format!("no place for the table in README.md: {BEGIN}"))?;
    Ok(fs::write(root.join("README.md"), readme)?)
}

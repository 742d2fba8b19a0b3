//! What developers and newcomers run: `cargo xtask demo`, `cargo xtask test`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to its user")]

mod demo;
mod parts;
mod process;
mod test;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A real n8n behind the gateway on https://localhost:8443, until Ctrl-C.
    Demo {
        /// Use the n8n that already runs there instead of installing one.
        #[arg(long, value_name = "URL")]
        n8n: Option<String>,
    },
    /// Everything that CI runs; installs what it needs.
    Test {
        /// Leave out what needs a real n8n, a browser, a CA or promtool. CI does not.
        #[arg(long)]
        without_real_parts: bool,
    },
}

/// The workspace's folder.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo { n8n } => demo::demo(n8n).await,
        Command::Test { without_real_parts } => test::test(without_real_parts).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nerror: {why:#}");
            ExitCode::FAILURE
        }
    }
}

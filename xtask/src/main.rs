//! What developers and newcomers run: `cargo xtask demo`, `test`, `image`, `package`, `instructions`,
//! `soak`, `bench`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to its user")]

mod bench;
mod chain;
mod client;
mod demo;
mod instructions;
mod loopback;
mod parts;
mod process;
mod ship;
mod soak;
mod test;

use std::{
    ffi::OsString,
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
    /// The image for containers, without a registry: `n8n-gateway.tar` for `docker load`, and what is in it
    /// (CycloneDX). The same source, toolchain and `SOURCE_DATE_EPOCH` give the same bytes.
    Image {
        #[command(flatten)]
        options: ship::Options,
        /// Only the files that are in it; for deploy/Containerfile.
        #[arg(long)]
        root_only: bool,
    },
    /// The Debian package.
    Package {
        #[command(flatten)]
        options: ship::Options,
    },
    /// How many instructions the gateway needs for a request, a connection and a refusal, held
    /// against benches/instructions.txt. What takes them is in target/instructions afterwards:
    /// `callgrind_annotate --inclusive=yes --auto=no target/instructions/http1-request.callgrind`.
    Instructions {
        /// Write what was counted to the table.
        #[arg(long)]
        bless: bool,
        /// Count in this program instead of building one.
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
    },
    /// Mixed traffic of honest and other clients, while the policy, the certificates and n8n itself
    /// come and go; then nothing may be left over. Not part of CI.
    Soak {
        /// For how long, besides a warm-up and two times of rest.
        #[arg(long, default_value_t = 20)]
        minutes: u64,
        /// What chance begins with.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The release binary beside nginx, HAProxy and Caddy, all doing the same job: CPU time, latency,
    /// memory. Not part of CI. A full run writes benches/RESULTS.md and the table in the README.
    Bench(bench::Options),
}

/// The workspace's folder.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The cargo that runs this.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where cargo puts what it builds for release.
fn release_binary() -> PathBuf {
    target().join("release/n8n-gateway")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo { n8n } => demo::demo(n8n).await,
        Command::Test { without_real_parts } => test::test(without_real_parts).await,
        Command::Image { options, root_only } => ship::image(options, root_only).await,
        Command::Package { options } => ship::package(options).await,
        Command::Instructions { bless, binary } => instructions::instructions(binary, bless).await,
        Command::Soak { minutes, seed } => Box::pin(soak::soak(minutes, seed)).await,
        Command::Bench(options) => Box::pin(bench::bench(options)).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nerror: {why:#}");
            ExitCode::FAILURE
        }
    }
}

//! The command line.

mod admin_client;
mod attacks;
mod audit;
mod bans;
mod certs;
mod check;
mod doctor;
mod explain;
mod keys;
mod live;
mod sessions;
mod webhooks;
mod windows;

use std::{io::Write, path::PathBuf, process::ExitCode};

pub(crate) use admin_client::ask_operator;
use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use gateway_config::Invalid;
pub(crate) use live::describe as described;

use crate::{run::take_over, upgrade::work_as_starter};

/// How a command ended, for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    Success = 0,
    /// The user's mistake, or a finding.
    Failure = 1,
    /// Ours, or the machine's.
    Error = 2,
    /// A policy that cannot be used (`EX_CONFIG` of sysexits.h).
    Policy = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The one process that faces the internet in front of a self-hosted n8n.
#[derive(Debug, Parser)]
#[command(name = "n8n-gateway", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, until SIGTERM.
    Run {
        #[command(flatten)]
        policy: PolicyFile,
        /// In place of the process that started this one.
        #[arg(long, hide = true)]
        take_over: bool,
    },
    /// Say everything that is wrong with a policy, with place and hint.
    ///
    /// Exits with 78 if the policy cannot be used, with 0 if it can, warnings or not.
    Check {
        #[command(flatten)]
        policy: PolicyFile,
        /// Show the policy in force, defaults filled in and secrets masked.
        #[arg(long)]
        print: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Say what would be decided about a request, step by step, and by which line of the policy.
    ///
    /// Exits with 0 if it would pass, with 1 if it would be refused.
    Explain {
        #[command(flatten)]
        policy: PolicyFile,
        #[command(flatten)]
        supposed: explain::Supposed,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Say how a running gateway is: n8n, certificates, policy, refusals.
    ///
    /// Exits with 1 if n8n is down or has no owner, or a certificate needs somebody.
    Status {
        #[command(flatten)]
        gateway: Running,
        /// Say only whether the gateway itself serves, as a container's health check asks: exits with 0 if
        /// it does, whatever becomes of n8n, and else with 1.
        #[arg(long, conflicts_with = "json")]
        healthy: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Make a running gateway read its policy again, and say how that ended.
    Reload {
        #[command(flatten)]
        gateway: Running,
        /// Even if nobody who signed in during the last day could reach the editor then.
        #[arg(long)]
        force: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Replace a running gateway by the program as it is now, without a connection lost.
    ///
    /// Exits with 0 when the new process serves, with 1 if it does not: the old one goes on then.
    Upgrade {
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Start others; for a gateway to call.
    #[command(hide = true)]
    Starter {
        #[command(flatten)]
        policy: PolicyFile,
        /// The program to start.
        #[arg(long)]
        program: PathBuf,
        /// Give up what a start does not need.
        #[arg(long)]
        confined: bool,
    },
    /// Say who is banned and why; ban and let in.
    Bans {
        #[command(subcommand)]
        command: bans::Bans,
    },
    /// Say who is signed in to n8n; sign out.
    Sessions {
        #[command(subcommand)]
        command: sessions::Sessions,
    },
    /// Say which of n8n's API keys are used and from where; what a key is called in the policy.
    ApiKeys {
        #[command(subcommand)]
        command: keys::ApiKeys,
    },
    /// Say which attacks on n8n are known, and what is done about them.
    Attacks {
        #[command(subcommand)]
        command: attacks::Attacks,
    },
    /// Say how the certificates stand; get new ones, revoke.
    Certs {
        #[command(subcommand)]
        command: certs::Certs,
    },
    /// Let an address into a surface for a time: for who is travelling, or to try something once.
    ///
    /// It closes by itself, and with the end of the process; a changed policy leaves it open.
    Open {
        #[command(flatten)]
        opening: windows::Opening,
    },
    /// Close what was opened for a time.
    Close {
        #[command(flatten)]
        closing: windows::Closing,
    },
    /// Say which of n8n's webhooks were called.
    Webhooks {
        #[command(subcommand)]
        command: webhooks::Webhooks,
    },
    /// Look at n8n's own installation, and say what is wrong, why it matters, and what to change.
    ///
    /// Exits with 1 if there is a finding of the policy's `audit.level` or worse. What cannot be looked
    /// at is told as such: without a key of n8n's API that is accounts and workflows, without the rights
    /// of n8n's own user its environment.
    Audit {
        #[command(flatten)]
        policy: PolicyFile,
        #[command(flatten)]
        options: audit::Options,
    },
    /// Try the way through the public name: certificate, redirect, sign-in page, push socket, and what
    /// n8n makes of it; say for each step what was tried, what came, and what to change.
    ///
    /// Exits with 1 if a step is wrong.
    Doctor {
        #[command(flatten)]
        policy: PolicyFile,
        #[command(flatten)]
        options: doctor::Options,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where the policy is.
#[derive(Debug, clap::Args)]
struct PolicyFile {
    /// The policy file.
    #[arg(long, value_name = "FILE", default_value = "/etc/n8n-gateway/policy.yaml")]
    config: PathBuf,
}

/// Where a running gateway is.
#[derive(Debug, clap::Args)]
struct Running {
    /// The policy file of the gateway, which says where it listens for its operator.
    #[arg(long, value_name = "FILE", default_value = "/etc/n8n-gateway/policy.yaml")]
    config: PathBuf,
    /// Where the gateway listens for its operator: `unix:/path` or an address and a port.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// A file with the token of the admin listener, with `--admin`.
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
}

/// The commands and what they take; the documentation is made of it.
#[must_use]
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(why) => {
            // Nobody is left to tell if even this cannot be printed.
            drop(why.print());
            let asked = matches!(why.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Exit::Success } else { Exit::Failure }.into();
        }
    };
    match obey(cli.command) {
        Ok(exit) => exit.into(),
        Err(why) => {
            // Problems of a policy come with their places, one a line.
            let listed = why.is::<Invalid>();
            complain(&if listed { why.to_string() } else { format!("error: {why:#}") });
            let policys =
                listed || why.chain().any(<dyn std::error::Error>::is::<gateway_certs::Error>);
            if policys { Exit::Policy } else { Exit::Error }.into()
        }
    }
}

fn obey(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run { policy, take_over: false } => {
            crate::run(&policy.config).map(|()| Exit::Success)
        }
        Command::Run { policy, take_over: true } => {
            take_over(&policy.config).map(|()| Exit::Success)
        }
        Command::Starter { policy, program, confined } => {
            work_as_starter(&policy.config, &program, confined).map(|()| Exit::Success)
        }
        Command::Upgrade { gateway, json } => live::upgrade(&gateway, json),
        Command::Check { policy, print, json } => check::check(&policy.config, print, json),
        Command::Explain { policy, supposed, json } => {
            explain::explain(&policy.config, &supposed, json)
        }
        Command::Status { gateway, healthy: true, .. } => Ok(live::healthy(&gateway)),
        Command::Status { gateway, healthy: false, json } => live::status(&gateway, json),
        Command::Reload { gateway, force, json } => live::reload(&gateway, force, json),
        Command::Bans { command } => bans::bans(command),
        Command::Sessions { command } => sessions::sessions(command),
        Command::ApiKeys { command } => keys::api_keys(command),
        Command::Attacks { command } => attacks::attacks(command),
        Command::Certs { command } => certs::certs(command),
        Command::Open { opening } => windows::open(opening),
        Command::Close { closing } => windows::close(&closing),
        Command::Webhooks { command } => webhooks::webhooks(command),
        Command::Audit { policy, options } => audit::audit(&policy.config, options),
        Command::Doctor { policy, options } => doctor::doctor(&policy.config, options),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command_line(), "n8n-gateway", &mut script);
            say(&String::from_utf8_lossy(&script));
            Ok(Exit::Success)
        }
    }
}

/// Runs what waits for something on a runtime of its own.
fn wait<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// What a command was asked for. Whoever has read enough of it (`| head`) may go.
fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{}", text.trim_end()));
}

#[expect(clippy::print_stderr, reason = "what a command has to complain about")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command_line().debug_assert();
    }
}

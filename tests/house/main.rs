//! The house's own rules: which crate may know which, what policy may stand on, how long a file
//! may be.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod observability;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Who may know whom. An arrow that is not here is a mistake in the house.
const ARROWS: [(&str, &[&str]); 14] = [
    ("gateway-n8n", &[]),
    ("gateway-policy", &["gateway-n8n"]),
    ("gateway-telemetry", &["gateway-n8n", "gateway-policy"]),
    ("gateway-signatures", &[]),
    ("gateway-config", &["gateway-n8n", "gateway-policy", "gateway-signatures"]),
    ("gateway-ledger", &["gateway-n8n", "gateway-policy", "gateway-telemetry"]),
    ("gateway-certs", &["gateway-n8n", "gateway-policy", "gateway-telemetry"]),
    ("gateway-edge", &["gateway-n8n", "gateway-policy", "gateway-telemetry"]),
    (
        "gateway-proxy",
        &["gateway-n8n", "gateway-policy", "gateway-signatures", "gateway-telemetry"],
    ),
    (
        "n8n-gateway",
        &[
            "gateway-n8n",
            "gateway-policy",
            "gateway-signatures",
            "gateway-telemetry",
            "gateway-config",
            "gateway-ledger",
            "gateway-certs",
            "gateway-edge",
            "gateway-proxy",
        ],
    ),
    ("gateway-benches", ANY),
    ("gateway-testkit", ANY),
    ("gateway-tests", ANY),
    ("xtask", ANY),
];

/// Nothing depends on these, so they may know everything but each other's insides.
const ANY: &[&str] = &["*"];

/// What a decision may be made with: types of HTTP and of networks, and nothing that acts.
const POLICY_STANDS_ON: [&str; 5] =
    ["gateway-n8n", "http", "ipnet", "percent-encoding", "thiserror"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Each crate of the workspace and the crates it needs outside of its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|it| it["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|it| (name(it), of(it))).collect()
}

#[test]
fn the_arrows_point_down() {
    let all = dependencies();
    let known: BTreeSet<_> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(all.keys().cloned().collect::<BTreeSet<_>>(), known, "each crate has its arrows");
    for (name, allowed) in ARROWS.iter().filter(|(_, allowed)| *allowed != ANY) {
        for needs in all[*name].iter().filter(|it| known.contains(*it)) {
            assert!(allowed.contains(&needs.as_str()), "{name} must not know {needs}");
        }
    }
}

#[test]
fn policy_stands_on_types_alone() {
    let needs = dependencies()["gateway-policy"].clone();
    assert_eq!(needs, POLICY_STANDS_ON.map(str::to_owned).into());
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && !entry.ends_with("target") {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|it| it == "rs") {
            found.push(entry);
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_fits_a_reader() {
    /// Tables may be longer than what a reader follows line by line.
    const TABLES: [&str; 1] = ["crates/n8n/src/surface.rs"];
    let mut files = Vec::new();
    for folder in ["benches", "crates", "tests", "xtask"] {
        sources(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50);
    for file in files {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!") || name.ends_with("/tests.rs"), "{name}: what is it for?");
        let longest = if TABLES.contains(&name.as_str()) { 600 } else { 450 };
        let lines = text.lines().count();
        assert!(lines <= longest, "{name} has {lines} lines");
    }
}

#[test]
fn every_crate_obeys_the_workspaces_lints() {
    for (name, _) in ARROWS {
        let folder = match name {
            "gateway-benches" => "benches".to_owned(),
            "gateway-tests" => "tests".to_owned(),
            "xtask" => "xtask".to_owned(),
            "n8n-gateway" => "crates/gateway".to_owned(),
            other => format!("crates/{}", other.trim_start_matches("gateway-")),
        };
        let manifest = std::fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name}");
        for line in manifest.lines().filter(|line| line.contains("version = \"")) {
            let own = line.starts_with("version");
            assert!(own, "{name}: versions stand in the workspace's Cargo.toml: {line}");
        }
    }
}

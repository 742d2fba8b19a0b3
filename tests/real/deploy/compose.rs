//! The compose files: the specification's schema, what podman-compose makes of them, and whether n8n
//! knows the variables.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{checked, deploy, output};
use crate::processes::given;

const FILES: [&str; 2] = ["compose.yaml", "compose.queue.yaml"];

/// The files as somebody has them who has followed the README.
fn prepared() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    output(Command::new("cp").arg("-r").arg(deploy().join(".")).arg(folder.path()));
    fs::copy(folder.path().join(".env.example"), folder.path().join(".env")).unwrap();
    output(Command::new("sh").arg(folder.path().join("secrets.sh")));
    folder
}

/// The containers that podman-compose would make, each as its command, by the service.
fn containers(folder: &Path, files: &[&str], profiles: &[&str]) -> Vec<(String, String)> {
    let program = given("N8N_GATEWAY_TEST_CHECKERS").join("bin/podman-compose");
    let mut compose = Command::new(program);
    compose.args(["--verbose", "--dry-run"]).current_dir(folder);
    for file in files {
        compose.args(["--file", file]);
    }
    for profile in profiles {
        compose.args(["--profile", profile]);
    }
    let said = compose.args(["up", "--detach"]).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{text}");
    let made = text.lines().filter_map(|line| line.split_once("podman create "));
    let label = "--label io.podman.compose.service=";
    made.map(|(_, line)| {
        let name = line.split_once(label).unwrap().1.split(' ').next().unwrap();
        (name.to_owned(), line.to_owned())
    })
    .collect()
}

fn names(containers: &[(String, String)]) -> Vec<&str> {
    let mut names: Vec<_> = containers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// What holds for every container, whatever is in it.
fn are_confined(folder: &Path, containers: &[(String, String)]) {
    for (name, line) in containers {
        for option in
            ["--cap-drop ALL", "--read-only", "--security-opt no-new-privileges:true", " -m "]
        {
            assert!(line.contains(option), "{name} lacks {option}: {line}");
        }
        assert!(line.contains("--pids-limit 512"), "{name}: {line}");
        assert!(!line.contains("--cap-add") && !line.contains("--privileged"), "{name}: {line}");
        // The gateway is the only one that is published.
        assert_eq!(line.contains(" -p "), name == "gateway", "{name}: {line}");
        assert_eq!(line.contains("--network=n8n_front"), name == "gateway", "{name}: {line}");
        let goes_out = ["n8n", "webhook-", "worker-", "backup"];
        let out = line.contains("--network=n8n_egress");
        assert_eq!(out, goes_out.iter().any(|it| name.starts_with(it) && name != "backup-n8n"));
        for secret in fs::read_dir(folder.join("secrets")).unwrap() {
            let secret = fs::read_to_string(secret.unwrap().path()).unwrap();
            assert!(secret.len() == 64 && !line.contains(&secret), "{name}: {line}");
        }
    }
}

#[test]
fn the_files_are_what_the_specification_says() {
    let checker = given("N8N_GATEWAY_TEST_CHECKERS").join("bin/check-jsonschema");
    let check = |file: &Path| {
        let mut command = Command::new(&checker);
        command.args(["--builtin-schema", "vendor.compose-spec"]).arg(file).output().unwrap()
    };
    for file in FILES {
        let said = check(&deploy().join(file));
        assert!(said.status.success(), "{file}: {}", String::from_utf8_lossy(&said.stdout));
    }
    // The tool can tell a difference.
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("compose.yaml");
    fs::write(&wrong, "services: { gateway: { image: it, cap_dropp: [ALL] } }\n").unwrap();
    assert!(!check(&wrong).status.success());
}

#[test]
fn the_gateway_alone_is_published_and_everything_is_confined() {
    let folder = prepared();
    let folder = folder.path();
    let simple = containers(folder, &FILES[..1], &[]);
    assert_eq!(names(&simple), ["gateway", "n8n", "runners"]);
    are_confined(folder, &simple);
    let postgres = containers(folder, &FILES[..1], &["postgres", "backup"]);
    assert_eq!(names(&postgres), ["backup", "backup-n8n", "gateway", "n8n", "postgres", "runners"]);
    are_confined(folder, &postgres);
    let queue = containers(folder, &FILES, &["postgres"]);
    let expected = [
        "gateway",
        "n8n",
        "postgres",
        "redis",
        "runners",
        "runners-1",
        "runners-2",
        "webhook-1",
        "webhook-2",
        "worker-1",
        "worker-2",
    ];
    assert_eq!(names(&queue), expected);
    are_confined(folder, &queue);
    for (name, line) in &queue {
        let n8n = ["n8n", "webhook-", "worker-"].iter().any(|it| name.starts_with(it));
        assert_eq!(line.contains("EXECUTIONS_MODE=queue"), n8n, "{name}: {line}");
    }
    // From where n8n is, nobody gets out or in.
    let inside = checked(
        "import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))['networks']['back'])",
        &[&folder.join("compose.yaml")],
    );
    assert_eq!(inside.trim(), "{'internal': True}");
}

#[test]
fn n8n_knows_every_variable() {
    let folder = prepared();
    let all = containers(folder.path(), &FILES, &["postgres"]);
    let mut known = BTreeSet::new();
    for (name, line) in all.iter().filter(|(name, _)| name == "n8n" || name == "worker-1") {
        let pairs = line.split(" -e ").skip(1).filter_map(|it| it.split_once('='));
        known.extend(pairs.map(|(variable, _)| variable.trim_end_matches("_FILE").to_owned()));
        assert!(line.contains("N8N_PROXY_HOPS=1 "), "{name}");
        assert!(line.contains("N8N_EDITOR_BASE_URL=https://n8n.example.com/ "), "{name}");
        assert!(line.contains("N8N_SECURE_COOKIE=true "), "{name}");
        assert!(line.contains("NODE_ENV=production "), "{name}");
    }
    assert!(known.len() > 25, "{known:?}");
    let modules = given("N8N_GATEWAY_TEST_N8N").join("node_modules");
    let places = ["@n8n/config/dist", "n8n-workflow/dist", "n8n-core/dist", "n8n/dist"];
    let places: Vec<PathBuf> = places.iter().map(|it| modules.join(it)).collect();
    for variable in known {
        let mut grep = Command::new("grep");
        grep.args(["-rqF", "--include=*.js", &variable]).args(&places);
        assert!(grep.status().unwrap().success(), "n8n has no {variable}");
    }
    // The release that is tried here is the one that is started there.
    let package = fs::read_to_string(modules.join("n8n/package.json")).unwrap();
    let release = serde_json::from_str::<serde_json::Value>(&package).unwrap()["version"].clone();
    let release = release.as_str().unwrap();
    let environment = fs::read_to_string(deploy().join(".env.example")).unwrap();
    assert!(environment.contains(&format!("N8N_VERSION={release}\n")), "{release}");
    let manifest = fs::read_to_string(deploy().join("kubernetes/n8n.yaml")).unwrap();
    for image in ["n8n", "runners"] {
        assert!(manifest.contains(&format!("n8nio/{image}:{release}\n")), "{release}");
    }
}

#[test]
fn the_policies_can_be_used() {
    for policy in ["gateway", "gateway-queue"] {
        let file = deploy().join(policy).join("policy.yaml");
        let mut check = Command::new(given("N8N_GATEWAY_TEST_BINARY"));
        output(check.arg("check").arg("--config").arg(file));
    }
}

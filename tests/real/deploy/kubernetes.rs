//! The manifests of Kubernetes: the schemas, what the strictest of its own rules asks for, and the policy
//! in them.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use super::{checked, deploy, output};
use crate::processes::given;

fn folder() -> PathBuf {
    deploy().join("kubernetes")
}

fn read(name: &str) -> Value {
    let file = folder().join(name);
    let text = checked(
        "import sys, json, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)",
        &[&file],
    );
    serde_json::from_str(&text).unwrap()
}

fn files() -> Vec<String> {
    let all = read("kustomization.yaml");
    let resources = all["resources"].as_array().unwrap().iter();
    resources.map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn validate(file: &std::path::Path) -> bool {
    let checker = given("N8N_GATEWAY_TEST_CHECKERS").join("bin/kubernetes-validate");
    let said = Command::new(checker).arg("--strict").arg(file).output().unwrap();
    print!("{}", String::from_utf8_lossy(&said.stderr));
    said.status.success()
}

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    let mut names = files();
    names.push("secrets.example.yaml".to_owned());
    for name in &names {
        assert!(validate(&folder().join(name)), "{name}");
    }
    // All that is there is applied, or said not to be.
    let there = fs::read_dir(folder()).unwrap().map(|it| it.unwrap().file_name());
    let mut there: Vec<_> = there.map(|it| it.into_string().unwrap()).collect();
    there.retain(|it| it != "kustomization.yaml");
    there.sort_unstable();
    names.sort_unstable();
    assert_eq!(there, names);
    // The tool can tell a difference.
    let apart = tempfile::tempdir().unwrap();
    let wrong = fs::read_to_string(folder().join("service.yaml")).unwrap();
    let file = apart.path().join("wrong.yaml");
    fs::write(&file, wrong.replace("externalTrafficPolicy", "externalTraficPolicy")).unwrap();
    assert!(!validate(&file));
}

/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>, "restricted"; and a root that is
/// not written to.
#[test]
fn every_container_is_restricted() {
    let pod = &read("n8n.yaml")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 3);
    for container in containers {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{container}");
        assert_eq!(context["capabilities"]["drop"][0], "ALL", "{container}");
        assert!(context["runAsUser"].as_u64().is_some_and(|it| it > 0), "{container}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{container}");
    }
    let published: Vec<_> = containers.iter().filter(|it| !it["ports"].is_null()).collect();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0]["name"], "gateway");
    let n8n = containers.iter().find(|it| it["name"] == "n8n").unwrap();
    let listens = n8n["env"].as_array().unwrap().iter();
    let mut listens = listens.filter(|it| it["name"] == "N8N_LISTEN_ADDRESS");
    assert_eq!(listens.next().unwrap()["value"], "127.0.0.1");
    // The gateway sees who asks.
    let service = read("service.yaml");
    assert_eq!(service["spec"]["externalTrafficPolicy"], "Local");
    assert_eq!(
        read("namespace.yaml")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
}

#[test]
fn the_policy_can_be_used() {
    let policy = read("policy.yaml");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    fs::write(&file, policy["data"]["policy.yaml"].as_str().unwrap()).unwrap();
    let mut check = Command::new(given("N8N_GATEWAY_TEST_BINARY"));
    output(check.arg("check").arg("--config").arg(file));
}

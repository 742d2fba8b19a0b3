//! How good the TLS is, in the words of those who look for nothing else, and with the keys that a
//! quantum computer does not break.

use std::fs;

use rustls::{NamedGroup, ProtocolVersion};
use serde_json::Value;
use tokio::process::Command;

use super::{
    HOST,
    pebble::Options,
    stage::{Stage, Wish},
    visitor::{challenge, look},
};
use crate::processes::{PATIENCE, Process, step, turn};

/// What testssl.sh finds and does not like, and why it may stay.
const KNOWN: [(&str, &str); 2] = [
    ("cert_revocation", "Pebble puts no list of revoked certificates into its own"),
    (
        "cipher_order",
        "everything on offer is strong, and a client knows what its machine does fast",
    ),
];

/// What has to be so, by testssl.sh's names.
const EXPECTED: [(&str, &str); 18] = [
    ("SSLv2", "not offered"),
    ("SSLv3", "not offered"),
    ("TLS1", "not offered"),
    ("TLS1_1", "not offered"),
    ("TLS1_2", "offered"),
    ("TLS1_3", "offered"),
    ("cipherlist_NULL", "not offered"),
    ("cipherlist_aNULL", "not offered"),
    ("cipherlist_EXPORT", "not offered"),
    ("cipherlist_LOW", "not offered"),
    ("cipherlist_3DES_IDEA", "not offered"),
    ("cipherlist_AVERAGE", "not offered"),
    ("cert_chain_of_trust", "passed"),
    ("heartbleed", "not vulnerable"),
    ("ROBOT", "not vulnerable"),
    ("secure_client_renego", "not vulnerable"),
    ("CRIME_TLS", "not vulnerable"),
    ("LUCKY13", "not vulnerable"),
];

#[tokio::test(flavor = "multi_thread")]
async fn testssl_finds_no_fault() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let (gateway, _) = stage.gateway_with_certificate(&Wish::default()).await;
    let file = stage.folder.path().join("testssl.json");
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--warnings", "off", "--color", "0", "--nodns", "min"]);
    command.args(["--ip", "127.0.0.1", "-p", "-s", "-f", "-P", "-S", "-U"]);
    command.arg("--add-ca").arg(stage.pebble.root().await);
    command.arg("--jsonfile").arg(&file).arg(gateway.url()).current_dir(stage.folder.path());
    // It goes by what it finds, which is read below.
    let mut testssl = Process::start("testssl", &mut command, stage.folder.path());
    testssl.end_within(PATIENCE * 5).await;
    let found: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();

    for (name, expected) in EXPECTED {
        let row = found.iter().find(|it| it["id"] == name);
        let row = row.unwrap_or_else(|| panic!("{name} was not looked at"));
        assert!(row["finding"].as_str().unwrap().starts_with(expected), "{row}");
    }
    let bad = ["MEDIUM", "HIGH", "CRITICAL", "FATAL"];
    let known = |id: &Value| KNOWN.iter().any(|(name, _)| id == name);
    let bad: Vec<&Value> = found
        .iter()
        .filter(|it| it["severity"].as_str().is_none_or(|it| bad.contains(&it)))
        .filter(|it| !known(&it["id"]))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_agreed_on_that_last() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let (gateway, _) = stage.gateway_with_certificate(&Wish::default()).await;
    let seen = look(gateway.port(), HOST).await;
    assert_eq!(seen.version, Some(ProtocolVersion::TLSv1_3));
    assert_eq!(seen.group, Some(NamedGroup::X25519MLKEM768));

    step("whoever asks for a challenge's answer when there is none gets nothing");
    for host in [HOST, "other.test", "127.0.0.1"] {
        let why = challenge(gateway.port(), host).await.expect_err("nothing");
        println!("-- {host}: {why}");
    }
    // And nobody else notices.
    stage.sees_valid(&gateway, HOST).await;
    gateway.kill().await;
}

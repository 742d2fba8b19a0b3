//! What the guard asks of the machine: a disk, which may be full, and nftables.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use hyper::Request;
use serde_json::Value;

use super::{HOST, stranger};
use crate::{
    client::Client,
    installation::Gateway,
    namespace::{Apart, Namespace, output},
    processes::{eventually, free_ports, given, step, turn},
};

/// A gateway inside `namespace`, without an n8n.
async fn gateway_in(namespace: &Namespace, folder: &Path, rest: &str) -> Gateway {
    let [nobody] = free_ports();
    let command = namespace.command(given("N8N_GATEWAY_TEST_BINARY"));
    Gateway::start_by(command, folder, HOST, nobody, rest).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bans_hold_while_the_disk_is_full_and_are_written_when_it_is_not() {
    let _turn = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{}'", state.display());
    let disk = Namespace::start(folder.path(), Apart::Mounts, &mount).await;
    let gateway = gateway_in(&disk, folder.path(), "").await;
    let seen = disk.path(&state);
    let at =
        |gateway: &Gateway, n| Client::new(stranger(n), HOST, gateway.port(), &seen.join("ca.pem"));
    at(&gateway, 2).send(Request::get("/webhook/x"), "").await.is(503);
    assert!(gateway.events("state_write_failed").is_empty());

    step("the disk is full");
    fill(&seen.join("others"));
    for n in 0..10 {
        at(&gateway, 2).send(Request::get(format!("/{n}.php")), "").await.is(404);
    }
    let add = ["add", "127.0.0.3", "--for", "1h", "--reason", "test"];
    let (done, added) = gateway.bans(&add).await;
    assert!(done && added["durable"] == false, "{added}");
    assert!(at(&gateway, 2).is_dropped().await && at(&gateway, 3).is_dropped().await);
    let failed = gateway.event("state_write_failed", |it| it["first"] == true).await;
    assert!(failed["error"].as_str().unwrap().contains("full"), "{failed}");
    let name = "gateway_state_write_failures_total";
    let before = gateway.metric(name).await;
    assert!(before >= 1.0, "{before}");
    eventually("it is tried again", async || (gateway.metric(name).await > before).then_some(()))
        .await;
    assert!(at(&gateway, 2).is_dropped().await && at(&gateway, 3).is_dropped().await);
    assert!(gateway.events("state_recovered").is_empty());

    step("the disk has room again");
    fs::remove_file(seen.join("others")).unwrap();
    gateway.event("state_recovered", |_| true).await;
    gateway.kill().await;
    let gateway = gateway_in(&disk, folder.path(), "").await;
    assert!(at(&gateway, 2).is_dropped().await && at(&gateway, 3).is_dropped().await);
    at(&gateway, 4).send(Request::get("/webhook/x"), "").await.is(503);
    let (_, why) = gateway.bans(&["why", "127.0.0.2"]).await;
    assert_eq!(why["banned"]["jail"], "scan", "{why}");
    assert_eq!(why["banned"]["offences"].as_array().unwrap().len(), 10, "{why}");
    gateway.kill().await;
}

/// Leaves no room where `path` is.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let full =
        std::iter::repeat_with(|| file.write_all(&[b'x'; 4096])).take(1024).find_map(Result::err);
    assert_eq!(full.map(|why| why.kind()), Some(io::ErrorKind::StorageFull));
}

#[tokio::test(flavor = "multi_thread")]
async fn nftables_is_told_of_bans() {
    let _turn = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let network = Namespace::start(folder.path(), Apart::Network, "ip link set lo up").await;
    let told = "bans: { nftables: true }\n";
    let gateway = gateway_in(&network, folder.path(), told).await;
    until_set_is(&network, "banned4", &[]).await;

    step("bans go to nftables");
    let nets = ["203.0.113.9", "198.51.100.0/24", "2001:db8::/64"];
    let how = ["--for", "1h", "--reason", "test"];
    let (done, _) = gateway.bans(&[&["add"][..], &nets, &how].concat()).await;
    assert!(done);
    until_set_is(&network, "banned4", &["198.51.100.0/24", "203.0.113.9"]).await;
    until_set_is(&network, "banned6", &["2001:db8::/64"]).await;

    step("bans that are lifted, and a gateway that starts again");
    let (done, _) = gateway.bans(&["remove", "198.51.100.0/24"]).await;
    assert!(done);
    until_set_is(&network, "banned4", &["203.0.113.9"]).await;
    assert!(gateway.events("nftables_failed").is_empty());
    gateway.kill().await;
    output(nft(&network, &["delete", "table", "inet", "n8n_gateway"])).await;
    let gateway = gateway_in(&network, folder.path(), told).await;
    until_set_is(&network, "banned4", &["203.0.113.9"]).await;
    until_set_is(&network, "banned6", &["2001:db8::/64"]).await;
    assert!(gateway.events("nftables_failed").is_empty());
    gateway.kill().await;
}

fn nft(network: &Namespace, arguments: &[&str]) -> tokio::process::Command {
    let mut nft = network.command("nft");
    nft.args(arguments);
    nft
}

/// Waits until the gateway's set `name` has these elements and no others, each of them for a time.
async fn until_set_is(network: &Namespace, name: &str, expected: &[&str]) {
    eventually(&format!("{expected:?} in {name}"), async || {
        // Before the gateway's first word there is no such set.
        let listed = nft(network, &["-j", "list", "set", "inet", "n8n_gateway", name]);
        let listed = { listed }.output().await.unwrap();
        let listed: Value = serde_json::from_slice(&listed.stdout).ok()?;
        let set = listed["nftables"].as_array()?.iter().find_map(|it| it.get("set"))?.clone();
        let all = set["elem"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<_> = all.iter().map(element).collect();
        found.sort();
        (found == expected).then_some(())
    })
    .await;
}

/// An address or a network of a set.
fn element(it: &Value) -> String {
    let element = &it["elem"];
    let left = element["expires"].as_u64().unwrap_or_else(|| panic!("{it} has no end"));
    assert!(left <= 3600, "{it}");
    let net = &element["val"];
    match &net["prefix"] {
        Value::Object(prefix) => {
            format!("{}/{}", prefix["addr"].as_str().unwrap(), prefix["len"])
        }
        _ => net.as_str().unwrap_or_else(|| panic!("{it}")).to_owned(),
    }
}

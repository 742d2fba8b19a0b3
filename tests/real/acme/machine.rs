//! The machine at its worst: a process that is killed in the middle, two of them on one folder, a
//! file that is half there, a disk without room.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use super::{
    HOST,
    dns::{hook_calls, write_hook},
    pebble::Options,
    stage::{Stage, Wish, certificate, not_renewed, now, renew, renewed, until, until_valid},
    visitor::{another, look},
};
use crate::{
    namespace::{Apart, Namespace},
    processes::{eventually, given, step, turn},
};

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_order_and_the_certificate() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let folder = stage.folder.path();
    // It waits for a file, and so does the gateway; when it has ended, for the next one.
    let wait = "if [ \"$1\" = present ]; then while [ ! -e go ]; do sleep 0.1; done; fi";
    write_hook(folder, &stage.pebble.names, wait);
    for round in 1..=2 {
        step("killed");
        let gateway = stage.gateway(&Wish::by_hook()).await;
        eventually("the hook is called", async || {
            (hook_calls(folder).len() >= round).then_some(())
        })
        .await;
        assert_eq!(stage.pebble.orders(), 1, "an order that is open is taken up again");
        gateway.kill().await;
    }
    fs::write(folder.join("go"), "").unwrap();

    step("started once more");
    let gateway = stage.gateway(&Wish::by_hook()).await;
    until_valid(&gateway, HOST).await;
    stage.sees_valid(&gateway, HOST).await;
    let taken = (stage.pebble.orders(), stage.pebble.issued(), stage.pebble.accounts());
    assert_eq!(taken, (1, 1, 1));
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_stage() {
    let _turn = turn().await;
    for moment in [
        "accounts in memory",
        "Added order",
        "Pulled a task",
        "set VALID",
        "Processing finalization",
        "Issued certificate",
        "POST /certZ/",
    ] {
        step(moment);
        let stage = Stage::start(Options { slow: true, ..Options::default() }).await;
        let wish = Wish::default();
        let gateway = stage.gateway(&wish).await;
        eventually(moment, async || (stage.pebble.count(moment) > 0).then_some(())).await;
        gateway.kill().await;
        let gateway = stage.gateway(&wish).await;
        // An attempt that made no order has failed, and the next one comes a minute later.
        let listed = until(&gateway, HOST, |it| it["state"] == "valid" || it["failures"] != 0);
        let listed = listed.await;
        if listed["state"] != "valid" && listed["next_attempt"].as_i64() > Some(now()) {
            renewed(&gateway, HOST).await;
        }
        until_valid(&gateway, HOST).await;
        stage.sees_valid(&gateway, HOST).await;
        let taken = (stage.pebble.orders(), stage.pebble.issued(), stage.pebble.accounts());
        println!("-- orders, certificates, accounts: {taken:?}");
        // What was not written down yet is made once more.
        let accounts = if moment == "accounts in memory" { 2 } else { 1 };
        assert!(taken.0 <= 2 && taken.2 <= accounts, "{taken:?}");
        gateway.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_on_one_folder_order_once() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let other = tempfile::tempdir_in(stage.folder.path()).unwrap();
    let other = stage.place.another(other.path());
    let wish = Wish::by_hook();
    for folder in [&stage.place.folder, &other.folder] {
        write_hook(folder, &stage.pebble.names, "");
    }
    let program = crate::installation::program;
    let (one, two) = tokio::join!(stage.gateway(&wish), stage.gateway_at(&other, &wish, program()));
    for gateway in [&one, &two] {
        until_valid(gateway, HOST).await;
    }
    let seen = stage.sees_valid(&one, HOST).await;
    assert_eq!(stage.sees_valid(&two, HOST).await.leaf, seen.leaf);
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (1, 1));

    step("the one that orders renews for both");
    let [first, second] = [renew(&one, HOST).await, renew(&two, HOST).await];
    assert_ne!(first.0, second.0, "{first:?} {second:?}");
    // Whoever does not order looks now and then what the other one got, and when it is asked.
    let follower = if first.0 { &two } else { &one };
    assert!(!renew(follower, HOST).await.0);
    for gateway in [&one, &two] {
        another(gateway.port(), HOST, &seen).await;
    }
    let shown = [look(one.port(), HOST).await, look(two.port(), HOST).await];
    assert_eq!(shown[0].leaf, shown[1].leaf);
    assert_eq!(stage.pebble.orders(), 2);

    step("if it dies the other one does");
    let (dies, stays) = if first.0 { (one, two) } else { (two, one) };
    dies.kill().await;
    eventually("it takes over", async || renew(&stays, HOST).await.0.then_some(())).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (3, 1));
    stays.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_half_there_is_set_aside() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let wish = Wish::default();
    let (mut gateway, mut seen) = stage.gateway_with_certificate(&wish).await;
    let accounts = stage.place.certificates().join("accounts");
    let account = fs::read_dir(accounts).unwrap().next().unwrap().unwrap().path();
    let record = stage.place.pem().with_extension("json");
    for (count, (file, needed)) in
        [(stage.place.pem(), true), (record, false), (account, false)].into_iter().enumerate()
    {
        step(&file.display().to_string());
        gateway.kill().await;
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        gateway = stage.gateway(&wish).await;
        if !needed {
            assert_eq!(look(gateway.port(), HOST).await.leaf, seen.leaf, "nothing is lost by it");
            renewed(&gateway, HOST).await;
        }
        let name = file.file_name().unwrap().to_str().unwrap();
        let is = |it: &serde_json::Value| it["file"].as_str().is_some_and(|it| it.contains(name));
        let told = gateway.event("certificate_set_aside", is).await;
        assert!(!told["error"].as_str().unwrap().is_empty(), "{told}");
        until_valid(&gateway, HOST).await;
        seen = another(gateway.port(), HOST, &seen).await;
        stage.sees_valid(&gateway, HOST).await;
        assert_eq!(stage.pebble.orders(), count + 2);
        let halves = beside(&file).into_iter().filter(|it| it.len() == whole.len() / 2);
        assert_eq!(halves.count(), 1, "it can still be looked at");
    }
    gateway.kill().await;
}

/// What is in the files beside `file`.
fn beside(file: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(file.parent().unwrap()).unwrap().map(|it| it.unwrap().path());
    files.filter(|it| it != file && it.is_file()).map(|it| fs::read(it).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_on_the_disk_nothing_is_ordered_before_it_has_to_be() {
    let _turn = turn().await;
    // What is not renewed has little time left soon.
    let stage = Stage::start(Options { lifetime: 45, ..Options::default() }).await;
    fs::create_dir(&stage.place.state).unwrap();
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{}'", stage.place.state.display());
    let disk = Namespace::start(stage.folder.path(), Apart::Mounts, &mount).await;
    let inside = || disk.command(given("N8N_GATEWAY_TEST_BINARY"));
    let wish = Wish::default();
    let gateway = stage.gateway_at(&stage.place, &wish, inside()).await;
    until_valid(&gateway, HOST).await;
    let old = stage.sees_valid(&gateway, HOST).await;

    step("the disk is full");
    let others = disk.path(&stage.place.state).join("others");
    fill(&others);
    let (said, listed) = not_renewed(&gateway, HOST).await;
    assert!(said.contains("cannot be written"), "{said}");
    assert_eq!(listed["state"], "valid", "{listed}");
    assert_eq!(look(gateway.port(), HOST).await.leaf, old.leaf);
    assert_eq!(stage.pebble.orders(), 1, "it could not be kept, so it is not asked for");
    let failed = gateway.event("state_write_failed", |_| true).await;
    let error = failed["error"].as_str().unwrap().to_lowercase();
    assert!(error.contains("full") || error.contains("no space"), "{failed}");

    step("the end is near");
    eventually("a certificate in memory", async || renew(&gateway, HOST).await.0.then_some(()))
        .await;
    let new = another(gateway.port(), HOST, &old).await;
    stage.sees_valid(&gateway, HOST).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (2, 1));
    let (done, said) = renew(&gateway, HOST).await;
    assert!(!done, "that one is good for a while: {said}");
    assert_eq!(stage.pebble.orders(), 2);

    step("the disk has room again");
    let kept = certificate(&gateway, HOST).await.unwrap()["serial"].clone();
    fs::remove_file(others).unwrap();
    eventually("it is written down", async || {
        gateway.told(&["certs", "renew", HOST]).await.status.success().then_some(())
    })
    .await;
    let latest = another(gateway.port(), HOST, &new).await;
    assert_ne!(certificate(&gateway, HOST).await.unwrap()["serial"], kept);
    gateway.kill().await;
    let gateway = stage.gateway_at(&stage.place, &wish, inside()).await;
    let again = look(gateway.port(), HOST).await;
    assert_eq!(again.leaf, latest.leaf, "from the disk");
    gateway.kill().await;
}

/// Leaves no room where `path` is.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let full =
        std::iter::repeat_with(|| file.write_all(&[b'x'; 4096])).take(1024).find_map(Result::err);
    assert_eq!(full.map(|why| why.kind()), Some(std::io::ErrorKind::StorageFull));
}

//! A certificate after the first: renewed on time or by hand, revoked, kept over restarts, and had
//! from a directory that has forgotten everything.

use serde_json::Value;

use super::{
    HOST,
    account::Account,
    pebble::Options,
    stage::{Stage, Wish, certificate, now, orders, renewed, until, until_valid},
    visitor::{Caller, another, look},
};
use crate::processes::{step, turn};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_one_replaces_the_old_one_and_restarts_keep_it() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let wish = Wish::default();
    let (gateway, old) = stage.gateway_with_certificate(&wish).await;
    let listed = certificate(&gateway, HOST).await.unwrap();

    step("renewed, while people call");
    let caller = Caller::start(gateway.port(), HOST);
    caller.has_called().await;
    renewed(&gateway, HOST).await;
    let new = another(gateway.port(), HOST, &old).await;
    stage.sees_valid(&gateway, HOST).await;
    caller.has_called().await;
    let calls = caller.end().await;
    println!("-- {} calls", calls.answered);
    assert!(calls.failed.is_empty(), "{calls:?}");
    assert_eq!(calls.leaves, [old.leaf, new.leaf.clone()], "the old one until there is the new");
    let next = certificate(&gateway, HOST).await.unwrap();
    assert_ne!(listed["serial"], next["serial"], "{listed} {next}");
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (2, 1));

    step("restarted");
    gateway.kill().await;
    let gateway = stage.gateway(&wish).await;
    assert_eq!(look(gateway.port(), HOST).await.leaf, new.leaf, "from the first handshake on");
    let kept = until_valid(&gateway, HOST).await;
    assert_eq!(kept["serial"], next["serial"], "{kept} {next}");
    assert_eq!(gateway.events("certificate_temporary").len(), 1, "before the first alone");
    renewed(&gateway, HOST).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (3, 1));
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_renewed_by_itself() {
    let _turn = turn().await;
    let stage = Stage::start(Options { lifetime: 30, ..Options::default() }).await;
    let (gateway, old) = stage.gateway_with_certificate(&Wish::default()).await;
    let listed = certificate(&gateway, HOST).await.unwrap();
    let next = listed["next_attempt"].as_i64().unwrap();
    assert!(next < listed["not_after"].as_i64().unwrap(), "{listed}");
    another(gateway.port(), HOST, &old).await;
    assert!(now() >= next, "{listed}");
    stage.sees_valid(&gateway, HOST).await;
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_down_or_forgot_everything() {
    let _turn = turn().await;
    let mut stage = Stage::set(Options::default()).await;
    let wish = Wish::default();

    step("it is down when the gateway starts");
    let gateway = stage.gateway(&wish).await;
    gateway.event("certificate_failed", |_| true).await;
    stage.pebble.up().await;
    renewed(&gateway, HOST).await;
    until_valid(&gateway, HOST).await;
    let old = stage.sees_valid(&gateway, HOST).await;

    step("it has forgotten the account");
    stage.pebble.down().await;
    stage.pebble.up().await;
    renewed(&gateway, HOST).await;
    another(gateway.port(), HOST, &old).await;
    let old = stage.sees_valid(&gateway, HOST).await;
    assert_eq!(stage.pebble.accounts(), 2);

    step("the account was deactivated");
    Account::of(&stage.place.certificates()).deactivate(&stage.pebble).await;
    renewed(&gateway, HOST).await;
    another(gateway.port(), HOST, &old).await;
    stage.sees_valid(&gateway, HOST).await;
    assert_eq!(stage.pebble.accounts(), 3);
    assert_eq!(stage.pebble.orders(), 3, "an order is not taken from an account that is not there");

    step("the new account is the one that is used from now on");
    gateway.kill().await;
    let gateway = stage.gateway(&wish).await;
    renewed(&gateway, HOST).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (4, 3));
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_nonce_is_refused() {
    let _turn = turn().await;
    let stage = Stage::start(Options { nonces_refused: 50, ..Options::default() }).await;
    let (gateway, mut old) = stage.gateway_with_certificate(&Wish::default()).await;
    for _ in 0..5 {
        renewed(&gateway, HOST).await;
        old = another(gateway.port(), HOST, &old).await;
    }
    stage.sees_valid(&gateway, HOST).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (6, 1));
    assert!(orders(&gateway, "failed").await.abs() < f64::EPSILON);
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_replaced() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let (gateway, mut old) = stage.gateway_with_certificate(&Wish::default()).await;
    for (arguments, code) in [
        (&["certs", "revoke", HOST][..], None),
        (&["certs", "revoke", HOST, "--reason", "superseded"], Some(4)),
        (&["certs", "revoke", HOST, "--reason", "key-compromise"], Some(1)),
    ] {
        step(&arguments.join(" "));
        let listed = until_valid(&gateway, HOST).await;
        let serial = listed["serial"].as_str().unwrap().to_owned();
        assert_eq!(stage.pebble.status_of(&serial).await["Status"], "Valid", "{listed}");
        let told = gateway.told(arguments).await;
        assert!(told.status.success(), "{told:?}");
        let status = stage.pebble.status_of(&serial).await;
        assert_eq!(status["Status"], "Revoked", "{status}");
        let reason = status["Reason"].as_u64();
        assert!(reason == code || (code.is_none() && reason == Some(0)), "{status}");
        old = another(gateway.port(), HOST, &old).await;
        let next = until(&gateway, HOST, |it| it["state"] == "valid" && it["serial"] != serial);
        let next = next.await;
        let status = stage.pebble.status_of(next["serial"].as_str().unwrap()).await;
        assert_eq!(status["Status"], "Valid", "{status}");
    }
    stage.sees_valid(&gateway, HOST).await;
    assert_eq!(stage.pebble.orders(), 4);

    step("there is nothing to revoke");
    let told = gateway.told(&["certs", "revoke", "other.test"]).await;
    assert!(!told.status.success(), "{told:?}");
    assert_eq!(certificate(&gateway, HOST).await.unwrap()["last_error"], Value::Null);
    gateway.kill().await;
}

//! What goes wrong at the directory or on the way from it: what was good stays, a person is told
//! what to look at, and nothing is ordered again and again.

use std::fs;

use serde_json::Value;

use super::{
    HOST,
    dns::{hook_calls, write_hook},
    pebble::{EAB_KEY, Options},
    stage::{
        Place, Stage, Wish, certificate, metric_of, not_renewed, now, orders, renew, renewed,
        until, until_valid,
    },
    visitor::look,
};
use crate::{
    installation::Gateway,
    metrics,
    processes::{free_ports, step, turn},
};

/// Asserts that a failure is told everywhere in the same words, and that these are among them.
async fn assert_told(gateway: &Gateway, said: &str, listed: &Value, words: &[&str]) {
    let error = listed["last_error"].as_str().unwrap();
    for word in words {
        assert!(error.contains(word), "{word}: {error}");
        assert!(said.contains(word), "{word}: {said}");
    }
    let failures = listed["failures"].as_u64().unwrap();
    assert!(failures > 0, "{listed}");
    assert!(listed["next_attempt"].as_i64().unwrap() > now(), "{listed}");
    let event = gateway.event("certificate_failed", |it| it["failures"] == failures).await;
    assert_eq!((&event["host"], &event["error"]), (&HOST.into(), &listed["last_error"]));
    assert_eq!(event["next_attempt"], listed["next_attempt"], "{event}");
    let told = gateway.told(&["certs", "list"]).await;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(HOST), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_certificate_stays_while_others_cannot_be_had() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let names = &stage.pebble.names;
    let (gateway, good) = stage.gateway_with_certificate(&Wish::default()).await;
    assert!(orders(&gateway, "failed").await.abs() < f64::EPSILON);

    step("the host is moved elsewhere");
    names.moves(HOST, "127.0.0.9").await;
    let (said, listed) = not_renewed(&gateway, HOST).await;
    let words = ["127.0.0.9", HOST, "tls-alpn-01", "http-01"];
    assert_told(&gateway, &said, &listed, &words).await;
    assert_eq!(listed["state"], "valid", "{listed}");
    names.is_back(HOST).await;

    step("nobody knows where it is");
    names.fails(HOST, true).await;
    let (said, listed) = not_renewed(&gateway, HOST).await;
    assert_told(&gateway, &said, &listed, &["resolve", HOST]).await;
    names.fails(HOST, false).await;

    step("and none of that has cost anything");
    assert_eq!(stage.sees_valid(&gateway, HOST).await.leaf, served_at_last(&gateway, &good).await);
    let failed = orders(&gateway, "failed").await;
    assert!(failed >= 2.0, "{failed}");
    // Each attempt tries each of two challenges once, and both may have been in vain.
    let attempts = failed + orders(&gateway, "issued").await;
    let taken = u32::try_from(stage.pebble.orders()).unwrap();
    assert!(f64::from(taken) <= attempts * 2.0, "{taken} orders in {attempts} attempts");

    step("it is back");
    renewed(&gateway, HOST).await;
    let listed = until_valid(&gateway, HOST).await;
    assert_eq!((&listed["failures"], &listed["last_error"]), (&0.into(), &Value::Null));
    assert_eq!(f64::from(taken + 1), f64::from(u32::try_from(stage.pebble.orders()).unwrap()));
    gateway.kill().await;
}

/// The certificate that was served before things went wrong: the first, unless a renewal had an
/// authorization that the directory used again.
async fn served_at_last(
    gateway: &Gateway,
    good: &super::visitor::Seen,
) -> rustls_pki_types::CertificateDer<'static> {
    let renewed = gateway.events("certificate_issued").len() > 1;
    if renewed { look(gateway.port(), HOST).await.leaf } else { good.leaf.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_one_that_cannot_be_had() {
    let _turn = turn().await;
    step("the directory does not issue for this host");
    let stage = Stage::start(Options { blocked: &["n8n.test"], ..Options::default() }).await;
    let gateway = stage.gateway(&Wish::default()).await;
    until(&gateway, HOST, |it| it["failures"] == 1).await;
    let (done, said) = renew(&gateway, HOST).await;
    assert!(!done, "{said}");
    let listed = certificate(&gateway, HOST).await.unwrap();
    assert_told(&gateway, &said, &listed, &["forbidden by policy", "does not issue"]).await;
    assert_temporary(&gateway, &listed).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.accounts()), (0, 1));
    gateway.kill().await;

    step("the host leads elsewhere");
    let stage = Stage::start(Options::default()).await;
    stage.pebble.names.moves(HOST, "127.0.0.9").await;
    let wish = Wish::default();
    let gateway = stage.gateway(&wish).await;
    let listed = until(&gateway, HOST, |it| it["failures"] == 1).await;
    assert_temporary(&gateway, &listed).await;
    assert_eq!(stage.pebble.orders(), 2, "one for each challenge");
    stage.pebble.names.is_back(HOST).await;

    step("who restarts for ever does not order for ever");
    let mut gateway = gateway;
    for _ in 0..3 {
        gateway.kill().await;
        gateway = stage.gateway(&wish).await;
        let listed = certificate(&gateway, HOST).await.unwrap();
        assert_eq!(listed["failures"], 1, "{listed}");
        assert_temporary(&gateway, &listed).await;
    }
    assert_eq!(stage.pebble.orders(), 2);
    renewed(&gateway, HOST).await;
    stage.sees_valid(&gateway, HOST).await;
    gateway.kill().await;
}

async fn assert_temporary(gateway: &Gateway, listed: &Value) {
    assert_eq!((&listed["state"], &listed["renewal"]), (&"temporary".into(), &Value::Null));
    let temporary = metric_of(gateway, "gateway_tls_certificate_temporary", HOST).await;
    assert!((temporary - 1.0).abs() < f64::EPSILON, "{temporary}");
    // It is served all the same.
    look(gateway.port(), HOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_wants_to_know_who_vouches() {
    let _turn = turn().await;
    let right = "eab: { key_id: kid-1, hmac_key: \"${file:eab.key}\" }";
    let wrong_key = "eab: { key_id: kid-1, hmac_key: \"${file:wrong.key}\" }";
    let wrong_name = "eab: { key_id: kid-9, hmac_key: \"${file:eab.key}\" }";
    for (eab, words) in [
        ("", &["externalAccountBinding", "eab"][..]),
        (wrong_key, &["verification error", "hmac_key"]),
        (wrong_name, &["key that is not known", "key_id"]),
        (right, &[]),
    ] {
        step(eab);
        let stage = Stage::start(Options { eab: true, ..Options::default() }).await;
        fs::write(stage.folder.path().join("eab.key"), EAB_KEY).unwrap();
        let wrong = EAB_KEY.replace("zWNDZ", "AAAAA");
        fs::write(stage.folder.path().join("wrong.key"), &wrong).unwrap();
        let wish = Wish { directory: eab, ..Wish::default() };
        let gateway = stage.gateway(&wish).await;
        if words.is_empty() {
            until_valid(&gateway, HOST).await;
            stage.sees_valid(&gateway, HOST).await;
        } else {
            until(&gateway, HOST, |it| it["failures"] == 1).await;
            let (done, said) = renew(&gateway, HOST).await;
            assert!(!done, "{said}");
            let listed = certificate(&gateway, HOST).await.unwrap();
            assert_told(&gateway, &said, &listed, words).await;
        }
        assert_eq!(stage.pebble.accounts(), usize::from(words.is_empty()));
        let said = gateway.said();
        assert!(!said.contains(EAB_KEY) && !said.contains(&wrong), "the key is in the log");
        gateway.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_is_quoted() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let folder = stage.folder.path();
    write_hook(folder, &stage.pebble.names, "echo 'no such zone' >&2; exit 3");
    let gateway = stage.gateway(&Wish::by_hook()).await;
    until(&gateway, HOST, |it| it["failures"] == 1).await;
    let (done, said) = renew(&gateway, HOST).await;
    assert!(!done, "{said}");
    let listed = certificate(&gateway, HOST).await.unwrap();
    assert_told(&gateway, &said, &listed, &["hook.sh", "no such zone"]).await;

    step("it does nothing, and says that it did");
    write_hook(folder, &stage.pebble.names, "exit 0");
    let (said, listed) = not_renewed(&gateway, HOST).await;
    let words = ["No TXT records found", "_acme-challenge.n8n.test"];
    assert_told(&gateway, &said, &listed, &words).await;

    step("it is repaired");
    write_hook(folder, &stage.pebble.names, "");
    renewed(&gateway, HOST).await;
    stage.sees_valid(&gateway, HOST).await;
    let calls = hook_calls(folder);
    assert!(calls.iter().all(|it| it.ends_with(" _acme-challenge.n8n.test.")), "{calls:?}");
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_directory_stands_in() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let [closed] = free_ports();
    let first = format!("https://localhost:{closed}/dir");
    let gateway = stage.gateway(&Wish { first: Some(first), ..Wish::default() }).await;
    let listed = until_valid(&gateway, HOST).await;
    let issued = gateway.event("certificate_issued", |_| true).await;
    assert_eq!(listed["directory"], issued["directory"], "{listed} {issued}");
    assert!(!listed["directory"].as_str().unwrap().contains(&closed.to_string()), "{listed}");
    stage.sees_valid(&gateway, HOST).await;
    assert!(orders(&gateway, "failed").await >= 1.0);
    metrics::check(&gateway.operator("/metrics").await).await;
    assert_eq!(stage.pebble.orders(), 1);
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_challenges_is_enough() {
    let _turn = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path());
    // Nobody answers where the directory expects plain HTTP.
    let [closed] = free_ports();
    let mut stage = Stage::set_behind((closed, place.https()), place, folder).await;
    stage.pebble.up().await;
    let wish = Wish { challenges: "http-01, tls-alpn-01", ..Wish::default() };
    let gateway = stage.gateway(&wish).await;
    let listed = until_valid(&gateway, HOST).await;
    assert_eq!(listed["challenge"], "tls-alpn-01", "{listed}");
    stage.sees_valid(&gateway, HOST).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.issued()), (2, 1));

    step("what did it the last time does it again");
    renewed(&gateway, HOST).await;
    assert_eq!((stage.pebble.orders(), stage.pebble.issued()), (3, 2));
    gateway.kill().await;
}

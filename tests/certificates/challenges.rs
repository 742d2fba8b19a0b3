//! How control of a host is shown: one way after the other, and what is said when none will do.

use std::sync::atomic::Ordering;

use gateway_certs::Wanted;
use rcgen::KeyPair;

use crate::house::{Ground, HOST, HOUR, House, MINUTE, directory, wanted};

#[tokio::test(start_paused = true)]
async fn a_first_certificate_by_the_first_challenge() {
    let house = House::new();
    assert!(house.is_temporary(), "served at once");
    let house = house.issued().await;
    let seen = house.ca.seen();
    assert_eq!((seen.accounts.len(), seen.orders.len()), (1, 1));
    assert_eq!(seen.validations_by("tls-alpn-01"), 1);
    assert_eq!(house.standing().unwrap().challenge.unwrap().name(), "tls-alpn-01");
    assert_eq!((house.count("certificate_issued"), house.count("certificate_failed")), (1, 0));
    assert_eq!(house.count("certificate_not_served"), 0, "the mirror shows it");
    let pair = KeyPair::from_pem(&house.file("n8n.test.pem")).unwrap();
    assert_eq!(pair.algorithm(), &rcgen::PKCS_ECDSA_P256_SHA256);
    let metrics = house.telemetry.exposition();
    for line in [
        "gateway_acme_orders_total{directory=\"ca\",result=\"issued\"} 1",
        "gateway_acme_orders_total{directory=\"ca\",result=\"failed\"} 0",
        "gateway_tls_certificate_temporary{host=\"n8n.test\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_work_is_followed_by_what_does() {
    let house = House::new();
    house.open[1].store(false, Ordering::Relaxed);
    let house = house.issued().await;
    let seen = house.ca.seen();
    assert_eq!((seen.orders.len(), seen.failures_of(HOST).len()), (2, 1));
    assert_eq!(house.standing().unwrap().challenge.unwrap().name(), "http-01");
    // And the next time at once.
    house.renew().await;
    assert_eq!(house.ca.seen().failures_of(HOST).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn words_to_act_on_where_nothing_works() {
    let house = House::new();
    house.open[0].store(false, Ordering::Relaxed);
    house.open[1].store(false, Ordering::Relaxed);
    house.until(MINUTE, |it| it.count("certificate_failed") > 0).await;
    let standing = house.standing().unwrap();
    let error = standing.last_error.unwrap();
    assert!(
        error.contains("the CA could not reach n8n.test on port 443: is the port open"),
        "{error}"
    );
    assert!(
        error.contains("could not reach http://n8n.test/.well-known/acme-challenge/… on port 80"),
        "{error}"
    );
    assert_eq!(standing.failures, 1);
    assert!(house.is_temporary(), "and it serves");
    // Somebody opens the port.
    house.open[0].store(true, Ordering::Relaxed);
    let house = house.issued().await;
    let standing = house.standing().unwrap();
    assert_eq!((standing.failures, standing.last_error), (0, None));
}

#[tokio::test(start_paused = true)]
async fn addresses_have_certificates_where_a_ca_issues_them() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        let ground = Ground::new();
        ground.ca.addresses_under("shortlived");
        let mut ca = directory(&ground.ca, "ca");
        ca.profile = Some("shortlived".to_owned());
        let wanted = Wanted { hosts: vec![address.to_owned()], ..wanted(vec![ca]) };
        let house = ground.keep(wanted);
        house.until(HOUR, |it| it.count("certificate_issued") == 1).await;
        let seen = house.ca.seen();
        assert_eq!(seen.orders[0].profile.as_deref(), Some("shortlived"));
        assert_eq!(seen.validations[0].challenge, "tls-alpn-01");
        assert!(house.keeping.standings()[0].not_after > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_of_the_kind_that_is_asked_for() {
    use gateway_certs::KeyKind;
    for (kind, algorithm) in [
        (KeyKind::P384, &rcgen::PKCS_ECDSA_P384_SHA384),
        (KeyKind::Rsa2048, &rcgen::PKCS_RSA_SHA256),
    ] {
        let ground = Ground::new();
        let wanted = wanted(vec![directory(&ground.ca, "ca")]);
        let mut acme = (*wanted.acme).clone();
        acme.key = kind;
        let house = ground.keep(Wanted { acme: acme.into(), ..wanted }).issued().await;
        let pair = KeyPair::from_pem(&house.file("n8n.test.pem")).unwrap();
        assert_eq!(pair.algorithm(), algorithm);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_looks_for_a_while_is_told_once() {
    let house = House::new();
    house.ca.misbehave(|it| it.looks_for = Some(20 * std::time::Duration::from_secs(1)));
    let house = house.issued().await;
    assert_eq!(house.ca.seen().validations.len(), 1);
    // And where it fails, a host fails once for each challenge.
    for port in house.open.iter() {
        port.store(false, Ordering::Relaxed);
    }
    house.renew().await;
    assert_eq!(house.ca.seen().failures_of(HOST).len(), 2);
}

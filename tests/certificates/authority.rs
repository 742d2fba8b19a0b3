//! CAs that misbehave. In all of it what is served stays, what is said can be acted on, and what is
//! asked has an end.

use std::time::Duration;

use gateway_certs::{ExternalAccount, RevocationReason, Wanted};
use gateway_testkit::authority::{Endpoint, Nonces, Trouble, Wrong};

use crate::house::{DAY, Ground, HOUR, House, MINUTE, directory, wanted};

#[tokio::test(start_paused = true)]
async fn nonces_that_are_refused_cost_nothing() {
    let house = House::new();
    house.ca.misbehave(|it| it.nonces = Nonces::EverySecond);
    let house = house.issued().await;
    assert_eq!((house.ca.seen().orders.len(), house.count("certificate_failed")), (1, 0));
    house.ca.misbehave(|it| it.nonces = Nonces::Rejected(7));
    assert_eq!(house.renew().await[0].error, None);
}

/// What a CA does, and the words for it.
fn troubles() -> Vec<(&'static str, Endpoint, Trouble)> {
    vec![
        ("could not be asked", Endpoint::Directory, Trouble::Down),
        ("503", Endpoint::Directory, Trouble::Status(503)),
        ("timed out", Endpoint::NewNonce, Trouble::Hangs),
        ("could not be asked", Endpoint::NewOrder, Trouble::Garbage),
        ("500", Endpoint::NewOrder, Trouble::Status(500)),
        ("timed out", Endpoint::NewOrder, Trouble::Hangs),
        ("could not be asked", Endpoint::NewOrder, Trouble::Lost),
        ("502", Endpoint::Authorization, Trouble::Status(502)),
        ("504", Endpoint::Finalize, Trouble::Status(504)),
        ("could not be asked", Endpoint::Certificate, Trouble::Down),
        ("timed out", Endpoint::Certificate, Trouble::Hangs),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_breaks_the_last_good_one_stays_and_the_next_comes() {
    for (words, endpoint, trouble) in troubles() {
        let house = House::new().issued().await;
        let good = house.serial();
        house.breaks_at(endpoint, trouble);
        house.pass(60 * DAY).await;
        house.until(20 * DAY, |it| it.count("certificate_failed") >= 3).await;
        let what = format!("{endpoint:?} {trouble:?}");
        assert_eq!(house.serial(), good, "{what}");
        let error = house.standing().unwrap().last_error.unwrap();
        assert!(error.contains(words), "{what}: {error}");
        let before = house.ca.seen().orders.len();
        house.pass(DAY).await;
        assert!(house.ca.seen().orders.len() - before <= 12, "{what}");
        house.ca.behave();
        house.until(7 * HOUR, |it| it.serial() != good).await;
        assert_eq!(house.standing().unwrap().failures, 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_made_is_taken_up_again() {
    for endpoint in [Endpoint::Finalize, Endpoint::Certificate, Endpoint::Order] {
        let house = House::new();
        house.breaks_at(endpoint, Trouble::Status(500));
        house.until(10 * MINUTE, |it| it.count("certificate_failed") >= 2).await;
        house.ca.behave();
        let house = house.issued_within(HOUR).await;
        assert_eq!(house.ca.seen().orders.len(), 1, "{endpoint:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_asked_for_again() {
    for endpoint in [Endpoint::Challenge, Endpoint::Finalize] {
        let house = House::new();
        house.breaks_at(endpoint, Trouble::Lost);
        let house = house.issued().await;
        assert_eq!(house.ca.seen().orders.len(), 1, "{endpoint:?}");
        assert!(house.count("certificate_failed") <= 1, "{endpoint:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_never_ends_is_not_taken_up_for_ever() {
    let house = House::new();
    house.ca.misbehave(|it| it.pending_for_ever = true);
    house.pass(2 * DAY).await;
    let orders = house.ca.seen().orders.len();
    assert!((2..=40).contains(&orders), "{orders}");
    house.ca.behave();
    house.issued_within(7 * HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_takes_its_time_is_waited_for() {
    let house = House::new();
    house.ca.misbehave(|it| it.processing = 2 * MINUTE);
    let house = house.issued().await;
    assert_eq!(house.count("certificate_failed"), 0);
    // Longer than that is another attempt, at the same order.
    let before = house.serial();
    house.ca.misbehave(|it| it.processing = 10 * MINUTE);
    assert!(house.renew().await[0].error.is_some());
    house.pass(8 * MINUTE).await;
    assert_eq!(house.renew().await[0].error, None);
    assert_ne!(house.serial(), before);
    assert_eq!(house.ca.seen().orders.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_ca_issues_is_looked_at_first() {
    for (wrong, words) in [
        (Wrong::Empty, "no certificate in it"),
        (Wrong::Garbage, "UTF-8"),
        (Wrong::Host, "not for n8n.test"),
        (Wrong::Key, "does not belong"),
        (Wrong::Expired, "clock"),
    ] {
        let house = House::new().issued().await;
        let good = house.serial();
        house.ca.misbehave(|it| it.certificate = Some(wrong));
        let error = house.renew().await[0].error.clone().unwrap();
        assert!(error.contains(words), "{wrong:?}: {error}");
        assert_eq!(house.serial(), good, "{wrong:?}");
        house.ca.behave();
        assert_eq!(house.renew().await[0].error, None);
        assert_ne!(house.serial(), good);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_gone_is_made_anew() {
    let house = House::new().issued().await;
    house.ca.forget_accounts();
    assert_eq!(house.renew().await[0].error, None);
    house.ca.revoke_accounts();
    assert_eq!(house.renew().await[0].error, None);
    assert_eq!(house.ca.seen().accounts.len(), 3);
    house.ca.new_root();
    let before = house.shown().identity.issuer;
    assert_eq!(house.renew().await[0].error, None);
    assert_ne!(house.shown().identity.issuer, before);
}

#[tokio::test(start_paused = true)]
async fn what_an_account_may_not_do_does_not_cost_the_account() {
    let house = House::new().issued().await;
    house.ca.misbehave(|it| it.fails_authorizations = Some(("unauthorized", "not you")));
    let error = house.renew().await[0].error.clone().unwrap();
    assert!(error.contains("something else answers"), "{error}");
    assert_eq!(house.ca.seen().accounts.len(), 1);
    assert_eq!(house.ca.seen().failures_of("n8n.test").len(), 2, "both challenges were tried");
    // A key that is none is as good as no account.
    let file = house.folder().join("accounts/ca.test_directory.json");
    let text = house.file("accounts/ca.test_directory.json");
    let text = text.replace("key_pkcs8\": \"", "key_pkcs8\": \"AAAA");
    std::fs::write(&file, text).unwrap();
    house.ca.behave();
    assert_eq!(house.renew().await[0].error, None);
    assert_eq!(house.ca.seen().accounts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_bound_to_another_where_a_ca_wants_it() {
    let bound = |key: &[u8]| {
        let ground = Ground::new();
        ground.ca.external_account("kid-1", b"the right key");
        let mut ca = directory(&ground.ca, "ca");
        let external = ExternalAccount { id: "kid-1".to_owned(), key: key.to_vec().into() };
        ca.external = (!key.is_empty()).then_some(external);
        ground.keep(wanted(vec![ca]))
    };
    for (key, words) in [(&b""[..], "give `eab:"), (b"another key", "are `key_id` and `hmac_key`")]
    {
        let house = bound(key);
        house.until(MINUTE, |it| it.count("certificate_failed") > 0).await;
        let error = house.standing().unwrap().last_error.unwrap();
        assert!(error.contains(words), "{error}");
    }
    bound(b"the right key").issued().await;
}

#[tokio::test(start_paused = true)]
async fn profiles_are_asked_for_by_name() {
    let ground = Ground::new();
    let mut ca = directory(&ground.ca, "ca");
    ca.profile = Some("shortlived".to_owned());
    let house = ground.keep(wanted(vec![ca])).issued().await;
    assert_eq!(house.ca.seen().orders[0].profile.as_deref(), Some("shortlived"));
    assert!(house.left() < 8 * 86_400);
    // Somebody writes another into the policy, which this CA does not have.
    let mut other = directory(&house.ca, "ca");
    other.profile = Some("gold".to_owned());
    house.keeping.want(Some(wanted(vec![other]))).unwrap();
    house.pass(MINUTE).await;
    let error = house.renew().await[0].error.clone().unwrap();
    assert!(error.contains("no such profile"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_revoked_and_replaced() {
    let house = House::new().issued().await;
    let bad = house.serial();
    let done = house
        .keeping
        .revoke("n8n.test".to_owned(), RevocationReason::KeyCompromise, "a test")
        .await;
    assert_eq!(done.unwrap()[0].error, None);
    assert_eq!(house.ca.seen().revocations.len(), 1);
    assert_ne!(house.serial(), bad);
    assert!(house.said().contains("\"reason\":\"key-compromise\""), "{}", house.said());
    // Where the new one does not come at once, it is still wanted.
    let bad = house.serial();
    house.breaks_at(Endpoint::NewOrder, Trouble::Status(500));
    let done =
        house.keeping.revoke("n8n.test".to_owned(), RevocationReason::Superseded, "a test").await;
    let error = done.unwrap()[0].error.clone().unwrap();
    assert!(error.starts_with("it is revoked; there is no new one"), "{error}");
    let house = house.restart().await;
    house.ca.behave();
    house.until(HOUR, |it| it.serial() != bad).await;
    let other =
        house.keeping.revoke("other.test".to_owned(), RevocationReason::Superseded, "a test").await;
    assert!(other.unwrap()[0].error.is_some());
}

#[tokio::test(start_paused = true)]
async fn hosts_come_and_go_with_the_policy() {
    let house = House::new().issued().await;
    let first = house.serial();
    let both = |hosts: &[&str]| Wanted {
        hosts: hosts.iter().map(|it| (*it).to_owned()).collect(),
        ..wanted(vec![directory(&house.ca, "ca")])
    };
    house.keeping.want(Some(both(&["n8n.test", "hooks.test"]))).unwrap();
    house.until(MINUTE, |it| it.count("certificate_issued") == 2).await;
    assert_eq!(house.serial(), first, "the first is not touched");
    assert_eq!(house.keeping.standings().len(), 2);
    house.keeping.want(Some(both(&["hooks.test"]))).unwrap();
    house.pass(Duration::from_secs(5)).await;
    assert_eq!(house.keeping.standings().len(), 1);
    assert!(!house.telemetry.exposition().contains("not_after_seconds{host=\"n8n.test\"}"));
    // Back again: what the store has is good.
    house.keeping.want(Some(both(&["n8n.test"]))).unwrap();
    house.pass(Duration::from_secs(5)).await;
    assert_eq!((house.serial(), house.ca.seen().orders.len()), (first, 2));
}

#[tokio::test(start_paused = true)]
async fn another_ca_in_the_policy_is_asked_at_once() {
    let mut ground = Ground::new();
    let second = ground.another("second.test");
    let house = ground.keep({
        let staging = directory(&second, "staging");
        wanted(vec![staging])
    });
    let house = house.issued().await;
    house.keeping.want(Some(wanted(vec![directory(&house.ca, "ca")]))).unwrap();
    house.until(MINUTE, |it| it.count("certificate_issued") == 2).await;
    assert_eq!(house.standing().unwrap().directory.as_deref(), Some("ca"));
}

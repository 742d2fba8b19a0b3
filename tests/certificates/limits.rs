//! CAs that want to be left alone, and how often anybody is asked.

use std::sync::atomic::Ordering;

use gateway_testkit::authority::{Trouble, most_within};

use crate::house::{DAY, Ground, HOST, HOUR, House, MINUTE, directory, wanted};

#[tokio::test(start_paused = true)]
async fn a_limit_is_waited_for_even_over_a_restart() {
    let house = House::new();
    house.ca.misbehave(|it| it.rate_limited = Some(5 * HOUR));
    house.until(MINUTE, |it| it.count("certificate_failed") > 0).await;
    let error = house.standing().unwrap().last_error.unwrap();
    assert!(error.contains("ca has been asked too often"), "{error}");
    house.ca.misbehave(|it| it.rate_limited = None);
    let house = house.restart().await;
    house.pass(4 * HOUR).await;
    assert!(house.is_temporary() && house.ca.seen().limited.len() == 1);
    let house = house.issued_within(2 * HOUR).await;
    let metrics = house.telemetry.exposition();
    assert!(metrics.contains("gateway_acme_orders_total{directory=\"ca\",result=\"issued\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn another_ca_is_asked_meanwhile() {
    let mut ground = Ground::new();
    let second = ground.another("second.test");
    ground.ca.misbehave(|it| it.rate_limited = Some(5 * HOUR));
    let directories = vec![directory(&ground.ca, "first"), directory(&second, "second")];
    let house = ground.keep(wanted(directories)).issued().await;
    assert_eq!(house.standing().unwrap().directory.as_deref(), Some("second"));
    assert_eq!(house.ca.seen().limited.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_never_works_is_tried_a_few_times_a_day() {
    let house = House::new();
    for port in house.open.iter() {
        port.store(false, Ordering::Relaxed);
    }
    house.pass(3 * DAY).await;
    let orders = house.ca.seen().orders_of(HOST);
    let failed = house.ca.seen().failures_of(HOST);
    assert!(most_within(&failed, HOUR) <= 5, "Let's Encrypt's limit: {failed:?}");
    assert!((20..=60).contains(&orders.len()), "{}", orders.len());
    let last_day = orders.iter().filter(|at| **at > house.wall.really() - 86_400).count();
    assert!(last_day <= 12, "{last_day}");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_staging_directory_comes_first() {
    let mut ground = Ground::new();
    let staging = ground.another("staging.test");
    let mut ca = directory(&ground.ca, "ca");
    ca.staging = Some(staging.directory().to_owned());
    let house = ground.keep(wanted(vec![ca]));
    for port in house.open.iter() {
        port.store(false, Ordering::Relaxed);
    }
    house.pass(DAY).await;
    let failed = house.ca.seen().failures_of(HOST).len();
    assert_eq!(failed, 2, "both challenges, once");
    assert!(staging.seen().failures_of(HOST).len() > 10);
    house.open[0].store(true, Ordering::Relaxed);
    let house = house.issued_within(7 * HOUR).await;
    assert_eq!(house.ca.seen().certificates.len(), 1);
    assert_eq!(staging.seen().certificates.len(), 1, "a rehearsal");
    assert_eq!(house.standing().unwrap().directory.as_deref(), Some("ca"));
    assert!(house.telemetry.exposition().contains("directory=\"ca-staging\",result=\"issued\"} 1"));
    // What goes well is not rehearsed.
    house.renew().await;
    assert_eq!(staging.seen().certificates.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_of_it_again_and_again_does_not_order_each_time() {
    let mut house = House::new();
    // Everything works but the certificate itself: each start gets as far as that.
    let lost = gateway_testkit::authority::Endpoint::Certificate;
    house.breaks_at(lost, Trouble::Hangs);
    for _ in 0..200 {
        house.pass(5 * std::time::Duration::from_secs(1)).await;
        house = house.kill().await;
    }
    let seen = house.ca.seen();
    assert!(seen.orders.len() <= 3, "{} orders", seen.orders.len());
    assert_eq!(seen.accounts.len(), 1);
    house.ca.behave();
    let house = house.issued_within(7 * HOUR).await;
    assert_eq!(house.ca.seen().certificates.len(), 1, "what was ordered is fetched");
}

#[tokio::test(start_paused = true)]
async fn a_staging_directory_that_is_down_is_in_nobodys_way() {
    for trouble in [Trouble::Down, Trouble::Status(503), Trouble::Garbage] {
        let mut ground = Ground::new();
        let staging = ground.another("staging.test");
        let mut ca = directory(&ground.ca, "ca");
        ca.staging = Some(staging.directory().to_owned());
        let house = ground.keep(wanted(vec![ca]));
        house.open[0].store(false, Ordering::Relaxed);
        house.open[1].store(false, Ordering::Relaxed);
        house.until(MINUTE, |it| it.count("certificate_failed") > 0).await;
        staging.misbehave(|it| it.everywhere = Some(trouble));
        house.open[0].store(true, Ordering::Relaxed);
        house.issued_within(2 * HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_rehearsed_is_never_served() {
    let mut ground = Ground::new();
    let staging = ground.another("staging.test");
    let mut ca = directory(&ground.ca, "ca");
    ca.staging = Some(staging.directory().to_owned());
    staging.lifetime(HOUR);
    ground.ca.lifetime(6 * DAY);
    let house = ground.keep(wanted(vec![ca])).issued().await;
    // The clock is ahead of the end of whatever is issued.
    house.wall.set_wrong_by(30 * 86_400);
    house.pass(2 * DAY).await;
    assert!(house.shown().identity.issuer.contains("ca.test"), "{:?}", house.shown());
    house.wall.set_wrong_by(0);
    house.pass(6 * DAY).await;
    assert!(house.left() > 0 && house.shown().identity.issuer.contains("ca.test"));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_somewhat_ahead_makes_no_circle_of_orders() {
    let house = House::new();
    house.ca.lifetime(6 * DAY);
    let house = house.issued().await;
    house.wall.set_wrong_by(5 * 86_400);
    house.pass(6 * DAY).await;
    let orders = house.ca.seen().orders.len();
    assert!(orders <= 6, "{orders}");
    assert!(house.left() > 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_takes_long_is_not_made_again_beside_its_rehearsal() {
    let mut ground = Ground::new();
    let staging = ground.another("staging.test");
    let mut ca = directory(&ground.ca, "ca");
    ca.staging = Some(staging.directory().to_owned());
    ground.ca.misbehave(|it| it.processing = 20 * MINUTE);
    let house = ground.keep(wanted(vec![ca])).issued_within(HOUR).await;
    assert_eq!(house.ca.seen().orders.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_operator_need_not_wait_for_a_rest_that_no_ca_asked_for() {
    let house = House::new();
    for port in house.open.iter() {
        port.store(false, Ordering::Relaxed);
    }
    house.until(HOUR, |it| it.said().contains("challenges failed at ca too often")).await;
    house.open[0].store(true, Ordering::Relaxed);
    assert_eq!(house.renew().await[0].error, None);
    assert!(!house.telemetry.exposition().contains("result=\"rate_limited\"} 1"));
}

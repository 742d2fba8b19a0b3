//! A year, with certificates of each length that CAs have, and whatever goes wrong in a year.

use std::time::Duration;

use gateway_testkit::authority::{Trouble, most_within, window};

use crate::house::{DAY, Ground, HOST, HOUR, House, directory, wanted};

const WEEK: Duration = Duration::from_hours(7 * 24);

/// Let's Encrypt's limits that a client of one host can meet (letsencrypt.org/docs/rate-limits):
/// certificates for the same set of hosts in a week, orders in three hours, failed validations of a
/// host in an hour.
fn keeps_the_limits(house: &House) {
    let seen = house.ca.seen();
    let issued: Vec<i64> = seen.certificates.iter().map(|it| it.at).collect();
    assert!(most_within(&issued, WEEK) <= 5, "{issued:?}");
    assert!(most_within(&seen.orders_of(HOST), 3 * HOUR) <= 10, "{:?}", seen.orders_of(HOST));
    assert!(most_within(&seen.failures_of(HOST), HOUR) <= 5, "{:?}", seen.failures_of(HOST));
    assert_eq!(seen.accounts.len(), 1);
}

/// A keeper of certificates that last for so many days, at a CA with or without renewal information.
async fn house(days: u32, ari: bool) -> House {
    let house = House::new();
    house.ca.lifetime(days * DAY);
    house.ca.misbehave(|it| it.no_renewal_info = !ari);
    house.issued().await
}

/// Lets a year pass and looks every few hours; gives the least time that was left, in hours.
async fn a_year(house: &House, mut each_day: impl FnMut(&House, u32)) -> i64 {
    let mut least = i64::MAX;
    for day in 0..365 {
        each_day(house, day);
        for _ in 0..6 {
            house.pass(4 * HOUR).await;
            least = least.min(house.left());
            assert!(house.left() > 0, "ended on day {day}\n{}", house.said());
        }
    }
    keeps_the_limits(house);
    least / 3600
}

#[tokio::test(start_paused = true)]
async fn a_year_in_which_nothing_goes_wrong() {
    // By what the CA wishes, and by two thirds: how many certificates a year takes.
    for (days, ari, orders) in [
        (90, true, 5..=7),
        (90, false, 6..=8),
        (45, true, 11..=14),
        (45, false, 12..=14),
        (6, true, 85..=95),
        (6, false, 88..=105),
    ] {
        let house = house(days, ari).await;
        let least = a_year(&house, |_, _| {}).await;
        let seen = house.ca.seen();
        assert!(orders.contains(&seen.orders.len()), "{days} {ari}: {}", seen.orders.len());
        assert!(least > i64::from(days) * 24 / 4, "{days} {ari}: {least} hours were left");
        assert_eq!(house.count("certificate_failed"), 0);
        // Each order but the first says what it replaces, where the CA knows of that.
        let replaced = if ari { seen.orders.len() - 1 } else { 0 };
        assert_eq!(seen.replaces().len(), replaced);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_down_for_a_day_at_the_worst_moment() {
    for (days, ari) in [(90, true), (90, false), (6, true), (6, false)] {
        let house = house(days, ari).await;
        let (mut outages, mut last) = (0, String::new());
        a_year(&house, |house, _| {
            let due = house.standing().unwrap().renewal.unwrap().at;
            // Down on the day on which it would renew; every third time it hangs instead.
            if due - house.wall.really() < 86_400 && last != house.serial() {
                (outages, last) = (outages + 1, house.serial());
                let how = if outages % 3 == 0 { Trouble::Hangs } else { Trouble::Down };
                house.ca.misbehave(|it| it.everywhere = Some(how));
            } else {
                house.ca.misbehave(|it| it.everywhere = None);
            }
        })
        .await;
        assert!(outages > 3, "{days} {ari}");
        assert!(house.count("certificate_failed") > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_moves_its_window() {
    let house = house(90, true).await;
    let first = house.serial();
    house.pass(10 * DAY).await;
    assert_eq!(house.serial(), first);
    // It has to revoke all it issued, and asks for renewal now.
    house.ca.suggest(window::past);
    house.pass(DAY).await;
    let second = house.serial();
    assert_ne!(second, first, "within a day");
    // And goes on asking for it: it is not followed more often than every CA lets.
    house.pass(20 * DAY).await;
    let orders = house.ca.seen().orders.len();
    assert!((10..=17).contains(&orders), "{orders}");
    keeps_the_limits(&house);
    // It comes to its senses, and later moves the window by weeks.
    house.ca.suggest(window::usual);
    house.pass(40 * DAY).await;
    let settled = house.serial();
    house.ca.suggest(|begins, _| (begins + 70 * 86_400, begins + 71 * 86_400));
    house.pass(25 * DAY).await;
    assert_eq!(house.serial(), settled, "later than two thirds, as the CA wishes");
    house.pass(10 * DAY).await;
    assert_ne!(house.serial(), settled);
}

#[tokio::test(start_paused = true)]
async fn a_ca_whose_wishes_make_no_sense() {
    for wishes in [window::after_the_end, window::backwards] {
        let house = house(90, true).await;
        house.ca.suggest(wishes);
        // What it said before holds for hours.
        house.renew().await;
        let least = a_year(&house, |_, _| {}).await;
        assert!(least > 10 * 24, "{least} hours were left");
        assert!(house.ca.seen().orders.len() <= 9);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_ca_takes_over_for_as_long_as_it_must() {
    let mut ground = Ground::new();
    let second = ground.another("second.test");
    let directories = vec![directory(&ground.ca, "first"), directory(&second, "second")];
    let house = ground.keep(wanted(directories)).issued().await;
    assert_eq!(house.standing().unwrap().directory.as_deref(), Some("first"));
    house.ca.misbehave(|it| it.everywhere = Some(Trouble::Status(503)));
    a_year(&house, |_, _| {}).await;
    assert_eq!(house.standing().unwrap().directory.as_deref(), Some("second"));
    assert!(second.seen().replaces().len() >= 4, "the second's own are replaced there");
    // It is back: the next renewal is its own again.
    house.ca.behave();
    house.pass(90 * DAY).await;
    assert_eq!(house.standing().unwrap().directory.as_deref(), Some("first"));
}

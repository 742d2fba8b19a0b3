//! The machine: a clock that is wrong, a disk that is full, files that are broken, processes that are
//! killed, and two gateways on one store.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use gateway_testkit::authority::{Endpoint, Trouble};

use crate::house::{DAY, Ground, HOUR, House, MINUTE, directory, wanted};

const YEAR: i64 = 365 * 86_400;

#[tokio::test(start_paused = true)]
async fn a_restart_needs_no_ca() {
    let house = House::new().issued().await;
    let serial = house.serial();
    house.ca.misbehave(|it| it.everywhere = Some(Trouble::Down));
    let house = house.restart().await;
    assert_eq!((house.serial(), house.is_temporary()), (serial, false));
    house.pass(DAY).await;
    assert_eq!(house.count("certificate_failed"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_a_year_ahead_and_is_set_right() {
    let house = House::new().issued().await;
    house.wall.set_wrong_by(YEAR);
    house.pass(2 * DAY).await;
    let orders = house.ca.seen().orders.len();
    assert!(orders <= 25, "{orders} orders");
    let error = house.standing().unwrap().last_error.unwrap();
    assert!(error.contains("is this machine's clock right"), "{error}");
    assert!(house.left() > 80 * 86_400, "what is served is good for everybody else");
    house.wall.set_wrong_by(0);
    house.pass(HOUR).await;
    let settled = house.ca.seen().orders.len();
    house.pass(20 * DAY).await;
    assert_eq!(house.ca.seen().orders.len(), settled);
    assert_eq!(house.standing().unwrap().state, gateway_certs::StandingState::Valid);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_years_behind_and_is_set_right() {
    let house = House::new();
    house.wall.set_wrong_by(-20 * YEAR);
    let house = house.issued().await;
    house.pass(10 * DAY).await;
    assert_eq!(house.ca.seen().orders.len(), 1);
    house.wall.set_wrong_by(0);
    house.pass(90 * DAY).await;
    assert!(house.left() > 20 * 86_400, "renewed in time");
}

#[tokio::test(start_paused = true)]
async fn a_failure_under_a_wrong_clock_does_not_keep_it_waiting() {
    let house = House::new();
    house.wall.set_wrong_by(5 * YEAR);
    house.ca.misbehave(|it| it.everywhere = Some(Trouble::Down));
    house.until(HOUR, |it| it.count("certificate_failed") > 3).await;
    house.ca.behave();
    house.wall.set_wrong_by(0);
    let house = house.restart().await;
    house.until(10 * MINUTE, |it| !it.is_temporary()).await;
}

/// A folder that cannot be written, as a full disk cannot, even by root.
fn fill(house: &House) {
    let folder = house.folder();
    for name in ["n8n.test.pem.new", "n8n.test.json.new"] {
        fs::create_dir_all(folder.join(name).join("full")).unwrap();
    }
}

fn empty(house: &House) {
    for name in ["n8n.test.pem.new", "n8n.test.json.new"] {
        fs::remove_dir_all(house.folder().join(name)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_costs_nothing_but_words() {
    let house = House::new().issued().await;
    let first = house.serial();
    fill(&house);
    house.pass(70 * DAY).await;
    assert_eq!(house.serial(), first, "not ordered for nothing");
    assert_eq!(house.ca.seen().orders.len(), 1);
    let error = house.standing().unwrap().last_error.unwrap();
    assert!(error.contains("the state folder cannot be written"), "{error}");
    // When the end is near it is better to have it in memory alone.
    house.until(15 * DAY, |it| it.serial() != first).await;
    let second = house.serial();
    assert!(house.file("n8n.test.pem").len() > 100);
    empty(&house);
    house.pass(HOUR).await;
    let house = house.restart().await;
    assert_eq!(house.serial(), second, "written as soon as it could be");
    assert_eq!(house.ca.seen().orders.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_whose_folder_cannot_be_written_spends_no_orders() {
    let ground = Ground::new();
    let folder = ground.folder.path().join("certificates");
    fs::create_dir_all(folder.join("n8n.test.json.new/full")).unwrap();
    let house = ground_house(ground);
    house.pass(HOUR).await;
    assert!(house.is_temporary() && house.ca.seen().orders.is_empty());
    let error = house.standing().unwrap().last_error.unwrap();
    assert!(error.contains("the state folder cannot be written"), "{error}");
    fs::remove_dir_all(folder.join("n8n.test.json.new")).unwrap();
    house.issued_within(HOUR).await;
}

fn ground_house(ground: Ground) -> House {
    let wanted = wanted(vec![directory(&ground.ca, "ca")]);
    ground.keep(wanted)
}

#[tokio::test(start_paused = true)]
async fn broken_files_are_set_aside_and_replaced() {
    let broken = ["n8n.test.pem", "n8n.test.json", "accounts/ca.test_directory.json"];
    for name in broken {
        let house = House::new().issued().await;
        let path = house.folder().join(name);
        let half = house.file(name);
        fs::write(&path, half.as_bytes().split_at(half.len() / 2).0).unwrap();
        let house = house.restart().await;
        house.renew().await;
        assert_eq!(house.count("certificate_set_aside"), 1, "{name}");
        assert!(house.folder().join(format!("{name}.broken")).exists(), "{name}");
        assert!(!house.is_temporary(), "{name}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_at_any_step_takes_it_up_again() {
    use Endpoint::{Authorization, Certificate, Challenge, Finalize, NewAccount, NewOrder, Order};
    for endpoint in [NewAccount, NewOrder, Authorization, Challenge, Finalize, Order, Certificate] {
        let house = House::new();
        house.breaks_at(endpoint, Trouble::Hangs);
        house.pass(Duration::from_secs(20)).await;
        let house = house.kill().await;
        house.ca.behave();
        let house = house.issued_within(5 * MINUTE).await;
        let seen = house.ca.seen();
        assert_eq!(seen.certificates.len(), 1, "{endpoint:?}");
        assert_eq!(seen.orders.len(), 1, "{endpoint:?}: the same order");
    }
}

#[tokio::test(start_paused = true)]
async fn two_gateways_on_one_store_order_once() {
    let ground = Ground::new();
    let other = Ground {
        wall: ground.wall.clone(),
        ca: ground.ca.clone(),
        others: Vec::new(),
        folder: ground.folder.clone(),
    };
    let first = ground_house(ground).issued().await;
    let second = ground_house(other);
    second.pass(MINUTE).await;
    assert_eq!(second.serial(), first.serial(), "read from the store");
    let told = second.renew().await[0].error.clone().unwrap();
    assert!(told.contains("another gateway"), "{told}");
    first.is_where_it_leads();
    first.pass(70 * DAY).await;
    assert_eq!(first.ca.seen().orders.len(), 2);
    assert_eq!(second.serial(), first.serial(), "and it follows");
    // The first one stops: the second takes over.
    let last = first.serial();
    first.stop().await;
    second.is_where_it_leads();
    second.pass(70 * DAY).await;
    assert_ne!(second.serial(), last);
    assert_eq!(second.ca.seen().orders.len(), 3);
}

use std::sync::atomic::AtomicU64;

use gateway_policy::{Arrival, Offence, Sentence};
use proptest::prelude::*;

use gateway_telemetry::Telemetry;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{ByHand, Store, StoreError, journal::RETRY};

fn ledger() -> Ledger {
    Ledger::new(Key::passing().unwrap())
}

fn client(address: &str) -> Client {
    let address: IpAddr = address.parse().unwrap();
    let key = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    };
    Client { address, key }
}

fn bans() -> Bans {
    let (find_time, ban_time) = (Duration::from_secs(600), Duration::from_secs(600));
    let jails =
        vec![Sentence { jail: Jail::Scan, max_retry: 2, find_time, ban_time, dry_run: false }];
    Bans { jails, ..Bans::default() }
}

fn probe(at: i64) -> Note {
    static REQUEST: AtomicU64 = AtomicU64::new(1);
    let request = REQUEST.fetch_add(1, Ordering::Relaxed);
    Note { at: Timestamp(at), offence: Offence::Probe, surface: None, request, account: None }
}

fn offend(ledger: &Ledger, address: &str, at: i64) -> Noted {
    ledger.note(client(address), 64, probe(at), &bans())
}

fn is_banned(ledger: &Ledger, address: &str, at: i64) -> bool {
    ledger.banned(address.parse().unwrap(), Timestamp(at)).is_some()
}

#[test]
fn a_ban_holds_until_it_ends_and_is_told_by_request() {
    let ledger = ledger();
    assert!(offend(&ledger, "192.0.2.1", 0).bans.is_empty());
    let note = probe(1);
    let noted = ledger.note(client("192.0.2.1"), 64, note, &bans());
    assert_eq!(noted.bans.len(), 1);
    assert!(is_banned(&ledger, "192.0.2.1", 600) && !is_banned(&ledger, "192.0.2.2", 600));
    assert!(!is_banned(&ledger, "192.0.2.1", 601));
    assert_eq!(ledger.by_request(note.request), noted.bans.first().cloned());
    ledger.turned_away(u64::MAX, "192.0.2.1/32".parse().unwrap());
    assert_eq!(ledger.by_request(u64::MAX), noted.bans.first().cloned());
    assert_eq!(ledger.by_request(u64::MAX - 1), None);
    assert_eq!(ledger.sweep(Timestamp(600)).len(), 0);
    assert_eq!(ledger.sweep(Timestamp(601)).len(), 1);
    assert!(!ledger.any.load(Ordering::Acquire));
}

#[test]
fn whoever_walks_through_a_site_gets_the_site_banned() {
    let ledger = ledger();
    // One offence from each network stays below every network's own limit.
    for n in 0..15 {
        assert!(offend(&ledger, &format!("2001:db8:0:{n}::1"), 0).bans.is_empty(), "{n}");
    }
    let last = offend(&ledger, "2001:db8:0:f::1", 1);
    assert_eq!(last.bans.len(), 1);
    assert!(is_banned(&ledger, "2001:db8:0:ffff::1", 2));
    assert!(!is_banned(&ledger, "2001:db8:1::1", 2), "the next site is free");
}

#[test]
fn requests_under_way_do_not_ban_again_and_a_ban_by_hand_stays() {
    let ledger = ledger();
    let by_hand = Some(ByHand { who: "me".to_owned(), why: String::new() });
    offend(&ledger, "192.0.2.1", 0);
    let banned = offend(&ledger, "192.0.2.1", 0).bans;
    let mut banned = (**banned.first().unwrap()).clone();
    for _ in 0..20 {
        assert_eq!(offend(&ledger, "192.0.2.1", 1), Noted::default());
    }
    (banned.ban.until, banned.by_hand) = (Timestamp(1_000_000), by_hand);
    ledger.add(vec![banned.clone()]);
    offend(&ledger, "192.0.2.1", 2);
    assert_eq!(ledger.bans().next().map(|it| (*it).clone()), Some(banned));
}

#[test]
fn a_clock_that_is_set_back_takes_its_bans_along() {
    let ledger = ledger();
    ledger.sweep(Timestamp(1_000_000));
    offend(&ledger, "192.0.2.1", 1_000_000);
    offend(&ledger, "192.0.2.1", 1_000_000);
    ledger.sweep(Timestamp(1_000_000 - 30));
    assert!(is_banned(&ledger, "192.0.2.1", 1_000_599), "only a correction");
    ledger.sweep(Timestamp(0));
    assert!(is_banned(&ledger, "192.0.2.1", 629) && !is_banned(&ledger, "192.0.2.1", 631));
    // And forth: a machine that wakes in 1970 must not let everybody in when it learns the time.
    ledger.sweep(Timestamp(1_800_000_000));
    assert!(is_banned(&ledger, "192.0.2.1", 1_800_000_500));
    assert!(!is_banned(&ledger, "192.0.2.1", 1_800_000_700));
}

#[test]
fn the_bans_that_end_last_are_told_first_and_no_more_than_asked_for() {
    let ledger = ledger();
    for at in 0..5 {
        for _ in 0..2 {
            offend(&ledger, &format!("192.0.2.{at}"), at);
        }
    }
    let nets = |most| ledger.last_bans(most).iter().map(|it| it.net).collect::<Vec<_>>();
    let all: Vec<_> = ledger.bans().map(|it| it.net).collect();
    assert_eq!((all.len(), nets(9)), (5, all.clone()));
    assert_eq!(nets(2), all[..2]);
    assert!(nets(0).is_empty());
}

#[test]
fn what_is_lifted_is_forgotten() {
    let ledger = ledger();
    offend(&ledger, "192.0.2.1", 0);
    offend(&ledger, "192.0.2.1", 1);
    offend(&ledger, "192.0.2.1", 2);
    let net = "192.0.2.1/32".parse().unwrap();
    assert_eq!(ledger.lift(&[net]).len(), 1);
    assert!(!is_banned(&ledger, "192.0.2.1", 3));
    assert!(ledger.held(client("192.0.2.1"), 64).is_empty());
    offend(&ledger, "192.0.2.1", 4);
    let again = offend(&ledger, "192.0.2.1", 5);
    assert_eq!(again.bans.first().map(|it| it.ban.nth), Some(1), "its past is forgotten too");
}

#[tokio::test]
async fn everything_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (first, stop) = (ledger(), CancellationToken::new());
    let (log, _) = gateway_telemetry::Log::memory(gateway_telemetry::Level::Info);
    let metrics = Arc::new(gateway_telemetry::Metrics::new("0").unwrap());
    let telemetry = Telemetry::new(metrics, log);
    let store = || Box::new(crate::Sqlite::in_folder(folder.path()));
    let keeping = first.keep(store(), true, || Timestamp(5), || (), telemetry, stop.clone());
    let account = first.key().account("a");
    let using = async {
        offend(&first, "192.0.2.1", 0);
        offend(&first, "192.0.2.1", 1);
        let net = "198.51.100.0/24".parse().unwrap();
        let by_hand = Some(ByHand { who: "me".to_owned(), why: "because".to_owned() });
        let ban = first.bans().next().unwrap().ban.clone();
        first.add(vec![Banned { net, ban, by_hand }]);
        first.signed_in(client("192.0.2.9"), 64, Some(account), Timestamp(5));
        first.is_user("u", account);
        assert_eq!(first.at_home("u", Some("v4"), Timestamp(5)), ["v4"]);
        assert!(first.settled().await);
        stop.cancel();
    };
    tokio::join!(keeping, using);
    let second = ledger();
    second.load(&mut *store(), Timestamp(10)).unwrap();
    assert_eq!(second.account_of("u"), Some(account), "without any session");
    assert_eq!(second.at_home("u", None, Timestamp(10)), ["v4"]);
    assert!(second.bans().eq(first.bans()));
    assert!(is_banned(&second, "198.51.100.7", 10));
    assert!(second.knows(client("192.0.2.9").key, Some(account), Timestamp(10)));
    offend(&second, "192.0.2.1", 700);
    let again = offend(&second, "192.0.2.1", 701);
    assert_eq!(again.bans.first().map(|it| it.ban.nth), Some(2), "its past is remembered");
    // A clock that was ahead is not believed.
    let third = ledger();
    third.load(&mut *store(), Timestamp(-1_000_000)).unwrap();
    assert_eq!(third.bans().count(), 2);
    assert!(third.bans().all(|it| it.ban.until <= Timestamp(-1_000_000 + 600)));
}

/// A store that cannot be read until it can.
struct Shut(crate::Sqlite, Arc<AtomicBool>);

impl Store for Shut {
    fn load(&mut self) -> Result<Vec<Change>, StoreError> {
        let shut = self.1.load(Ordering::SeqCst);
        if shut { Err(StoreError::new("shut")) } else { self.0.load() }
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.0.write(changes)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_could_not_be_read_is_read_when_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let store = || crate::Sqlite::in_folder(folder.path());
    let (log, _) = gateway_telemetry::Log::memory(gateway_telemetry::Level::Info);
    let metrics = Arc::new(gateway_telemetry::Metrics::new("0").unwrap());
    let telemetry = Telemetry::new(metrics, log);
    let before = ledger();
    offend(&before, "192.0.2.1", 0);
    offend(&before, "192.0.2.1", 0);
    store().write(&before.everything()).unwrap();

    let (after, stop, shut) = (ledger(), CancellationToken::new(), Arc::new(AtomicBool::new(true)));
    let shutting = Box::new(Shut(store(), Arc::clone(&shut)));
    let keeping = after.keep(shutting, false, || Timestamp(5), || (), telemetry, stop.clone());
    let using = async {
        tokio::task::yield_now().await;
        offend(&after, "192.0.2.2", 4);
        offend(&after, "192.0.2.2", 4);
        assert!(!after.settled().await, "in memory alone");
        assert!(!is_banned(&after, "192.0.2.1", 5) && is_banned(&after, "192.0.2.2", 5));
        shut.store(false, Ordering::SeqCst);
        sleep(RETRY * 2).await;
        assert!(is_banned(&after, "192.0.2.1", 5) && is_banned(&after, "192.0.2.2", 5));
        assert!(after.settled().await);
        stop.cancel();
    };
    tokio::join!(keeping, using);
    assert_eq!(store().load().unwrap().len(), 4, "two bans, two pasts");
}

proptest! {
    #[test]
    fn every_ban_ends(steps in proptest::collection::vec((0..6_u8, 0..100_i64), 0..80)) {
        let ledger = ledger();
        let mut now = 0;
        for (host, step) in steps {
            now += step;
            offend(&ledger, &format!("192.0.2.{host}"), now);
        }
        ledger.sweep(Timestamp(now + 601));
        prop_assert!(ledger.bans().next().is_none());
    }
}

#[test]
fn a_message_that_was_taken_is_known_after_a_restart() {
    let before = ledger();
    let message = |n: u8| (Arc::from("webhook/x"), [n; 16]);
    assert_eq!(before.arrives(message(1), Timestamp(0)), Arrival::First);
    assert_eq!(before.arrives(message(2), Timestamp(0)), Arrival::First);
    before.took(message(1), Timestamp(10));
    let kept = before.everything();

    let after = ledger();
    after.restore(kept.clone(), Timestamp(5));
    assert_eq!(after.arrives(message(1), Timestamp(5)), Arrival::Again);
    assert_eq!(after.arrives(message(2), Timestamp(5)), Arrival::First, "nobody answered");
    let late = ledger();
    late.restore(kept, Timestamp(10));
    assert_eq!(late.messages(), 0, "it would not be believed any more");
}

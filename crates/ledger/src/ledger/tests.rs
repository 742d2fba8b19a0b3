use std::sync::atomic::AtomicU64;

use gateway_policy::{Offence, Sentence};
use proptest::prelude::*;

use super::*;
use crate::ByHand;

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
    assert_eq!(ledger.sweep(Timestamp(600)).ended.len(), 0);
    assert_eq!(ledger.sweep(Timestamp(601)).ended.len(), 1);
    assert!(!ledger.any.load(Ordering::Acquire));
}

#[test]
fn whoever_walks_through_a_site_gets_the_site_banned() {
    let ledger = ledger();
    for n in 0..8 {
        let address = format!("2001:db8:0:{n}::1");
        offend(&ledger, &address, 0);
        let walked = offend(&ledger, &format!("2001:db8:0:{n}:f::2"), 1);
        assert_eq!(walked.bans.len(), if n == 7 { 2 } else { 1 }, "{n}");
        assert!(!is_banned(&ledger, "2001:db8:1::1", 2), "the next site is free");
    }
    assert!(is_banned(&ledger, "2001:db8:0:ffff::1", 2));
}

#[test]
fn what_is_lifted_is_forgotten() {
    let ledger = ledger();
    offend(&ledger, "192.0.2.1", 0);
    offend(&ledger, "192.0.2.1", 1);
    offend(&ledger, "192.0.2.1", 2);
    let net = "192.0.2.1/32".parse().unwrap();
    assert_eq!(ledger.lift(&[net]).len(), 1);
    assert!(!is_banned(&ledger, "192.0.2.1", 3) && ledger.held(net.addr()).is_empty());
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
    let keeping = first.keep(store(), telemetry, stop.clone());
    let account = first.key().account("a");
    let using = async {
        offend(&first, "192.0.2.1", 0);
        offend(&first, "192.0.2.1", 1);
        let net = "198.51.100.0/24".parse().unwrap();
        let by_hand = Some(ByHand { who: "me".to_owned(), why: "because".to_owned() });
        let ban = first.bans().first().unwrap().ban.clone();
        first.add(vec![Banned { net, ban, by_hand }]);
        first.signed_in(client("192.0.2.9"), Some(account), Timestamp(5));
        first.settled().await;
        stop.cancel();
    };
    tokio::join!(keeping, using);
    let second = ledger();
    second.load(&mut *store(), Timestamp(10), Timestamp(1000)).unwrap();
    assert_eq!(second.bans(), first.bans());
    assert!(is_banned(&second, "198.51.100.7", 10));
    assert!(second.knows(client("192.0.2.9").key, Some(account), Timestamp(10)));
    offend(&second, "192.0.2.1", 700);
    let again = offend(&second, "192.0.2.1", 701);
    assert_eq!(again.bans.first().map(|it| it.ban.nth), Some(2), "its past is remembered");
    // A clock that was set back shortens what it would make endless.
    let third = ledger();
    third.load(&mut *store(), Timestamp(-1_000_000), Timestamp(-999_000)).unwrap();
    assert!(third.bans().iter().all(|it| it.ban.until <= Timestamp(-999_000)));
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
        prop_assert!(ledger.bans().is_empty());
    }
}

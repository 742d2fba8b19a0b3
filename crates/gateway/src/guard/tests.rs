use std::{fs, pin::pin};

use futures_util::FutureExt;
use gateway_certs::SystemClock;
use gateway_config::{Answers, System, load};
use gateway_edge::Leave;
use gateway_telemetry::{Level, Log, Metrics};
use proptest::prelude::*;
use tokio_util::task::TaskTracker;

use super::*;

const POLICY: &str = "\
version: 1
site: { host: n8n.test }
tls: { self_signed: true }
clients: { trusted_proxies: [10.0.0.0/30] }
networks: { team: [192.0.2.0/30, \"2001:db8::/64\"] }
access: { editor: team }
bans:
  never: [team]
  jails:
    sign-in: { max_retry: 1 }
    scan: { max_retry: 1 }
    attack: { max_retry: 1 }
    protocol: { max_retry: 1 }
";

fn policy(folder: &Path) -> Policy {
    let file = folder.join("policy.yaml");
    fs::write(&file, POLICY).unwrap();
    load(&file, &System, &Answers::new()).unwrap().policy
}

fn guard(folder: &Path) -> Guard {
    let (log, _) = Log::memory(Level::Error);
    let telemetry = Telemetry::new(Arc::new(Metrics::new("0").unwrap()), log);
    let guard = Guard::open(folder, Arc::new(SystemClock), telemetry).unwrap();
    guard.own_are(["127.0.0.1", "::1"].map(|it| it.parse().unwrap()));
    guard
}

/// Addresses of all kinds: own, proxies, never, strangers, IPv4 as IPv6.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let all = [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "192.0.2.1",
        "192.0.2.2",
        "::ffff:192.0.2.3",
        "2001:db8::1",
        "2001:db8::ffff:1",
        "127.0.0.2",
        "203.0.113.1",
        "203.0.113.2",
        "2001:db8:1::1",
        "2001:db8:1:1::1",
    ];
    proptest::sample::select(all.map(|it| it.parse::<IpAddr>().unwrap()).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sequence_bans_who_is_never_banned(
        steps in proptest::collection::vec((addresses(), 0..10_usize), 0..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (policy, guard) = (policy(folder.path()), guard(folder.path()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for (address, offence) in steps {
                let offence = Offence::all().nth(offence).unwrap();
                let note = guard.note(None, None, Some(7), offence);
                guard.hold(policy.clients.client(address), note, &policy);
                for banned in guard.ledger().bans() {
                    let own = guard.own();
                    // A site may hold a network that is never banned: its people are let in.
                    let site = banned.net.prefix_len() == 48;
                    assert!(site || policy.covers_exempt(banned.net, &own).is_none(), "{banned:?}");
                }
                for never in ["127.0.0.1", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1"] {
                    let never = never.parse().unwrap();
                    assert!(!guard.drops(never, &policy).await, "{never}");
                }
            }
        });
    }
}

/// What another network of a banned site has done is not held against whoever signed in from it.
#[tokio::test]
async fn a_sites_ban_spares_who_has_signed_in_there() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, guard) = (policy(folder.path()), guard(folder.path()));
    // The first network of a site is the usual one, and begins as the site does.
    let visitors = ["2001:db8:1:7::1", "2001:db8:1:0::1"].map(|it| it.parse::<IpAddr>().unwrap());
    for visitor in visitors {
        let client = policy.clients.client(visitor);
        guard.ledger().signed_in(client, 64, None, guard.now());
    }
    for n in 0x10..0x18 {
        let walker: IpAddr = format!("2001:db8:1:{n:x}::1").parse().unwrap();
        let note = guard.note(None, None, None, Offence::Probe);
        guard.hold(policy.clients.client(walker), note, &policy);
    }
    for visitor in visitors {
        assert!(guard.ledger().banned(visitor, guard.now()).is_some());
        assert!(!guard.drops(visitor, &policy).await, "{visitor}");
    }
    // What is done from the visitor's own network is held against it all the same.
    for _ in 0..4 {
        let note = guard.note(None, None, None, Offence::Probe);
        guard.hold(policy.clients.client(visitors[0]), note, &policy);
    }
    assert!(guard.drops(visitors[0], &policy).await);
    assert!(guard.drops("2001:db8:1:8::1".parse().unwrap(), &policy).await);
}

fn ban(guard: &Guard, net: &str) {
    let (net, since) = (net.parse().unwrap(), guard.now());
    let ban = Ban {
        jail: gateway_policy::Jail::Manual,
        because: gateway_policy::Jail::Manual,
        since,
        until: since + Duration::from_hours(1),
        nth: 1,
        notes: Vec::new(),
        dry_run: false,
    };
    assert_eq!(guard.ledger().add(vec![Banned { net, ban, by_hand: None }]).len(), 1);
}

#[tokio::test]
async fn the_ledger_is_let_go_to_another_process_and_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, tasks) = (guard(folder.path()), TaskTracker::new());
    let mut writing = Writing::begin(ours.clone(), tasks.clone());
    ban(&ours, "203.0.113.1/32");
    assert!(ours.settled().await);
    writing.let_go().await;
    // Nobody waits for a file that is another's.
    ban(&ours, "203.0.113.2/32");
    assert!(!ours.settled().await);
    let theirs = guard(folder.path());
    assert_eq!(theirs.ledger().bans().count(), 1);
    let mut other = Writing::begin(theirs.clone(), tasks.clone());
    ban(&theirs, "203.0.113.3/32");
    assert!(theirs.settled().await, "the file is not locked");
    other.let_go().await;
    writing.go_on();
    ban(&ours, "203.0.113.4/32");
    assert!(ours.settled().await);
    writing.let_go().await;
    let all: Vec<_> = guard(folder.path()).ledger().bans().map(|it| it.net).collect();
    for address in ["203.0.113.1/32", "203.0.113.2/32", "203.0.113.4/32"] {
        assert!(all.contains(&address.parse().unwrap()), "{address}: {all:?}");
    }
}

#[tokio::test]
async fn what_is_to_be_changed_waits_until_it_is_known_whose_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, tasks) = (guard(folder.path()), TaskTracker::new());
    let mut writing = Writing::begin(ours.clone(), tasks.clone());
    let leave = Leave::new(&CancellationToken::new());
    assert!(ours.is_ours(&leave).await);
    writing.let_go().await;
    let mut waits = pin!(ours.is_ours(&leave));
    assert_eq!(waits.as_mut().now_or_never(), None);
    writing.go_on();
    assert!(waits.await, "the other one did not take over");
    writing.let_go().await;
    let mut waits = pin!(ours.is_ours(&leave));
    assert_eq!(waits.as_mut().now_or_never(), None);
    leave.retire();
    assert!(!waits.await, "it did");
    // A process that ends for no other carries out what it has begun.
    let alone = guard(tempfile::tempdir().unwrap().path());
    assert!(alone.is_ours(&leave).await);
}

#[tokio::test]
async fn a_window_that_was_open_is_open_after_a_restart_until_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, tasks) = (guard(folder.path()), TaskTracker::new());
    let mut writing = Writing::begin(ours.clone(), tasks.clone());
    let open = |surface, seconds| {
        let net = "203.0.113.7/32".parse().unwrap();
        ours.open_window(surface, net, Duration::from_secs(seconds), "uid 0", "on the road")
    };
    let (long, closed) = (open(Surface::Editor, 900), open(Surface::Rest, 900));
    assert_eq!(ours.close_window(Some(closed.unwrap().id), "uid 0").len(), 1);
    assert!(ours.settled().await);
    writing.let_go().await;

    let theirs = guard(folder.path());
    let kept: Vec<_> = theirs.open_windows().iter().cloned().collect();
    assert_eq!(kept, [long.unwrap()]);
    assert!(theirs.0.telemetry.exposition().contains("gateway_windows_open 1\n"));
    let net = "203.0.113.8/32".parse().unwrap();
    let another = theirs.open_window(Surface::Rest, net, Duration::from_secs(1), "", "").unwrap();
    assert!(another.id > kept[0].id, "nobody confuses two of them");
}

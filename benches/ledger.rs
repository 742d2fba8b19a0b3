//! What the ledger costs when it is full: a look-up among a million bans (promised: 100 ns, in 64 MiB),
//! a charge among a million keys, an offence, a coming and going.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::{fs, hint::black_box, net::IpAddr, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_benches as _;
use gateway_ledger::{Banned, Change, Crowd, Key, Ledger, Limiter, Limits};
use gateway_policy::{
    Ban, Bans, Client, Jail, Note, Offence, Quota, Sentence, Standing, Timestamp,
};
use ipnet::IpNet;

const MILLION: u32 = 1_000_000;

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Makes a million of something, and says what they take. They stay: what is given back would be
/// missing in what comes next.
fn measured<T>(what: &str, make: impl FnOnce() -> T) -> &'static T {
    let before = resident();
    let made = Box::leak(Box::new(make()));
    let bytes = resident().saturating_sub(before);
    println!("a million {what}: {} MiB, {} bytes each", bytes >> 20, bytes / u64::from(MILLION));
    made
}

fn address(n: u32) -> IpAddr {
    IpAddr::from(n.wrapping_mul(2_654_435_761).to_be_bytes())
}

fn ledger() -> Ledger {
    let ledger = Ledger::new(Key::passing().unwrap());
    let change = |n| {
        let net = IpNet::from(address(n));
        let (jail, because) = (Jail::Scan, Jail::Scan);
        let (since, until) = (Timestamp(0), Timestamp(i64::from(n) + 1_000_000));
        let ban = Ban { jail, because, since, until, nth: 1, notes: Vec::new(), dry_run: false };
        Change::Ban(net, Some(Banned { net, ban, by_hand: None }))
    };
    // In pieces, so that what is handed over is not counted as what is kept.
    for piece in 0..100 {
        let changes = (piece * MILLION / 100..(piece + 1) * MILLION / 100).map(change).collect();
        ledger.restore(changes, Timestamp(1));
    }
    ledger
}

fn limiter() -> Limiter {
    let quota = Quota { rate: 50, period: Duration::from_secs(1), burst: 100 };
    let limiter = Limiter::new(quota, MILLION as usize);
    for n in 0..u64::from(MILLION) {
        limiter.charge(n).unwrap();
    }
    limiter
}

fn limits(criterion: &mut Criterion) {
    let limiter = measured("keys of a limiter", limiter);
    let mut key = 0;
    criterion.bench_function("charge among a million keys", |bencher| {
        bencher.iter(|| {
            key = (key + 7919) % u64::from(MILLION);
            black_box(limiter.charge(black_box(key)).is_ok())
        });
    });
    let mut fresh = u64::from(MILLION);
    criterion.bench_function("charge of a new key, one is forgotten", |bencher| {
        bencher.iter(|| {
            fresh += 1;
            black_box(limiter.charge(black_box(fresh)).is_ok())
        });
    });
}

fn bans(criterion: &mut Criterion) {
    let empty = Ledger::new(Key::passing().unwrap());
    let stranger: IpAddr = "203.0.113.1".parse().unwrap();
    criterion.bench_function("look-up, nobody is banned", |bencher| {
        bencher.iter(|| black_box(empty.banned(black_box(stranger), Timestamp(1))));
    });

    let full = measured("bans", ledger);
    criterion.bench_function("look-up among a million bans, not banned", |bencher| {
        bencher.iter(|| black_box(full.banned(black_box(stranger), Timestamp(1))));
    });
    criterion.bench_function("look-up among a million bans, banned, again and again", |bencher| {
        bencher.iter(|| full.banned(black_box(address(7)), Timestamp(1)).is_some());
    });
    let mut n = 0;
    criterion.bench_function("look-up among a million bans, banned, each once", |bencher| {
        bencher.iter(|| {
            n = (n + 1) % MILLION;
            assert!(full.banned(black_box(address(n)), Timestamp(1)).is_some());
        });
    });
}

fn offences(criterion: &mut Criterion) {
    let ledger = Ledger::new(Key::passing().unwrap());
    let (find_time, ban_time) = (Duration::from_secs(600), Duration::from_secs(600));
    let sentence =
        Sentence { jail: Jail::Scan, max_retry: 10, find_time, ban_time, dry_run: false };
    let bans = Bans { jails: vec![sentence], ..Bans::default() };
    let note = |request| Note {
        at: Timestamp(1),
        offence: Offence::Probe,
        surface: None,
        request,
        account: None,
    };
    let mut n = 0;
    criterion.bench_function("an offence of one of many clients", |bencher| {
        bencher.iter(|| {
            n += 1;
            let (address, note) = (address(n), note(u64::from(n)));
            black_box(ledger.note(Client { address, key: address }, 64, note, &bans))
        });
    });
}

fn crowds(criterion: &mut Criterion) {
    let crowd = Arc::new(Crowd::default());
    let limits = Limits { total: 10_000, per_client: 100 };
    let come = |n| crowd.enter(address(n), limits, || Standing::Known);
    let _inside: Vec<_> = (0..5_000).map(|n| come(n).unwrap()).collect();
    let mut n = 0;
    criterion.bench_function("come and go among 5,000", |bencher| {
        bencher.iter(|| {
            n = (n + 1) % 10_000;
            drop(black_box(come(black_box(n)).unwrap()));
        });
    });
}

criterion_group!(all, limits, bans, offences, crowds);
criterion_main!(all);

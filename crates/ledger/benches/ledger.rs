//! What the ledger costs when it is full: a look-up among a million bans, a charge among a million
//! keys, and the memory that one of each takes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::{fs, hint::black_box, net::IpAddr, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_ledger::{Banned, Change, Key, Ledger, Limiter};
use gateway_policy::{Ban, Jail, Quota, Timestamp};
use ipnet::IpNet;

const MILLION: u32 = 1_000_000;

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Makes something, and says what a millionth of it takes.
fn measured<T>(what: &str, make: impl FnOnce() -> T) -> T {
    let before = resident();
    let made = make();
    let bytes = resident().saturating_sub(before) / u64::from(MILLION);
    println!("{what}: {bytes} bytes each");
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
    let limiter = measured("a limiter's key", limiter);
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

    let full = measured("a ban", ledger);
    criterion.bench_function("look-up among a million bans, not banned", |bencher| {
        bencher.iter(|| black_box(full.banned(black_box(stranger), Timestamp(1))));
    });
    let mut n = 0;
    criterion.bench_function("look-up among a million bans, banned", |bencher| {
        bencher.iter(|| {
            n = (n + 1) % MILLION;
            assert!(full.banned(black_box(address(n)), Timestamp(1)).is_some());
        });
    });
}

// The limiter comes first: what it gives back would be taken for a ban's.
criterion_group!(all, limits, bans);
criterion_main!(all);

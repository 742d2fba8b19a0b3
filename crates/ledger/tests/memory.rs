//! What a full ledger's bans take, as the kernel sees it: alone in its process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, net::IpAddr};

use gateway_ledger::{BANS, Banned, ByHand, Change, Key, Ledger};
use gateway_policy::{Ban, Jail, Note, Offence, Timestamp};
use ipnet::IpNet;

/// What is promised.
const MOST: u64 = 64 << 20;

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Half of them by hand and half with ten offences each, in both families.
fn ban(n: u32) -> Change {
    let bits = n.wrapping_mul(2_654_435_761);
    let net = match n % 4 {
        0 => IpNet::new((u128::from(bits) << 64).to_be_bytes().into(), 64).unwrap(),
        _ => IpNet::from(IpAddr::from(bits.to_be_bytes())),
    };
    let by_hand = n.is_multiple_of(2);
    let (surface, account) = (None, None);
    let note =
        |request| Note { at: Timestamp(1), offence: Offence::Probe, surface, request, account };
    let ban = Ban {
        jail: Jail::Scan,
        because: Jail::Scan,
        since: Timestamp(1),
        until: Timestamp(1000 + i64::from(bits)),
        nth: 1,
        notes: if by_hand { Vec::new() } else { (0..10).map(note).collect() },
        dry_run: false,
    };
    let reason = || ByHand { who: "an operator".to_owned(), why: format!("list {}", n % 3) };
    Change::Ban(net, Some(Banned { net, ban, by_hand: by_hand.then(reason) }))
}

#[test]
fn a_million_bans_take_what_is_promised() {
    let ledger = Ledger::new(Key::passing().unwrap());
    let before = resident();
    let all = u32::try_from(BANS).unwrap();
    // In pieces, so that what is handed over is not counted as what is kept.
    for piece in 0..1000 {
        let piece = piece * (all / 1000)..(piece + 1) * (all / 1000);
        ledger.restore(piece.map(ban).collect(), Timestamp(1));
    }
    let taken = resident().saturating_sub(before);
    let held: usize = ledger.in_jails().iter().map(|(_, count)| count).sum();
    assert_eq!(held, BANS);
    assert!(taken <= MOST, "{} MiB", taken >> 20);
    println!("a million bans: {} KiB", taken >> 10);
}

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn sentence(jail: Jail, max_retry: u16) -> Sentence {
    let (find_time, ban_time) = (10 * MINUTE, 10 * MINUTE);
    Sentence { jail, max_retry, find_time, ban_time, dry_run: false }
}

fn bans() -> Bans {
    Bans {
        never: Vec::new(),
        jails: vec![sentence(Jail::SignIn, 3), sentence(Jail::Scan, 2)],
        increment: Some(Increment {
            factor: 1.0,
            multipliers: Vec::new(),
            max_time: Duration::from_hours(24),
            rnd_time: Duration::ZERO,
        }),
        recidive: None,
    }
}

fn counted(jail: Jail, count: usize) -> Count {
    Count { jail, count, most: if jail == Jail::Scan { 2 } else { 3 } }
}

fn note(at: i64, offence: Offence) -> Note {
    Note { at: Timestamp(at), offence, surface: None, request: 0, account: None }
}

#[test]
fn one_too_many_within_find_time_is_a_ban() {
    let (bans, mut record) = (bans(), Record::default());
    let mut offend =
        |at| bans.note(&mut record, note(at, Offence::WrongPassword), Whose::Client, 0.0);
    assert_eq!(offend(0).counted, [counted(Jail::SignIn, 1)]);
    assert!(offend(300).ban.is_none());
    // The first is ten minutes old now, and forgotten.
    assert_eq!(offend(600).counted, [counted(Jail::SignIn, 2)]);
    let ban = offend(601).ban.unwrap();
    assert_eq!((ban.since, ban.until, ban.nth), (Timestamp(601), Timestamp(1201), 1));
    assert_eq!(ban.notes.iter().map(|it| it.at.0).collect::<Vec<_>>(), [300, 600, 601]);
    // Counting begins anew.
    assert_eq!(offend(602).counted, [counted(Jail::SignIn, 1)]);
}

/// The times that fail2ban's own formula gives.
#[test]
fn bans_grow_as_fail2bans_do() {
    let grow = |increment: Option<Increment>, chance| {
        let (bans, mut record) = (Bans { increment, ..bans() }, Record::default());
        let mut lengths = Vec::new();
        for at in 0..10 {
            let verdict =
                bans.note(&mut record, note(at * 10, Offence::Probe), Whose::Client, chance);
            lengths.extend(verdict.ban.map(|ban| ban.until.since(ban.since).as_secs() / 60));
        }
        lengths
    };
    let increment = bans().increment.unwrap();
    assert_eq!(grow(None, 0.0), [10, 10, 10, 10, 10]);
    assert_eq!(grow(Some(increment.clone()), 0.0), [10, 20, 40, 80, 160]);
    assert_eq!(grow(Some(Increment { factor: 2.0, ..increment.clone() }), 0.0)[..3], [10, 40, 80]);
    let listed = bans().increment.map(|it| Increment { multipliers: vec![1, 5, 30], ..it });
    assert_eq!(grow(listed, 0.0), [10, 50, 300, 300, 300]);
    let capped = Increment { max_time: 30 * MINUTE, ..increment.clone() };
    assert_eq!(grow(Some(capped), 0.0), [10, 20, 30, 30, 30]);
    let random = Increment { rnd_time: 10 * MINUTE, ..increment };
    assert_eq!(grow(Some(random), 0.5)[..3], [10, 25, 45]);
}

#[test]
fn one_ban_too_many_is_a_long_one() {
    let week = Duration::from_hours(168);
    let recidive = Sentence {
        find_time: Duration::from_hours(24),
        ban_time: week,
        ..sentence(Jail::Recidive, 2)
    };
    let bans = Bans { recidive: Some(recidive), increment: None, ..bans() };
    let mut record = Record::default();
    let mut offend = |at| bans.note(&mut record, note(at, Offence::Probe), Whose::Client, 0.0).ban;
    assert!(offend(0).is_none());
    assert_eq!(offend(1).unwrap().jail, Jail::Scan);
    assert!(offend(1000).is_none());
    let ban = offend(1001).unwrap();
    assert_eq!((ban.jail, ban.because), (Jail::Recidive, Jail::Scan));
    assert_eq!(ban.until.since(ban.since), week);
    // A day and a bit later the first is forgotten, and so is the second.
    assert!(offend(200_000).is_none());
    assert_eq!(offend(200_001).unwrap().jail, Jail::Scan);
}

#[test]
fn an_office_may_slip_more_often_than_one_person() {
    let (bans, mut record) = (bans(), Record::default());
    for at in 1..12 {
        let verdict =
            bans.note(&mut record, note(at, Offence::WrongPassword), Whose::Workplace, 0.0);
        assert!(verdict.ban.is_none(), "{at}");
    }
    assert!(
        bans.note(&mut record, note(12, Offence::WrongPassword), Whose::Workplace, 0.0)
            .ban
            .is_some()
    );
}

#[test]
fn a_site_may_have_eight_clients_offences() {
    let (bans, mut record) = (bans(), Record::default());
    let mut offend = |at, offence| bans.note(&mut record, note(at, offence), Whose::Site, 0.0);
    for at in 1..24 {
        assert!(offend(at, Offence::WrongPassword).ban.is_none(), "{at}");
    }
    assert!(offend(24, Offence::WrongPassword).ban.is_some());
    assert!(offend(25, Offence::Limited).counted.is_empty(), "a site is many people");
}

#[test]
fn a_dry_run_counts_and_leaves_no_past() {
    let mut bans = bans();
    bans.jails[1].dry_run = true;
    let mut record = Record::default();
    bans.note(&mut record, note(0, Offence::Probe), Whose::Client, 0.0);
    let ban = bans.note(&mut record, note(1, Offence::Probe), Whose::Client, 0.0).ban.unwrap();
    assert!(ban.dry_run);
    assert_eq!(record.past, Past::default());
}

#[test]
fn a_success_forgives_failures_on_the_same_account_alone() {
    let (bans, mut record) = (bans(), Record::default());
    let on = |account| Note { account: Some(account), ..note(0, Offence::WrongPassword) };
    bans.note(&mut record, on(1), Whose::Client, 0.0);
    bans.note(&mut record, on(2), Whose::Client, 0.0);
    bans.note(&mut record, note(0, Offence::Probe), Whose::Client, 0.0);
    record.succeeded(Some(2));
    assert_eq!(record.held(), 2, "the guess at account 1 and the probe");
    assert_eq!(
        bans.note(&mut record, on(2), Whose::Client, 0.0).counted,
        [counted(Jail::SignIn, 2)]
    );
}

#[test]
fn a_clock_that_is_set_back_keeps_nothing_for_ever() {
    let (bans, mut record) = (bans(), Record::default());
    bans.note(&mut record, note(1_000_000, Offence::WrongPassword), Whose::Client, 0.0);
    bans.note(&mut record, note(1_000_000, Offence::WrongPassword), Whose::Client, 0.0);
    let verdict = bans.note(&mut record, note(5, Offence::WrongPassword), Whose::Client, 0.0);
    assert_eq!(verdict.counted, [counted(Jail::SignIn, 1)]);
}

fn offences() -> impl Strategy<Value = Vec<(u16, usize, u8, bool)>> {
    proptest::collection::vec((any::<u16>(), 0..10_usize, 0..4_u8, any::<bool>()), 0..400)
}

proptest! {
    #[test]
    fn a_ban_always_ends_and_a_record_stays_small(stream in offences(), chance in 0.0..1.0_f64) {
        let jails: Vec<_> = Jail::counting().map(|jail| sentence(jail, 5)).collect();
        let recidive = Some(sentence(Jail::Recidive, 3));
        let (bans, mut record) = (Bans { jails, recidive, ..bans() }, Record::default());
        let mut now = 0;
        for (step, offence, account, succeeds) in stream {
            now += i64::from(step) / 60;
            let offence = Offence::all().nth(offence).unwrap();
            let note = Note { account: Some(account.into()), ..note(now, offence) };
            let verdict = bans.note(&mut record, note, Whose::Client, chance);
            if let Some(ban) = verdict.ban {
                prop_assert!(ban.until > ban.since && ban.until <= Timestamp(now) + LONGEST_BAN);
                prop_assert!(ban.notes.len() <= 10);
                prop_assert_eq!(ban.nth, record.past.count);
            }
            if succeeds {
                record.succeeded(Some(account.into()));
            }
            prop_assert!(record.held() <= 5 * Jail::counting().count());
            prop_assert!(record.past.began.len() <= Past::REMEMBERED);
        }
    }

    #[test]
    fn increments_never_overflow(
        before in any::<u32>(),
        factor in 0.1..1e9_f64,
        chance in any::<f64>(),
        multipliers in proptest::collection::vec(any::<u32>(), 0..4),
    ) {
        let increment = Increment { factor, multipliers, ..bans().increment.unwrap() };
        let lasts = increment.lasts(MINUTE, before, chance);
        prop_assert!(lasts >= MINUTE && lasts <= increment.max_time);
    }

    #[test]
    fn whoever_is_in_never_is_never(address in any::<u32>()) {
        let address = IpAddr::from(address.to_be_bytes());
        let net: IpNet = "10.0.0.0/8".parse().unwrap();
        let network = Network::new("team", [net].into_iter().collect(), Vec::new());
        let bans = Bans { never: vec![(Arc::new(network), Source::Default)], ..bans() };
        prop_assert_eq!(bans.never(address).is_some(), net.contains(&address));
    }
}

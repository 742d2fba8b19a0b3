//! What is held against clients that are not banned, or not any more. Bounded twice: by clients
//! and by offences. The client that offended longest ago is forgotten first.

use std::hash::RandomState;

use gateway_policy::{Bans, JailVerdict, Note, Offender, Past, Record};
use ipnet::IpNet;
use lru::LruCache;

use crate::key::chance;

/// How many clients' offences are remembered at the most.
pub const OFFENDERS: usize = 100_000;

/// How many offences are remembered at the most, of all clients together.
pub const NOTES: usize = 1_000_000;

/// How many clients' past bans are remembered at the most.
pub(crate) const PASTS: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Offenders {
    records: LruCache<IpNet, Record, RandomState>,
    pasts: LruCache<IpNet, Past, RandomState>,
    notes: usize,
    most: (usize, usize),
}

impl Offenders {
    pub(crate) fn new(clients: usize, notes: usize) -> Self {
        let records = LruCache::unbounded_with_hasher(RandomState::new());
        let pasts = LruCache::unbounded_with_hasher(RandomState::new());
        Self { records, pasts, notes: 0, most: (clients, notes) }
    }

    /// Holds an offence against `client`.
    pub(crate) fn note(
        &mut self,
        client: IpNet,
        note: Note,
        bans: &Bans,
        whose: Offender,
    ) -> JailVerdict {
        let past = || self.pasts.peek(&client).cloned().unwrap_or_default();
        let mut record = self.records.pop(&client).unwrap_or_default();
        record.past = past();
        let before = record.held();
        let verdict = bans.note(&mut record, note, whose, chance());
        self.notes = self.notes - before + record.held();
        if record.held() > 0 {
            self.records.put(client, record);
        }
        let (clients, notes) = self.most;
        while self.records.len() > clients || self.notes > notes {
            let Some((_, coldest)) = self.records.pop_lru() else { break };
            self.notes -= coldest.held();
        }
        verdict
    }

    /// Forgives `client` its failures on `account`.
    pub(crate) fn succeeded(&mut self, client: IpNet, account: Option<u64>) {
        if let Some(record) = self.records.peek_mut(&client) {
            let before = record.held();
            record.succeeded(account);
            self.notes = self.notes - before + record.held();
            if record.held() == 0 {
                self.records.pop(&client);
            }
        }
    }

    /// Remembers a client's bans; gives back whose had to be forgotten.
    pub(crate) fn remember(&mut self, client: IpNet, past: Past) -> Option<IpNet> {
        self.pasts.put(client, past);
        if self.pasts.len() > PASTS { self.pasts.pop_lru().map(|(client, _)| client) } else { None }
    }

    pub(crate) fn past(&self, client: IpNet) -> Option<&Past> {
        self.pasts.peek(&client)
    }

    pub(crate) fn pasts(&self) -> impl Iterator<Item = (IpNet, &Past)> {
        self.pasts.iter().map(|(net, past)| (*net, past))
    }

    /// Moves every past by so many seconds, with a clock that was set.
    pub(crate) fn rebase(&mut self, step: i64) {
        for (_, past) in &mut self.pasts {
            past.ends = past.ends.moved(step);
            past.began.iter_mut().for_each(|at| *at = at.moved(step));
        }
    }

    pub(crate) fn forget(&mut self, client: IpNet) -> bool {
        if let Some(record) = self.records.pop(&client) {
            self.notes -= record.held();
        }
        self.pasts.pop(&client).is_some()
    }

    /// The clients whose bans are so old that they are not held against them any more.
    pub(crate) fn reformed(&self, is_old: impl Fn(&Past) -> bool) -> Vec<IpNet> {
        let old = self.pasts.iter().filter(|(_, past)| is_old(past));
        old.map(|(client, _)| *client).collect()
    }

    pub(crate) fn record(&self, client: IpNet) -> Option<&Record> {
        self.records.peek(&client)
    }

    /// How many clients and how many offences are remembered.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.records.len(), self.notes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gateway_policy::{Jail, Offence, Sentence, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn bans() -> Bans {
        let (find_time, ban_time) = (Duration::from_secs(600), Duration::from_secs(600));
        let jails =
            vec![Sentence { jail: Jail::Scan, max_retry: 5, find_time, ban_time, dry_run: false }];
        Bans { jails, ..Bans::default() }
    }

    fn probe(at: i64) -> Note {
        Note {
            at: Timestamp(at),
            offence: Offence::Probe,
            surface: None,
            request: 0,
            account: None,
        }
    }

    proptest! {
        #[test]
        fn no_stream_of_clients_grows_it(clients in proptest::collection::vec(0..200_u32, 0..1500)) {
            let mut offenders = Offenders::new(50, 100);
            for (at, client) in clients.into_iter().enumerate() {
                let at = i64::try_from(at).unwrap();
                let net = IpNet::from(std::net::IpAddr::from(client.to_be_bytes()));
                offenders.note(net, probe(at), &bans(), Offender::Client);
                let (clients, notes) = offenders.sizes();
                prop_assert!(clients <= 50 && notes <= 100);
                let counted: usize = offenders.records.iter().map(|(_, it)| it.held()).sum();
                prop_assert_eq!(counted, notes);
            }
        }
    }

    #[test]
    fn the_past_outlives_what_is_held() {
        let mut offenders = Offenders::new(1, 100);
        let [a, b] = ["192.0.2.1/32", "192.0.2.2/32"].map(|net| net.parse::<IpNet>().unwrap());
        let past = Past { count: 3, ..Past::default() };
        offenders.remember(a, past);
        offenders.note(a, probe(0), &bans(), Offender::Client);
        offenders.note(b, probe(0), &bans(), Offender::Client);
        assert!(offenders.record(a).is_none(), "only one is remembered");
        for at in 0..4 {
            offenders.note(a, probe(at), &bans(), Offender::Client);
        }
        let ban = offenders.note(a, probe(5), &bans(), Offender::Client).ban.unwrap();
        assert_eq!(ban.nth, 4);
    }
}

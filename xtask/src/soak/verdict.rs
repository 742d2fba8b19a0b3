//! What has to be so in the end, and what is printed.

use std::{rc::Rc, time::Duration};

use super::{
    events::Happened,
    watch::{Metrics, Sample},
    world::World,
};

/// How much more memory may be resident in the last third than in the first one, and at rest in the
/// end than at rest before, in KiB.
///
/// What the gateway remembers on purpose is less than 1 MiB here (a thousand strangers at a few
/// hundred bytes, the budgets of limits); the rest is for the allocator, whose arenas fill up with
/// the traffic's peaks. A leak of 400 bytes a request would be more in twenty minutes.
const GROWTH: u64 = 8 * 1024;

/// How many threads wait for files at the most when it is quiet: tokio keeps one for ten seconds, and
/// bans are written now and then.
const FOR_FILES: u64 = 2;

/// How many addresses call, at the most: nobody else can be remembered.
const CALLERS: u64 = 1_300;

/// How many offences are remembered of each, at the most: it is banned before.
const OFFENCES: u64 = 20;

/// How many lines of metrics may come up after the warm-up: statuses that were not yet answered.
const NEW_SERIES: u64 = 100;

/// How many of the policies saved each second have to be in force at some time, in percent: two may
/// fall between two looks at the file.
const IN_FORCE: u64 = 70;

/// Everything that was seen.
pub(super) struct Seen {
    pub(super) world: Rc<World>,
    pub(super) happened: Rc<Happened>,
    /// At rest after the warm-up, and in the end.
    pub(super) before: Sample,
    pub(super) after: Sample,
    /// While it worked.
    pub(super) samples: Vec<Sample>,
    pub(super) metrics: Metrics,
    /// Lines of the log that nobody can explain.
    pub(super) unexplained: Vec<String>,
    /// How it ended: nothing if well.
    pub(super) ended: Option<String>,
}

impl Seen {
    /// Prints all of it, and gives what is not as it has to be.
    pub(super) fn judge(&self) -> Vec<String> {
        let mut wrong = self.traffic();
        wrong.extend(self.resources());
        wrong.extend(self.gateway());
        wrong
    }

    fn traffic(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        println!("\n{:<40} {:>9} {:>16} {:>7}", "traffic", "done", "while n8n down", "failed");
        let counts = self.world.counts.borrow();
        for (kind, count) in counts.iter() {
            println!("{kind:<40} {:>9} {:>16} {:>7}", count.done, count.excused, count.failed);
            wrong.extend(count.failures.iter().map(|why| format!("{kind}: {why}")));
            if count.done == 0 && *kind != "push channel" {
                wrong.push(format!("{kind}: never done"));
            }
        }
        let all = |of: fn(&super::world::Count) -> u64| counts.values().map(of).sum::<u64>();
        let (done, excused, failed) =
            (all(|it| it.done), all(|it| it.excused), all(|it| it.failed));
        println!("{:<40} {done:>9} {excused:>16} {failed:>7}", "all");
        wrong
    }

    fn resources(&self) -> Vec<String> {
        let (before, after) = (&self.before, &self.after);
        let peak = |of: fn(&Sample) -> u64| self.samples.iter().map(of).max().unwrap_or(0);
        let mut wrong = Vec::new();
        println!(
            "\n{:<28} {:>12} {:>12} {:>12}",
            "what it holds", "rest before", "peak", "rest after"
        );
        let rows: [(&str, fn(&Sample) -> u64, u64); 9] = [
            ("connections of clients", |it| it.clients, 0),
            ("connections to n8n", |it| it.upstream, before.upstream),
            ("file descriptors", |it| it.descriptors, before.descriptors),
            ("threads", |it| it.threads, before.threads + FOR_FILES),
            ("tasks", |it| it.tasks, before.tasks),
            ("clients with offences", |it| it.offenders, CALLERS),
            ("offences", |it| it.offences, CALLERS * OFFENCES),
            ("lines of metrics", |it| it.series, before.series + NEW_SERIES),
            ("resident memory, KiB", |it| it.memory, before.memory + GROWTH),
        ];
        for (what, of, bound) in rows {
            println!("{what:<28} {:>12} {:>12} {:>12}", of(before), peak(of), of(after));
            if of(after) > bound {
                wrong.push(format!("{what}: {} in the end, at most {bound} expected", of(after)));
            }
        }
        wrong.extend(self.memory());
        wrong
    }

    fn memory(&self) -> Option<String> {
        let third = self.samples.len() / 3;
        let first = median(self.samples.iter().take(third));
        let last = median(self.samples.iter().rev().take(third));
        println!(
            "\nresident memory, median of the first third {first} KiB, of the last one {last} KiB"
        );
        for minute in [1, 5, 10, 15, 20] {
            let at = Duration::from_secs(minute * 60);
            if let Some(sample) = self.samples.iter().find(|it| it.at >= at) {
                println!("    after {minute:>2} min {:>7} KiB", sample.memory);
            }
        }
        let grown = last.saturating_sub(first);
        (grown > GROWTH).then(|| format!("memory grows: {grown} KiB, at most {GROWTH} expected"))
    }

    fn gateway(&self) -> Vec<String> {
        let Happened { saved, broken, swapped } = &*self.happened;
        let reloads = "gateway_policy_reloads_total{outcome=";
        let outcome = |name: &str| self.metrics.get(&format!("{reloads}\"{name}\"}}"));
        println!(
            "\npolicies saved {}, broken {}; certificates replaced {}; n8n killed {} times",
            saved.get(),
            broken.get(),
            swapped.get(),
            self.world.kills()
        );
        let told = [
            reloads,
            "gateway_jail_banned_total",
            "gateway_connections_cut_total",
            "gateway_connections_refused_total",
            "gateway_requests_refused_total",
            "gateway_upstream_faults_total",
        ];
        for (name, value) in told.into_iter().flat_map(|prefix| self.metrics.with(prefix)) {
            println!("    {name} {value}");
        }
        let mut wrong = Vec::new();
        if outcome("applied") * 100 < u64::from(saved.get()) * IN_FORCE {
            wrong.push(format!(
                "of {} policies only {} were put in force",
                saved.get(),
                outcome("applied")
            ));
        }
        for (name, expected) in [("invalid", u64::from(broken.get())), ("needs_restart", 0)]
            .into_iter()
            .chain([("certificate_rejected", 0), ("locks_out", 0)])
        {
            if outcome(name) > expected {
                wrong.push(format!("{} reloads ended in {name}", outcome(name)));
            }
        }
        for name in ["gateway_requests_panicked_total", "gateway_log_lines_dropped_total"] {
            if self.metrics.get(name) > 0 {
                wrong.push(format!("{name} {}", self.metrics.get(name)));
            }
        }
        wrong.extend(self.unexplained.iter().map(|line| format!("in the log: {line}")));
        wrong.extend(self.ended.iter().cloned());
        wrong
    }
}

fn median<'a>(samples: impl Iterator<Item = &'a Sample>) -> u64 {
    let mut all: Vec<u64> = samples.map(|it| it.memory).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}

//! n8n never takes a request for something else than the gateway did: hundreds of thousands of targets
//! through the gateway's strict reading and its decision, and then through n8n's own router.
//!
//! What is generated is told by a seed. `N8N_GATEWAY_TEST_ROUTING_SEED` sets it (`random` draws
//! one), `N8N_GATEWAY_TEST_ROUTING_CASES` says how many there are.

mod case;
mod generate;
mod judge;
mod n8n;
mod sample;
mod shrink;
mod taken;

use std::collections::BTreeMap;

use gateway_n8n::Surface;
use tokio::time::Instant;

use self::{
    case::Case,
    generate::Generator,
    judge::{Heard, Judge, Passed},
    n8n::{Answer, N8n},
    taken::{EXCUSES, Taken, Truth},
};
use crate::processes::{step, turn};

/// How many are generated unless it is said otherwise: a million takes some minutes.
const CASES: u64 = 200_000;

/// The seed unless it is said otherwise.
const SEED: u64 = 0x6e38_6e20_3234_3037;

/// How many are asked at once.
const BATCH: usize = 512;

/// One in how many is asked of n8n itself, of each n8n not more than so many.
const SAMPLED: u64 = 20;
const LARGEST_SAMPLE: usize = 2_000;

/// An n8n whose endpoints are called otherwise: key of `n8n.endpoints`, variable, segment.
struct Naming {
    name: &'static str,
    /// How many of a hundred cases are for it.
    share: u64,
    renamed: &'static [(&'static str, &'static str, &'static str)],
}

const NAMINGS: [Naming; 3] = [
    Naming { name: "as n8n names them", share: 60, renamed: &[] },
    Naming {
        name: "all renamed, some to two segments",
        share: 25,
        renamed: &[
            ("rest", "N8N_ENDPOINT_REST", "internal"),
            ("public-api", "N8N_PUBLIC_API_ENDPOINT", "v0/public"),
            ("webhook", "N8N_ENDPOINT_WEBHOOK", "hooks/in"),
            ("webhook-test", "N8N_ENDPOINT_WEBHOOK_TEST", "hooks/test"),
            ("webhook-waiting", "N8N_ENDPOINT_WEBHOOK_WAIT", "resume"),
            ("form", "N8N_ENDPOINT_FORM", "F.orm"),
            ("form-test", "N8N_ENDPOINT_FORM_TEST", "rest"),
            ("form-waiting", "N8N_ENDPOINT_FORM_WAIT", "form"),
            ("mcp", "N8N_ENDPOINT_MCP", "webhook"),
            ("mcp-test", "N8N_ENDPOINT_MCP_TEST", "_mcp-"),
            ("health", "N8N_ENDPOINT_HEALTH", "alive/now"),
            ("credentials-overwrite", "CREDENTIALS_OVERWRITE_ENDPOINT", "preset"),
        ],
    },
    Naming {
        name: "names that begin like each other",
        share: 15,
        renamed: &[
            ("rest", "N8N_ENDPOINT_REST", "api/rest"),
            ("webhook", "N8N_ENDPOINT_WEBHOOK", "w"),
            ("webhook-test", "N8N_ENDPOINT_WEBHOOK_TEST", "w-test"),
            ("webhook-waiting", "N8N_ENDPOINT_WEBHOOK_WAIT", "W-T"),
            ("form", "N8N_ENDPOINT_FORM", "oauth2"),
            ("mcp", "N8N_ENDPOINT_MCP", "mcp-server/tools"),
            ("health", "N8N_ENDPOINT_HEALTH", "static-health"),
        ],
    },
];

fn said(variable: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "how the test is told what to do")]
    std::env::var(variable).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn n8n_takes_no_request_for_something_else() {
    let _turn = turn().await;
    let cases = said("N8N_GATEWAY_TEST_ROUTING_CASES").map_or(CASES, |it| it.parse().unwrap());
    let seed = match said("N8N_GATEWAY_TEST_ROUTING_SEED").as_deref() {
        None => SEED,
        Some("random") => std::process::id().into(),
        Some(seed) => seed.parse().unwrap(),
    };
    step(&format!("{cases} targets, seed {seed}"));
    let mut wrong = Vec::new();
    let mut seen = Seen::default();
    let mut sampled = 0;
    for (naming, seed) in NAMINGS.iter().zip(seed..) {
        step(naming.name);
        let n8n = N8n::start(naming.renamed).await;
        let truth = Truth::new(naming.renamed);
        truth.assert_knows(n8n.patterns());
        let judge = Judge::new(naming.renamed);
        let generator = Generator::new(seed, truth.groups(n8n.patterns()));
        let many = usize::try_from(cases * naming.share / 100).unwrap();
        wrong.extend(compare_all(&n8n, &judge, &truth, generator.take(many), &mut seen));
        sampled += sample::really_so(&n8n, &std::mem::take(&mut seen.sample));
        n8n.stop().await;
    }
    seen.tell();
    assert!(wrong.is_empty(), "{} kinds of divergence:\n{}", wrong.len(), wrong.join("\n"));
    seen.assert_enough(cases);
    assert!(sampled > 100, "n8n itself was asked only {sampled} times");
}

/// What came up, so that a generator that finds nothing is found out.
#[derive(Default)]
struct Seen {
    refused: BTreeMap<&'static str, u64>,
    passed: BTreeMap<&'static str, u64>,
    taken: BTreeMap<&'static str, u64>,
    excused: BTreeMap<&'static str, u64>,
    asked: u64,
    /// What n8n itself is asked as well.
    sample: Vec<(Passed, Answer)>,
}

impl Seen {
    fn tell(&self) {
        println!("refused: {:?}", self.refused);
        println!("passed as: {:?}", self.passed);
        println!("taken as: {:?}", self.taken);
        println!("excused: {:?}", self.excused);
    }

    /// That it was worth it: much of it passed, every surface was met, and every reason there is
    /// to refuse a target.
    fn assert_enough(&self, cases: u64) {
        assert!(self.asked > cases / 3, "only {} of {cases} were asked of n8n", self.asked);
        for row in Surface::all().map(Surface::row) {
            let met = self.passed.get(row.name).copied().unwrap_or_default();
            assert!(met > cases / 20_000, "{} was met {met} times", row.name);
            let taken = self.taken.get(row.name).copied().unwrap_or_default();
            assert!(taken > cases / 20_000, "n8n took {taken} for {}", row.name);
        }
        for excuse in &EXCUSES {
            assert!(self.excused.contains_key(excuse.because), "never so: {}", excuse.because);
        }
    }
}

fn compare_all(
    n8n: &N8n,
    judge: &Judge,
    truth: &Truth,
    mut cases: impl Iterator<Item = Case>,
    seen: &mut Seen,
) -> Vec<String> {
    let began = Instant::now();
    let mut found: BTreeMap<String, Case> = BTreeMap::new();
    let mut link = n8n.link();
    loop {
        let batch: Vec<Case> = cases.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let heard: Vec<Heard> = batch.iter().map(|case| judge.hear(case)).collect();
        let passed = || heard.iter().filter_map(Heard::passed);
        let answers = link.ask(passed());
        let mut answers = answers.into_iter();
        for (case, heard) in batch.iter().zip(&heard) {
            match heard {
                Heard::Refused(why) => *seen.refused.entry(why).or_default() += 1,
                Heard::Passed(passed) => {
                    let answer = answers.next().unwrap();
                    seen.asked += 1;
                    if seen.asked.is_multiple_of(SAMPLED) && seen.sample.len() < LARGEST_SAMPLE {
                        seen.sample.push((passed.clone(), answer.clone()));
                    }
                    *seen.passed.entry(passed.surface.name()).or_default() += 1;
                    let taken = truth.taken(&answer);
                    *seen.taken.entry(taken.name()).or_default() += 1;
                    match judge::compare(passed, &answer, taken) {
                        Ok(None) => {}
                        Ok(Some(excuse)) => *seen.excused.entry(excuse).or_default() += 1,
                        Err(kind) => {
                            let shortest = found.entry(kind).or_insert_with(|| case.clone());
                            if case.target.len() < shortest.target.len() {
                                *shortest = case.clone();
                            }
                        }
                    }
                }
            }
        }
    }
    println!("   {} s", began.elapsed().as_secs());
    let shrink = |(kind, case): (String, Case)| {
        let is = |case: &Case| kind_of(case, judge, truth, &mut n8n.link()).as_ref() == Some(&kind);
        format!("{kind}\n    {}", shrink::shrink(case, is))
    };
    found.into_iter().map(shrink).collect()
}

/// What is wrong with a single case, if anything is.
fn kind_of(case: &Case, judge: &Judge, truth: &Truth, link: &mut n8n::Link) -> Option<String> {
    let heard = judge.hear(case);
    let passed = heard.passed()?;
    let answer: Answer = link.ask(std::iter::once(passed)).pop()?;
    let taken: Taken = truth.taken(&answer);
    judge::compare(passed, &answer, taken).err()
}

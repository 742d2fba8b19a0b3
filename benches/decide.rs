//! What a decision costs, and its parts: the host, the surface of a path, the network of an address.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::{hint::black_box, net::IpAddr};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_benches::{Files, HOST};
use gateway_policy::{Login, Network, Policy, PrefixSet, Question, Shown, Windows};
use http::{Request, request};
use ipnet::IpNet;

const PATHS: [&str; 4] =
    ["/rest/settings", "/webhook/a7c9e7a0-5b8e", "/assets/index-BdQ0GSbS.js", "/workflow/new"];

/// One of the networks of each policy, and an address of none.
const TEAM: &str = "11.0.0.0";
const STRANGER: &str = "203.0.113.9";

fn head() -> request::Parts {
    let request = Request::get("/rest/settings")
        .header("host", HOST)
        .header("accept", "application/json, text/plain, */*")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("cookie", "n8n-auth=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Firefox/145.0");
    request.body(()).unwrap().into_parts().0
}

fn decide(policy: &Policy, head: &request::Parts, from: IpAddr) -> bool {
    let client = policy.clients.client(from);
    policy
        .decide(Question {
            head,
            sni: Some(HOST),
            client,
            shown: Shown::Nothing,
            login: Login::default(),
            windows: Windows::NONE,
        })
        .is_ok()
}

fn decisions(criterion: &mut Criterion) {
    let head = head();
    let (team, stranger): (IpAddr, IpAddr) = (TEAM.parse().unwrap(), STRANGER.parse().unwrap());
    for networks in [200, 100_000] {
        let policy = Files::with(networks).load().policy;
        assert!(decide(&policy, &head, team) && !decide(&policy, &head, stranger));
        for (who, from) in [("let in", team), ("refused", stranger)] {
            let what = format!("decide, {networks} networks, {who}");
            criterion.bench_function(&what, |bencher| {
                bencher.iter(|| decide(black_box(&policy), black_box(&head), black_box(from)));
            });
        }
    }
}

fn parts(criterion: &mut Criterion) {
    let policy = Files::with(200).load().policy;
    criterion.bench_function("match a host", |bencher| {
        bencher.iter(|| policy.hosts.find(black_box(HOST)).is_some());
    });
    for path in PATHS {
        criterion.bench_function(&format!("surface of {path}"), |bencher| {
            bencher.iter(|| policy.surfaces.locate(black_box(path), false).map(|it| it.surface));
        });
    }
}

fn networks(criterion: &mut Criterion) {
    let stranger: IpAddr = STRANGER.parse().unwrap();
    for count in [200_u32, 100_000] {
        let nets = (0..count).map(|n| IpNet::from(IpAddr::from((n << 8).to_be_bytes())));
        let network = Network::new("team", nets.collect::<PrefixSet>(), Vec::new());
        criterion.bench_function(&format!("look-up among {count} networks"), |bencher| {
            bencher.iter(|| network.contains(black_box(stranger)));
        });
    }
}

criterion_group!(all, decisions, parts, networks);
criterion_main!(all);

//! What it costs to look for known attacks: in a request's head, in a body that n8n reads whole, and in
//! a form as it passes.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::{fmt::Write, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway_benches::{Files, HOST};
use gateway_n8n::attacks::{Multipart, Shape, found_in};
use gateway_policy::{Login, Permit, Policy, Question, Shown, Watched, Windows};
use http::{HeaderMap, Request, header, request};

const MIB: usize = 1 << 20;

fn head(method: &str, path: &str, kind: &str) -> request::Parts {
    let request = Request::builder().method(method).uri(path).header("host", HOST);
    request.header(header::CONTENT_TYPE, kind).body(()).unwrap().into_parts().0
}

fn decide(policy: &Policy, head: &request::Parts) -> Permit {
    let client = policy.clients.client("11.0.0.0".parse().unwrap());
    policy
        .decide(Question {
            head,
            sni: Some(HOST),
            client,
            shown: Shown::Nothing,
            windows: Windows::NONE,
            login: Login::default(),
        })
        .unwrap()
}

/// JSON as webhooks send it, of a MiB.
fn json() -> String {
    let mut all = String::from("[");
    for n in 0.. {
        let comma = if n == 0 { "" } else { "," };
        write!(
            all,
            "{comma}{{\"id\":{n},\"name\":\"Order \\u00e4 {n}\",\"customer\":{{\"mail\":\"a@example.com\",\
             \"tags\":[\"new\",\"eu\"]}},\"lines\":[{{\"sku\":\"x-{n}\",\"count\":2,\"price\":9.5}}],\
             \"note\":\"Left at the door, as \\\"always\\\".\"}}"
        )
        .unwrap();
        if all.len() >= MIB {
            break;
        }
    }
    all.push(']');
    all
}

/// A form with a field and a file of 16 MiB.
fn form() -> Vec<u8> {
    let mut all = b"--b\r\nContent-Disposition: form-data; name=\"field-0\"\r\n\r\nAnn\r\n--b\r\n\
        Content-Disposition: form-data; name=\"field-1\"; filename=\"a.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    all.extend((0..16 * MIB).map(|n| u8::try_from(n % 251).unwrap()));
    all.extend(b"\r\n--b--\r\n");
    all
}

fn shapes(permit: &Permit) -> impl Iterator<Item = &Shape> + Clone {
    permit.attacks().unwrap().asked.iter().filter_map(Watched::shape)
}

fn heads(criterion: &mut Criterion) {
    let policy = Files::with(200).load().policy;
    for (what, method, path, kind) in [
        ("a page", "GET", "/rest/settings", ""),
        ("a webhook without a body", "GET", "/webhook/a7c9e7a0-5b8e", ""),
        ("a webhook with JSON", "POST", "/webhook/a7c9e7a0-5b8e", "application/json"),
    ] {
        let head = head(method, path, kind);
        criterion.bench_function(&format!("decide, {what}"), |bencher| {
            bencher.iter(|| decide(black_box(&policy), black_box(&head)));
        });
    }
}

fn bodies(criterion: &mut Criterion) {
    let policy = Files::with(200).load().policy;
    let mut group = criterion.benchmark_group("bodies");
    let body = json();
    group.throughput(Throughput::Bytes(body.len().try_into().unwrap()));
    for (what, path) in [("a webhook", "/webhook/x"), ("a workflow", "/rest/workflows")] {
        let head = head("POST", path, "application/json");
        let permit = decide(&policy, &head);
        group.bench_function(format!("1 MiB of JSON to {what}"), |bencher| {
            bencher.iter(|| {
                let found =
                    found_in(shapes(&permit), &head.headers, black_box(body.as_bytes()), MIB * 16);
                assert!(found.unwrap().is_empty());
            });
        });
    }
    let (form, headers) = (form(), HeaderMap::from_iter([kind()]));
    let permit = decide(&policy, &head("POST", "/form/x", "multipart/form-data; boundary=b"));
    group.throughput(Throughput::Bytes(form.len().try_into().unwrap()));
    group.bench_function("a form with a file of 16 MiB", |bencher| {
        bencher.iter(|| {
            let mut reader = Multipart::new(&headers, shapes(&permit)).unwrap();
            // As hyper hands it on.
            for piece in form.chunks(16 * 1024) {
                assert!(reader.take(black_box(piece)).unwrap().is_empty());
            }
        });
    });
    group.finish();
}

fn kind() -> (header::HeaderName, header::HeaderValue) {
    (header::CONTENT_TYPE, header::HeaderValue::from_static("multipart/form-data; boundary=b"))
}

criterion_group!(all, heads, bodies);
criterion_main!(all);

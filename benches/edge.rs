//! Strict reading of a browser's head, before hyper sees it.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway_benches as _;
use gateway_edge::strict::Head;

const HEAD: &str = "\
GET /rest/workflows?includeScopes=true&filter=%7B%22isArchived%22%3Afalse%7D HTTP/1.1\r\n\
Host: n8n.example.com\r\n\
Connection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Linux\"\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
Accept: application/json, text/plain, */*\r\n\
browser-id: 7f1c5a52-40c5-4b4b-9b0e-5d6c7b1f0a11\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: cors\r\n\
Sec-Fetch-Dest: empty\r\n\
Referer: https://n8n.example.com/home/workflows\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9\r\n\
Cookie: n8n-auth=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6IjdmMWM1YTUyLTQwYzUifQ.c2lnbmF0dXJl\r\n\
\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("strict");
    group.throughput(Throughput::Bytes(HEAD.len().try_into().unwrap()));
    group.bench_function("a browser's head in one piece", |bencher| {
        bencher.iter(|| {
            let passed = Head::default().read(black_box(HEAD.as_bytes())).unwrap();
            assert_eq!(passed.unwrap().length, HEAD.len());
        });
    });
}

criterion_group!(all, heads);
criterion_main!(all);

//! What the record of a request costs whoever writes it.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_benches as _;
use gateway_telemetry::{AccessRecord, Level, Log, Metrics, Telemetry};

fn record() -> AccessRecord<'static> {
    AccessRecord {
        request_id: 0x9f86_d081_884c_7d65,
        client: [203, 0, 113, 9].into(),
        surface: Some("rest"),
        method: "GET",
        path: "/rest/workflows?includeScopes=true".to_owned(),
        http: "2",
        tls: Some("1.3"),
        client_certificate: None,
        status: 200,
        n8n_status: Some(200),
        reason: None,
        revision: 7,
        received: 0,
        sent: 4096,
        duration_ms: 12.345,
        n8n_ms: Some(11.9),
    }
}

fn records(criterion: &mut Criterion) {
    for (what, level) in [("written", Level::Info), ("left out", Level::Warn)] {
        let (log, lines) = Log::memory(level);
        let telemetry = Telemetry::new(Arc::new(Metrics::new("bench").unwrap()), log);
        criterion.bench_function(&format!("a record, {what}"), |bencher| {
            bencher.iter(|| {
                telemetry.record(None, || black_box(record()));
                lines.lock().unwrap().clear();
            });
        });
    }
}

criterion_group!(all, records);
criterion_main!(all);

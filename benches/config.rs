//! From the policy's file to rules in memory: a reload has 100 ms for all that it does.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_benches::Files;

fn load(criterion: &mut Criterion) {
    for networks in [200, 100_000] {
        let files = Files::with(networks);
        criterion.bench_function(&format!("load a policy with {networks} networks"), |bencher| {
            bencher.iter(|| black_box(files.load()));
        });
    }
}

criterion_group!(all, load);
criterion_main!(all);

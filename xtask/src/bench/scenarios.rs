//! What is measured, one row for each scenario.

mod request;

use std::pin::Pin;

use super::{Bench, report::Row};

type Found<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Vec<Row>>> + 'a>>;

/// Something that is measured.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// How, in one sentence.
    pub(super) what: &'static str,
    pub(super) run: for<'a> fn(&'a Bench) -> Found<'a>,
}

/// The table, in the order in which they run.
pub(super) const SCENARIOS: [Scenario; 1] = [Scenario {
    name: "request",
    what: "CPU time of a request behind an allowlist of 200 networks, on 16 connections that are \
           kept, HTTP/2 with 8 streams each",
    run: |bench| Box::pin(request::run(bench)),
}];

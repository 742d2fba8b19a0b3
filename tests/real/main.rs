//! The gateway in front of the real n8n, which has to work as if nothing stood in between; and with
//! a real CA.
//!
//! `cargo xtask test` installs what this needs and says where it is.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where it was"
)]

mod accounts;
mod acme;
mod answers;
mod api_keys;
mod attacks;
mod audit;
mod browser;
mod client;
mod deploy;
mod doctor;
mod guard;
mod http;
mod installation;
mod metrics;
mod namespace;
mod newcomer;
mod observability;
mod operator_page;
mod outage;
mod owner;
mod processes;
mod push;
mod relay;
mod routing;
mod slow;
mod triggers;
mod vanish;
mod webhooks;

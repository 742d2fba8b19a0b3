//! Certificates from a real directory: Pebble, which issues as Let's Encrypt does and fails on
//! request. What it validates it asks of names that the tests make up.

mod account;
mod dns;
mod failures;
mod issuance;
mod machine;
mod pebble;
mod quality;
mod renewal;
mod stage;
mod visitor;

/// The name that most of them are about.
const HOST: &str = "n8n.test";

//! The whole gateway on in-memory wires, in front of an n8n that reports what it saw.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unreachable,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod access;
mod accounts;
mod answers;
mod attacks;
mod bans;
mod bodies;
mod certificates;
mod circuit;
mod client_certificates;
mod cuts;
mod faults;
mod floods;
mod frames;
mod hygiene;
mod known;
mod lately;
mod limits;
mod load;
mod reload;
mod rest;
mod rubbish;
mod said;
mod sign_in;
mod slow;
mod stalls;
mod stop;
mod strict;
mod tunnel;
mod webhooks;
mod windows;
mod wire;

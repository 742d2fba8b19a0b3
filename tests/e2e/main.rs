//! The whole gateway on in-memory wires, in front of an n8n that reports what it saw.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod access;
mod attacks;
mod bodies;
mod faults;
mod hygiene;
mod reload;
mod said;
mod stop;
mod tunnel;
mod wire;

//! The whole gateway on in-memory wires, in front of an n8n that reports what it saw.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod bodies;
mod faults;
mod hygiene;
mod reload;
mod said;
mod stop;
mod tunnel;
mod wire;

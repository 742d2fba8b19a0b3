//! The program itself: its commands, its signals, its listeners. n8n is played by a socket of the
//! test's.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its threads may sleep"
)]

mod commands;
mod house;
mod running;

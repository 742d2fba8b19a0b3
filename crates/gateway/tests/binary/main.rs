//! The program itself: its commands, its signals, its listeners. n8n is played by a socket of the
//! test's.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and waits in the wall's time for another process"
)]

mod audit;
mod bans;
mod certs;
mod commands;
mod confined;
mod house;
mod load;
mod page;
mod running;
mod upgrade;
mod windows;

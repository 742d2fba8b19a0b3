//! Certificates over years, in seconds: a keeper with authorities in memory that misbehave, in paused
//! time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod authority;
mod challenges;
mod house;
mod limits;
mod machine;
mod year;

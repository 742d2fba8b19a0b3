//! A fake n8n, a fake network, a whole gateway in one test.
//!
//! The edges are faked (connections, n8n, who makes certificates), the middle is not: a request of a
//! test passes the very stack that a stranger's does, from the TLS handshake on. Nothing here
//! asserts.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::unwrap_in_result,
    reason = "a test whose set-up fails has failed"
)]

pub mod authority;
mod certified;
mod client;
mod clock;
mod example;
mod fake_n8n;
pub mod frames;
mod gateway;
mod identity;
mod knife;
mod ports;
mod probe;

pub use authority::FakeAuthority;
pub use certified::{Authorities, FakeInternet};
pub use client::{Client, Response};
pub use clock::MovedClock;
pub use example::Example;
pub use fake_n8n::{FakeN8n, Seen, Step, Wire, token, token_of};
pub use frames::{Frame, Frames};
pub use gateway::{Gateway, POLICY};
pub use identity::{Authority, ClientIdentity};
pub use knife::{Knife, Stroke, Way};
pub use ports::{free_port, free_ports};
pub use probe::{AnyCertificate, Dial, Probe};

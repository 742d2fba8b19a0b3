//! A certificate for a name, now and in time.
//!
//! [`Served`] holds what handshakes are answered with and is swapped while they go on. The wall
//! clock is read here alone.

#![forbid(unsafe_code)]

mod clock;
mod error;
mod files;
mod identity;
mod local;
mod served;

pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use files::from_pem;
pub use identity::Identity;
pub use local::LocalAuthority;
pub use served::Served;

//! What is remembered of clients. For now: how many connections each one has open.
//!
//! Nothing is decided here: whoever asks brings the limits.

#![forbid(unsafe_code)]

mod presence;

pub use presence::{Crowd, Full, Limits, Presence};

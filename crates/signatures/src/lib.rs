//! Whether a webhook is from whoever shares a secret: what providers sign, how they write it down,
//! and how it is compared. There is no input or output here and no clock: the time is an argument.
//!
//! A signature is compared as the text that its sender writes, in constant time. So nothing but
//! that text passes: no upper case in place of lower case, no other padding.

#![forbid(unsafe_code)]

mod proof;
mod provider;
mod scheme;
mod signed;
mod twilio;

pub use proof::{Message, Proof, Proven, Secret, Unfit, Unproven};
pub use provider::Provider;
pub use scheme::{Algorithm, Clock, Encoding, Field, Part, Scheme, Signed, Stamp, template};

#[cfg(test)]
mod tests;

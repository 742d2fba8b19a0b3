//! What n8n is, as far as a gateway in front of it must know: which path belongs to which
//! [`Surface`], where n8n mounts it and under which variable it is renamed, and what in a URL is
//! a secret.
//!
//! Read from n8n 2.40.7 and tried on a running one. No input or output, no clock, no policy:
//! everything here is a table or a function of its arguments.

#![forbid(unsafe_code)]

pub mod answer;
pub mod attacks;
mod attempt;
pub mod audit;
mod classify;
mod endpoints;
mod form;
mod method;
mod redact;
mod release;
mod surface;
mod suspicion;

pub use attempt::{Answered, Attempt, Outcome, could_show_session};
pub use classify::{Ambiguity, Located, Surfaces};
pub use endpoints::{EndpointError, Endpoints, Root};
pub use form::{Account, FORM_LIMIT, UnreadableForm, account};
pub use method::{METHODS, has_method};
pub use redact::redact;
pub use release::{Affected, InvalidRelease, Release};
pub use surface::{
    Audience, Bodies, Lifetime, Mount, Origin, Process, Row, Surface, Tail, Upgrade,
};
pub use suspicion::Suspicion;

//! What n8n is, as far as a gateway in front of it must know: which path belongs to which
//! [`Surface`], where n8n mounts it and under which variable it is renamed, and what in a URL is
//! a secret.
//!
//! Read from n8n 2.40.7 and tried on a running one. No input or output, no clock, no policy:
//! everything here is a table or a function of its arguments.

#![forbid(unsafe_code)]

mod address;
pub mod answer;
mod api_key;
pub mod attacks;
mod attempt;
pub mod audit;
mod classify;
mod endpoints;
mod enrol;
mod form;
mod method;
mod password;
mod redact;
mod release;
mod session;
mod surface;
mod suspicion;

pub use address::AddressForm;
pub use api_key::{
    KEY_FORBIDDEN, KEY_UNAUTHORIZED, MCP_SERVER, READING, RESOURCES, could_show_key, key_user,
    only_reads, resource, shown_keys, took_key,
};
pub use attempt::{Answered, Attempt, Outcome, could_show_session};
pub use classify::{Ambiguity, Located, Surfaces};
pub use endpoints::{EndpointError, Endpoints, Root};
pub use enrol::{ENROLLING, MFA_REQUIRED, UNAUTHORIZED, Worth, insisting, leads_editor, worth};
pub use form::{Account, FORM_LIMIT, UnreadableForm, account, texts};
pub use method::{METHODS, has_method};
pub use password::{LONGEST_PASSWORD, PasswordForm};
pub use redact::redact;
pub use release::{Affected, InvalidRelease, Release};
pub use session::{
    Claims, Session, claims, given as given_session, is_session_cookie, token as session_token,
};
pub use surface::{
    Audience, Bodies, Lifetime, Mount, Origin, Process, Row, Surface, Tail, Upgrade,
};
pub use suspicion::Suspicion;

//! A certificate for a name, now and in time.
//!
//! [`Served`] holds what handshakes are answered with and is swapped while they go on. A [`Keeper`]
//! gets certificates from CAs and renews them. The wall clock is read here alone.

#![forbid(unsafe_code)]

mod acme;
mod clock;
mod error;
mod files;
mod identity;
mod keeper;
mod key;
mod local;
mod mirror;
mod renewal;
mod served;
mod store;

pub use acme::{
    Acme, Challenge, Challenges, Directory, Dns, DnsError, ExternalAccount, Https, Internet,
    NoInternet, Publisher, TsigAlgorithm, TsigKey, Update, Wanted, asked_for,
};
pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use files::from_pem;
pub use identity::Identity;
pub use keeper::{
    Keeper, Keeping, Outcome, Renewal, RevocationReason, Standing, State as StandingState, keep,
};
pub use key::KeyKind;
pub use local::LocalAuthority;
pub use mirror::{Look, Mirror, shown};
pub use renewal::Source as RenewalSource;
pub use served::{Served, Shown};

//! What is decided. A decision is a pure function of the policy, the request's head and what is
//! known of the client, so that it can be printed, replayed, fuzzed and explained.
//!
//! There is no input or output here, no clock, no randomness, no log and no file format: whoever
//! carries a decision out brings those.

#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

mod access;
mod accounts;
mod answers;
mod attacks;
mod certificate;
mod client;
mod connection;
mod cut;
mod decide;
mod exempt;
mod host;
mod jail;
mod limit;
mod load;
mod network;
mod patience;
mod reason;
mod rules;
mod source;
mod webhook;
mod window;

pub use access::{Access, Admission, Grant, Who};
pub use accounts::{
    Accounts, AddressRule, ApiKeys, Charge, Fingerprint, History, KeyRule, Login, NewNetwork,
    PasswordRule, SecondFactor, SessionRule, ShownKey, Weakness, Weighed, Whereabouts,
};
pub use answers::AnswerRules;
pub use attacks::{AttackId, AttackMode, Attacks, KnownAttack, Reaction, Suspected, Watched};
pub use certificate::{AuthorityId, CertificateAuthority, ClientCertificate, Shown};
pub use client::{Cdn, Client, Clients, Trusted, canonical};
pub use connection::{Connection, TlsInfo};
pub use cut::Cut;
pub use decide::{Mode, Permit, Policy, Question, Refusal, Step, Steps, Verdict, claimed_host};
pub use exempt::Exempt;
pub use host::{Authority, Hosts, InvalidAuthority, PublicHost};
pub use jail::{
    Ban, Bans, Count, Increment, Jail, LONGEST_BAN, Note, Offence, Past, Record, Sentence,
    Timestamp, Verdict as JailVerdict, Whose as Offender, site_of,
};
pub use limit::{DEVICE_LASTS, KNOWN_TIMES, Limit, Per, Quota, RateLimits, SIGNED_IN_TIMES};
pub use load::{Pressure, Standing};
pub use network::{Membership, Network, PrefixSet};
pub use patience::{Pace, Patience, Slow};
pub use reason::{Level, Reason};
pub use rules::{PathRules, Rule};
pub use source::{Place, Source};
pub use webhook::{Arrival, Asked, Webhook, Webhooks};
pub use window::{CannotOpen, LONGEST_WINDOW, MOST_WINDOWS, Window, Windows};

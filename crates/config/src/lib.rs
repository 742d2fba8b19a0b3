//! YAML becomes settings and a policy, or a list of problems, each with its place and a hint.
//!
//! The file's own form ([`raw`](schema)) is private and strict; what comes out cannot be wrong.
//! Every default of the product stands in this crate. It opens no socket: files, environment and
//! DNS answers come through a [`World`].

#![forbid(unsafe_code)]

mod access;
mod accounts;
mod at;
mod attacks;
mod audit;
mod bans;
mod compile;
mod de;
mod effective;
mod grants;
mod hardening;
mod limits;
mod log;
mod networks;
mod problem;
mod rates;
mod raw;
mod secret;
mod settings;
mod text;
mod tls;
mod webhooks;
mod world;
mod yaml;

pub use compile::{Config, Invalid, OPERATORS_SOCKET, load};
pub use effective::effective;
pub use hardening::Hardening;
pub use problem::{Problem, Problems, Severity};
pub use raw::schema;
pub use secret::{Secret, SecretBytes};
pub use settings::{
    Acme, Admin, Audit, Backend, BackupSource, Certificate, Challenge, ClientCa, Connections,
    Directory, Dns, Eab, HeadSize, KeyType, Listen, Log, LogFormat, LogLevel, N8n, Otlp, Publisher,
    Requests, Rfc2136, Settings, Timeouts, Tls, TlsVersion, TsigAlgorithm, TsigKey,
};
pub use world::{Answers, Needs, Purpose, System, World};

//! Strangers' bytes become HTTP requests: sockets, PROXY protocol, TLS, limits, drain.
//!
//! The edge knows no route and no upstream. Who may come in is asked at a [`Door`]; what is
//! answered is an [`App`]'s business.

#![forbid(unsafe_code)]

mod accept;
mod bounds;
mod client_certificate;
mod fate;
mod frames;
mod http;
mod leave;
mod listen;
mod pace;
pub mod proxy_protocol;
pub mod strict;
mod subject;
mod tls;

pub use accept::{Admission, App, Door, Edge, Entry, Held, Pass, Protocol};
pub use bounds::{Bounds, HeadSize};
pub use client_certificate::{ClientAuthorities, TrustedAuthority};
pub use leave::Leave;
pub use listen::{Activated, ListenError, bind};
pub use tls::{Handshakes, MinVersion, server_config};

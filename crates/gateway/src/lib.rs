//! Introductions: configuration meets policy, policy meets mechanism. No decision is taken here
//! and no protocol is spoken, the operator's own listener aside.

#![forbid(unsafe_code)]

mod acme;
mod admin;
mod asking;
mod assembly;
mod audit;
mod build;
mod caller;
mod certificates;
mod claimed;
pub mod cli;
mod confine;
mod control;
mod doctor;
mod guard;
mod identity;
mod load;
mod n8n_release;
mod nftables;
mod otlp;
mod reload;
mod resolve;
mod run;
mod runtimes;
mod signals;
mod sockets;
mod status;
mod upgrade;
mod watched;

pub use assembly::{Application, Assembly, Doorkeeper};
pub use build::Terms;
pub use guard::Guard;
pub use load::{Arrivals, Guest};
pub use reload::{Outcome, Reloader};
pub use run::run;

//! One request in, one response out: the [`stack`] of layers and the way to n8n.
//!
//! No socket of a stranger, no file and no configuration is known here. What may pass is decided
//! by the policy; from [`Permitted`] on it has been.

#![forbid(unsafe_code)]

mod body;
mod exchange;
mod failure;
mod keys;
mod layers;
mod page;
mod rules;
mod serve;
mod signed;
mod stack;
mod tunnel;
mod upstream;
mod warden;

pub use body::{Answer, Cut, Guarded};
pub use exchange::Exchange;
pub use failure::{Failure, Fault, Spent};
pub use layers::{Arrival, Permitted, challenge::Challenges, device};
pub use rules::{AtOnce, Live, Rules, Timeouts};
pub use serve::Serve;
pub use stack::{Means, redirects, stack};
pub use upstream::{
    Backend, CircuitState, Connect, Tcp, Upstream, Upstreams, exchange, fetch, probe,
};
pub use warden::{Called, Case, Message, Recalled, Warden, Whose};

//! What is remembered of clients: connections, budgets, offences, bans, and who has signed in.
//! Everything is bounded; what must outlive the process goes to a [`Store`].
//!
//! Nothing is decided here: whoever asks brings the limits, the policy and the time.

#![forbid(unsafe_code)]

mod edges;
mod fail2ban;
mod inventory;
mod journal;
mod key;
mod keys;
mod known;
mod ledger;
mod limiter;
mod offenders;
mod persons;
mod presence;
mod replays;
mod sessions;
mod sheet;
mod store;
mod trail;

pub use edges::{Edge, Edges};
pub use fail2ban::banned as banned_by_fail2ban;
pub use inventory::{Call, WEBHOOKS, Webhook};
pub use key::{Account, Key};
pub use keys::{API_KEYS, KeyUse, KnownKey};
pub use known::{LATELY, Visitor};
pub use ledger::{Ledger, Noted, net_of};
pub use limiter::{KEYS, Limiter, Spent};
pub use offenders::{NOTES, OFFENDERS};
pub use persons::Person;
pub use presence::{Crowd, Full, Limits, Presence};
pub use replays::{Message, REPLAYS};
pub use sessions::{Ended, Sitting};
pub use sheet::{BANS, Banned, ByHand, TOLD};
pub use store::{Change, Sqlite, Store, StoreError};
pub use trail::Trail;

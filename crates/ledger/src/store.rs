//! Where what is remembered outlives the process. The trait is narrow, so that another store than
//! a file can take its place.

mod sqlite;

use std::net::IpAddr;

use gateway_policy::{Fingerprint, Past, Timestamp, Window};
use ipnet::IpNet;

pub use sqlite::Sqlite;

use crate::{Banned, Ended, KnownKey, Message, Person, Sitting, Visitor, Webhook};

/// What a store keeps, and what has changed in it: nothing stands for what is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A ban.
    Ban(IpNet, Option<Banned>),
    /// A client's bans so far, or a site's.
    Past(IpNet, Option<Past>),
    /// A client that has signed in.
    Visitor(IpAddr, Option<Visitor>),
    /// A session, by a keyed hash of its cookie.
    Session(u64, Option<Sitting>),
    /// Sessions that the operator has ended, and until when.
    Ended(Ended, Option<Timestamp>),
    /// A webhook that n8n has, by its path.
    Webhook(String, Option<Webhook>),
    /// One of n8n's users, by its own id.
    Person(String, Option<Person>),
    /// An API key that n8n has taken.
    ApiKey(Fingerprint, Option<KnownKey>),
    /// A signed message that n8n took, and until when it is remembered.
    Message(Message, Option<Timestamp>),
    /// Somebody who is let in for a time, by the window's id.
    Window(u64, Option<Window>),
}

/// What went wrong with a store.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct StoreError {
    why: Box<dyn std::error::Error + Send + Sync>,
    /// Whether what was kept so far is lost, and has to be written again.
    lost: bool,
}

impl StoreError {
    /// Of whatever went wrong.
    pub fn new(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { why: why.into(), lost: false }
    }

    /// The same, and what was kept so far is lost.
    #[must_use]
    pub fn lost(self) -> Self {
        Self { lost: true, ..self }
    }

    /// Whether what was kept so far is lost, and has to be written again.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }
}

/// A store. It is called from a thread of its own and may take its time.
pub trait Store: Send + 'static {
    /// Everything that it keeps.
    ///
    /// # Errors
    ///
    /// A store that cannot be read. What cannot be understood in it is left out.
    fn load(&mut self) -> Result<Vec<Change>, StoreError>;

    /// Makes all changes or none of them; they are durable when it returns.
    ///
    /// # Errors
    ///
    /// A store that cannot be written: full, read-only, gone. The same changes come again.
    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

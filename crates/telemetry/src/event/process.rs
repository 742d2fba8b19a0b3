//! What happens to the process itself.

use serde::Serialize;

use super::Event;
use crate::{Level, names::event};

/// What the process gave up after its start.
#[derive(Clone, Debug, Serialize)]
pub struct Confined {
    /// What the policy asks for.
    pub mode: String,
    /// The kernel's interface by which files are confined; nothing if they are not.
    pub landlock: Option<i32>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// The capabilities that are left.
    pub capabilities: Vec<String>,
    /// What somebody should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Event for Confined {
    const NAME: &'static str = event::CONFINED;

    fn level(&self) -> Level {
        if self.warnings.is_empty() { Level::Info } else { Level::Warn }
    }
}

/// A file of the system's was replaced, and the process cannot read the new one.
#[derive(Clone, Debug, Serialize)]
pub struct OutOfReach {
    /// The file.
    pub file: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Event for OutOfReach {
    const NAME: &'static str = event::OUT_OF_REACH;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// The list of passwords that have leaked could not be read, so that a new one was not looked up.
#[derive(Clone, Debug, Serialize)]
pub struct LeakedPasswordsUnread {
    /// Why not.
    pub error: String,
}

impl Event for LeakedPasswordsUnread {
    const NAME: &'static str = event::LEAKED_PASSWORDS_UNREAD;

    fn level(&self) -> Level {
        Level::Error
    }
}

/// n8n has no owner: whoever comes first owns it.
#[derive(Clone, Debug, Serialize)]
pub struct Unclaimed {}

impl Event for Unclaimed {
    const NAME: &'static str = event::N8N_UNCLAIMED;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// n8n has an owner.
#[derive(Clone, Debug, Serialize)]
pub struct Claimed {}

impl Event for Claimed {
    const NAME: &'static str = event::N8N_CLAIMED;
}

/// Another process takes over.
#[derive(Clone, Debug, Serialize)]
pub struct HandedOver {
    /// The process that serves from now on.
    pub process: u32,
}

impl Event for HandedOver {
    const NAME: &'static str = event::HANDED_OVER;
}

/// Another process should have taken over and cannot; this one goes on.
#[derive(Clone, Debug, Serialize)]
pub struct UpgradeFailed {
    /// Why not.
    pub error: String,
}

impl Event for UpgradeFailed {
    const NAME: &'static str = event::UPGRADE_FAILED;

    fn level(&self) -> Level {
        Level::Error
    }
}

//! How far the process gives up what it does not need.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far the process gives up what it does not need.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hardening {
    /// As far as the kernel knows how; what is missing is said.
    #[default]
    Auto,
    /// As with `auto`, and it does not start where files or system calls stay open.
    Require,
    /// Not at all, for debuggers.
    Off,
}

//! What is looked at of n8n's own installation.

use std::{path::PathBuf, time::Duration};

use gateway_n8n::audit::{Bounds, Level};

use crate::Secret;

/// What is looked at of n8n's own installation, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// How often.
    pub every: Duration,
    /// From which level on a finding is a warning.
    pub level: Level,
    /// A key of n8n's public API.
    pub api_key: Option<Secret>,
    /// n8n's data directory.
    pub data: Option<PathBuf>,
    /// Files with n8n's environment.
    pub env_files: Vec<PathBuf>,
    /// How the age of the last backup is found.
    pub backup: Option<BackupSource>,
    /// What is too much, too old, too late.
    pub bounds: Bounds,
    /// Checks whose findings are meant so, by id.
    pub accept: Vec<String>,
}

/// How the age of the last backup is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupSource {
    /// A file, or a folder whose newest entry counts.
    Path(PathBuf),
    /// A program that says it.
    Command(PathBuf),
}

//! Why a certificate cannot be served.

use std::{io, path::PathBuf};

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A file is not what it should be.
    #[error("{}: {}", .0.display(), .1)]
    Content(PathBuf, String),
    /// The key is not the certificate's.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// The certificate or the key is of a kind that is not supported.
    #[error("the certificate cannot be used")]
    Unusable(#[source] rustls::Error),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Made(#[source] rcgen::Error),
}

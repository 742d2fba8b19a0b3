//! A certificate in PEM files.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{Error, Identity};

/// Reads the certificate with its intermediates from `chain` and its key from `key`.
///
/// # Errors
///
/// A file that cannot be read, holds something else, or a key of another certificate.
pub fn from_files(chain: &Path, key: &Path) -> Result<Identity, Error> {
    let read = |path: &Path| std::fs::read(path).map_err(|why| Error::File(path.to_owned(), why));
    let content = |path: &Path, why: &dyn std::fmt::Display| {
        Error::Content(path.to_owned(), format!("not PEM: {why}"))
    };
    let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| content(chain, &why))?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|why| content(key, &why))?;
    Identity::new(chain, certificates, secret)
}

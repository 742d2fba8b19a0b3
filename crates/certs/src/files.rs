//! A certificate in PEM files.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{Error, Identity};

/// Reads the certificate with its intermediates from the first file and its key from the second,
/// each given as its name and content.
///
/// # Errors
///
/// A file that holds something else, or a key of another certificate.
pub fn from_pem(chain: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Identity, Error> {
    let content = |path: &Path, why: &dyn std::fmt::Display| {
        Error::Content(path.to_owned(), format!("not PEM: {why}"))
    };
    let certificates = CertificateDer::pem_slice_iter(chain.1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| content(chain.0, &why))?;
    let secret = PrivateKeyDer::from_pem_slice(key.1).map_err(|why| content(key.0, &why))?;
    Identity::new(chain.0, certificates, secret)
}

//! A chain of certificates for a host.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

/// Writes `chain.pem` and `key.pem`, and gives the leaf and the authority.
pub(crate) fn write_chain(
    name: &str,
    host: &str,
    folder: &Path,
) -> anyhow::Result<(CertificateDer<'static>, CertificateDer<'static>)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("authority {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pair = KeyPair::generate()?;
    let authority = params.self_signed(&pair)?;
    let issuer = Issuer::new(params, pair);
    let pair = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![host.to_owned()])?.signed_by(&pair, &issuer)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("chain.pem"), leaf.pem() + &authority.pem())?;
    fs::write(folder.join("key.pem"), pair.serialize_pem())?;
    Ok((leaf.der().clone(), authority.der().clone()))
}

//! A certification authority of this machine's own, for development.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::{Error, Identity, store::whole};

/// An authority kept in two files, `ca.pem` and `ca.key`, made when they are not there.
#[derive(Debug)]
pub struct LocalAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
}

impl LocalAuthority {
    /// Opens the authority in `folder`, or makes it there.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, written or understood.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !certificate.exists() || !key.exists() {
            make(folder, &certificate, &key)?;
        }
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|why| Error::File(path.to_owned(), why));
        let content =
            |path: &Path, why: rcgen::Error| Error::Content(path.to_owned(), why.to_string());
        let pem = Zeroizing::new(read(&key)?);
        let pair = KeyPair::from_pem(&pem).map_err(|why| content(&key, why))?;
        let issuer = Issuer::from_ca_cert_pem(&read(&certificate)?, pair);
        let issuer = issuer.map_err(|why| content(&certificate, why))?;
        Ok(Self { issuer, certificate })
    }

    /// The authority's own certificate, for a browser to trust.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Makes a certificate for `hosts`, good for a year from `now` (seconds since 1970).
    ///
    /// # Errors
    ///
    /// A host that cannot stand in a certificate.
    pub fn issue(&self, hosts: &[String], now: i64) -> Result<Identity, Error> {
        let mut params = CertificateParams::default();
        for host in hosts {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            params.subject_alt_names.push(match bare.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(bare.try_into().map_err(Error::Made)?),
            });
        }
        params.distinguished_name = name("n8n-gateway development");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (at(now - 3600), at(now + 365 * 86_400));
        let pair = Zeroizing::new(KeyPair::generate().map_err(Error::Made)?);
        let made = params.signed_by(&*pair, &self.issuer).map_err(Error::Made)?;
        let chain = vec![CertificateDer::from(made.der().to_vec())];
        let key = PrivateKeyDer::try_from(pair.serialize_der())
            .map_err(|why| Error::Content(self.certificate.clone(), why.to_owned()))?;
        Identity::new(&self.certificate, chain, key)
    }
}

/// A certificate for `hosts` that nobody trusts, good for a week from `now`: what is served until a
/// CA has issued one. Its key is never written down.
///
/// # Errors
///
/// A host that cannot stand in a certificate.
pub(crate) fn temporary(hosts: &[String], now: i64) -> Result<Identity, Error> {
    let mut params = CertificateParams::new(hosts).map_err(Error::Made)?;
    params.distinguished_name = name("n8n-gateway temporary certificate");
    (params.not_before, params.not_after) = (at(now - 3600), at(now + 7 * 86_400));
    let pair = Zeroizing::new(KeyPair::generate().map_err(Error::Made)?);
    let made = params.self_signed(&*pair).map_err(Error::Made)?;
    let place = Path::new("the temporary certificate");
    let key = PrivateKeyDer::try_from(pair.serialize_der())
        .map_err(|why| Error::Content(place.to_owned(), why.to_owned()))?;
    Identity::new(place, vec![CertificateDer::from(made.der().to_vec())], key)
}

fn make(folder: &Path, certificate: &Path, key: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|why| Error::File(folder.to_owned(), why))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name("n8n-gateway development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pair = Zeroizing::new(KeyPair::generate().map_err(Error::Made)?);
    let made = params.self_signed(&*pair).map_err(Error::Made)?;
    whole(key, 0o600, &Zeroizing::new(pair.serialize_pem()))?;
    whole(certificate, 0o644, &made.pem())
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn at(seconds: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

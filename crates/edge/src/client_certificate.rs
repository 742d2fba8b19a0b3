//! Certificates that clients show. They are asked for and never required, and no handshake fails
//! because of whom one is from: some senders of webhooks show one of their own to everybody. Who
//! vouches for it is looked at when the handshake is done, a resumed one as well.

use std::{collections::BTreeSet, sync::Arc};

use gateway_policy::{AuthorityId, ClientCertificate};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use webpki::RawPublicKeyEntity;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::subject::subject;

/// The most intermediates that are looked at: no authority of people needs more, and each costs a
/// stranger nothing to send. The ways from one to another that have to be tried grow with their
/// factorial.
const LONGEST_CHAIN: usize = 3;

/// The most that is said of the authorities. A client that is told of none offers whatever it has.
const HINT_BYTES: usize = 16 * 1024;

/// An authority, and its certificates.
#[derive(Clone, Debug)]
pub struct TrustedAuthority {
    /// What the policy calls it.
    pub id: AuthorityId,
    /// Its certificates; a client's may be of any of them.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Who may vouch for clients.
#[derive(Clone, Debug, Default)]
pub struct ClientAuthorities {
    verifiers: Vec<(AuthorityId, Arc<dyn ClientCertVerifier>)>,
}

impl ClientAuthorities {
    /// Those of a policy; with none, clients are asked for nothing.
    ///
    /// # Errors
    ///
    /// A certificate that is none.
    pub fn new(trusted: impl IntoIterator<Item = TrustedAuthority>) -> Result<Self, Error> {
        let verifier = |TrustedAuthority { id, certificates }| {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate)?;
            }
            let provider = Arc::new(aws_lc_rs::default_provider());
            let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let built = built.build().map_err(|why| Error::General(why.to_string()))?;
            Ok((id, built))
        };
        let verifiers: Result<_, Error> = trusted.into_iter().map(verifier).collect();
        Ok(Self { verifiers: verifiers? })
    }

    /// What asks clients for a certificate, if they are to be asked.
    pub(crate) fn asking(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        if self.verifiers.is_empty() {
            return None;
        }
        let all = self.verifiers.iter().flat_map(|(_, it)| it.root_hint_subjects());
        let unique: BTreeSet<&[u8]> = all.map(AsRef::as_ref).collect();
        let fits = unique.iter().map(|it| it.len() + 2).sum::<usize>() <= HINT_BYTES;
        let unique = unique.into_iter().filter(|_| fits).map(|it| it.to_vec().into());
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        Some(Arc::new(Asking { hints: unique.collect(), algorithms }))
    }

    /// What is to be said of the certificates that a client showed, its own first, at `now`.
    pub(crate) fn vouch(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<ClientCertificate> {
        let (own, intermediates) = chain.split_first()?;
        let good = |it: &&(AuthorityId, Arc<dyn ClientCertVerifier>)| {
            intermediates.len() <= LONGEST_CHAIN
                && it.1.verify_client_cert(own, intermediates, now).is_ok()
        };
        let vouched_by = self.verifiers.iter().filter(good).map(|(id, _)| id.clone()).collect();
        Some(ClientCertificate { subject: subject(own), vouched_by })
    }
}

/// Asks for a certificate and takes any whose key the client has.
#[derive(Debug)]
struct Asking {
    /// The names of the authorities: a browser bothers its user only if it has a certificate of one.
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if is_readable(certificate) {
            return verify_tls12_signature(message, certificate, signed, &self.algorithms);
        }
        let key = key(certificate)?;
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| bad_encoding())?;
        let fitting = self.algorithms.mapping.iter().filter(|(it, _)| *it == signed.scheme);
        let proves = |it: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            key.verify_signature(*it, message, signed.signature()).is_ok()
        };
        if fitting.flat_map(|(_, algorithms)| *algorithms).any(proves) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::BadSignature))
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if is_readable(certificate) {
            return verify_tls13_signature(message, certificate, signed, &self.algorithms);
        }
        verify_tls13_signature_with_raw_key(message, &key(certificate)?, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether the certificate is one that an authority could vouch for. Another, as of version 1, is
/// a stranger's, whose key is read on a way of its own: nothing is believed that depends on it.
fn is_readable(certificate: &CertificateDer<'_>) -> bool {
    ParsedCertificate::try_from(certificate).is_ok()
}

fn key(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| bad_encoding())?;
    Ok(SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec()))
}

fn bad_encoding() -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}

#[cfg(test)]
mod tests;

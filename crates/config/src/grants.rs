//! Whom an entry of `access` lets in, and the authorities of the certificates that it asks for.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use gateway_policy::{AuthorityId, CertificateAuthority, Grant, Place, Who};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use webpki::anchor_from_trusted_cert;

use crate::{
    ClientCa, Needs,
    access::{Surroundings, network},
    at::{At, OneOrMany},
    de::Session,
    networks, raw,
};

/// The authorities that have been named so far. A file that is named twice is read once, so that
/// it is one authority even if it changes meanwhile.
pub(crate) struct Authorities<'n> {
    needs: &'n mut Needs,
    /// Nothing for a file that is of no use, which has been reported.
    by_file: BTreeMap<PathBuf, Option<ClientCa>>,
}

impl<'n> Authorities<'n> {
    pub(crate) fn new(needs: &'n mut Needs) -> Self {
        Self { needs, by_file: BTreeMap::new() }
    }

    /// Each authority once, whatever its files are called.
    pub(crate) fn into_list(self) -> Vec<ClientCa> {
        let mut list: Vec<_> = self.by_file.into_values().flatten().collect();
        list.sort_by(|one, other| one.id.cmp(&other.id));
        list.dedup();
        list
    }

    fn find(&mut self, file: &At<String>, session: &Session<'_>) -> Option<AuthorityId> {
        let full = networks::full_path(file, session)?;
        if !self.by_file.contains_key(&full) {
            let bytes = networks::read(file, self.needs, session);
            let found = bytes.and_then(|(full, bytes)| {
                let reported = |(message, hint): (String, Option<String>)| {
                    session.error(file.place, format!("{}: {message}", full.display()), hint);
                };
                authority(&bytes).map_err(reported).ok()
            });
            self.by_file.insert(full.clone(), found);
        }
        self.by_file.get(&full)?.as_ref().map(|found| found.id.clone())
    }
}

/// The authority whose certificates a file holds, or what is wrong with it and a hint.
pub(crate) fn authority(pem: &[u8]) -> Result<ClientCa, (String, Option<String>)> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let wrong = |what: &str| {
        let hint = "PEM: from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`";
        (what.to_owned(), Some(hint.to_owned()))
    };
    let certificates = certificates.map_err(|_| wrong("not PEM, or cut off"))?;
    if certificates.is_empty() {
        return Err(wrong("no certificate in it"));
    }
    let mut hash = Sha256::new();
    for (at, certificate) in certificates.iter().enumerate() {
        // As it is read where handshakes are made: what passes here is of use there.
        let anchor = anchor_from_trusted_cert(certificate);
        anchor.map_err(|why| (format!("certificate {} cannot be read ({why})", at + 1), None))?;
        hash.update(certificate);
    }
    let id: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(ClientCa { id: AuthorityId::new(&id), certificates })
}

/// Whom one entry of `access` lets in; nothing if it cannot be told, which has been reported.
pub(crate) fn who(
    place: Place,
    list: OneOrMany<raw::Grant>,
    around: &Surroundings<'_>,
    authorities: &mut Authorities<'_>,
) -> Option<Who> {
    let word = list.0.iter().find_map(|one| match &one.value {
        Some(raw::Grant::Name(name)) if name == "anyone" => Some(Who::Anyone),
        Some(raw::Grant::Name(name)) if name == "nobody" => Some(Who::Nobody),
        Some(raw::Grant::Name(_) | raw::Grant::Certificate(_)) | None => None,
    });
    match (word, list.0.len()) {
        (Some(who), 1) => Some(who),
        (Some(who), _) => {
            let word = if matches!(who, Who::Anyone) { "anyone" } else { "nobody" };
            let message = format!("`{word}` stands alone, not in a list");
            around.session.error(place, message, None);
            None
        }
        (None, 0) => Some(Who::Nobody),
        (None, _) => {
            let grants = list.0.into_iter().map(|one| match one.value? {
                raw::Grant::Name(name) => network(one.place, &name, around).map(Grant::From),
                raw::Grant::Certificate(raw) => with(one.place, raw, around, authorities),
            });
            whole(grants).map(Who::Granted)
        }
    }
}

fn with(
    place: Place,
    raw: raw::ClientCertificate,
    around: &Surroundings<'_>,
    authorities: &mut Authorities<'_>,
) -> Option<Grant> {
    let raw::ClientCertificate { client_ca, networks } = raw;
    let from = networks.map(|list| from(list, around));
    let Some(file) = client_ca else {
        let hint = "client_ca: team-ca.pem, or the names of the networks without a mapping";
        around.session.error(place, "`client_ca` is missing", Some(hint.to_owned()));
        return None;
    };
    let id = authorities.find(&file, around.session)?;
    let authority = Arc::new(CertificateAuthority { id, file: file.value? });
    match from {
        Some(None) => None,
        Some(Some(networks)) => Some(Grant::With { authority, from: Some(networks) }),
        None => Some(Grant::With { authority, from: None }),
    }
}

/// The networks that a certificate must be shown from.
fn from(
    list: At<OneOrMany<String>>,
    around: &Surroundings<'_>,
) -> Option<Vec<Arc<gateway_policy::Network>>> {
    let (place, names) = (list.place, list.value?.0);
    if names.is_empty() {
        let hint = "leave `networks` out for certificates from anywhere".to_owned();
        around.session.error(place, "nobody would be let in", Some(hint));
        return None;
    }
    let named = |one: At<String>| match one.value?.as_str() {
        word @ ("anyone" | "nobody") => {
            let hint = "leave `networks` out for certificates from anywhere".to_owned();
            around.session.error(one.place, format!("`{word}` is no network"), Some(hint));
            None
        }
        name => network(one.place, name, around),
    };
    whole(names.into_iter().map(named))
}

/// Everything, if nothing is missing. Each is looked at: all that is wrong is said, and not only
/// the first of it.
fn whole<T>(found: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut list = Some(Vec::new());
    for one in found {
        list = list.zip(one).map(|(mut list, one)| {
            list.push(one);
            list
        });
    }
    list
}

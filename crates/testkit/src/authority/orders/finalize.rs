//! The end of an order: the request for signing, and the certificate.

use http::StatusCode;
use rcgen::{CertificateSigningRequestParams, PublicKeyData, SanType};
use serde_json::Value;
use tokio::time::Instant;

use super::{Done, Identifier};
use crate::authority::{
    answer::{Answer, GARBAGE, Problem, plain},
    issue::{Issued, Leaf, Made, new_key},
    jws::decode,
    mischief::Wrong,
    seen::SeenCertificate,
    state::{State, seconds},
};

impl State {
    /// Takes the request for signing and makes the certificate.
    pub(in crate::authority) fn finalize(
        &mut self,
        caller: usize,
        rest: &str,
        payload: &Value,
    ) -> Result<Answer, Problem> {
        let index = self.own_order(caller, rest)?;
        let order = self.orders.get(index).ok_or_else(|| Problem::absent("order"))?;
        let standing = self.order_status(order);
        if standing != "ready" {
            return Err(Problem::new("orderNotReady", format!("the order is {standing}")));
        }
        if self.mischief.bad_csr {
            return Err(Problem::new("badCSR", "the request is not to our liking"));
        }
        let (identifiers, profile) = (order.identifiers.clone(), order.profile.clone());
        let request = self.check_request(caller, payload, &identifiers)?;
        let key = &request.public_key;
        let made = self.make(caller, &identifiers, profile.as_deref(), key)?;
        self.certificates.push(made);
        let certificate = self.certificates.len() - 1;
        let (since, takes) = (Instant::now(), self.mischief.processing);
        if let Some(order) = self.orders.get_mut(index) {
            order.done = Some(Done { since, takes, certificate });
        }
        self.show_order(StatusCode::OK, index)
    }

    /// Answers with the file of a certificate.
    pub(in crate::authority) fn certificate(
        &self,
        caller: usize,
        rest: &str,
    ) -> Result<Answer, Problem> {
        let found = self.certificates.get(rest.parse().unwrap_or(usize::MAX));
        match found.filter(|it| it.account == caller) {
            Some(found) => {
                Ok(plain(StatusCode::OK, "application/pem-certificate-chain", found.file.clone()))
            }
            None => Err(Problem::absent("certificate")),
        }
    }

    /// The request must be signed, be for the order's identifiers and no others, and bring a key of
    /// its own.
    fn check_request(
        &self,
        caller: usize,
        payload: &Value,
        identifiers: &[Identifier],
    ) -> Result<CertificateSigningRequestParams, Problem> {
        let bad = |detail: &str| Problem::new("badCSR", detail);
        let der = decode(payload["csr"].as_str().unwrap_or_default())?;
        let request = CertificateSigningRequestParams::from_der(&der.into())
            .map_err(|why| bad(&why.to_string()))?;
        let wanted: Vec<SanType> = identifiers.iter().map(san).collect::<Result<_, _>>()?;
        let asked = &request.params.subject_alt_names;
        if !wanted.iter().all(|it| asked.contains(it))
            || !asked.iter().all(|it| wanted.contains(it))
        {
            return Err(bad("the names are not those of the order"));
        }
        let account = self.accounts.get(caller).map_or(&[][..], |it| it.key.point());
        if request.public_key.der_bytes() == account {
            return Err(bad("the key is the account's"));
        }
        Ok(request)
    }

    fn make(
        &mut self,
        account: usize,
        identifiers: &[Identifier],
        profile: Option<&str>,
        key: &impl PublicKeyData,
    ) -> Result<Issued, Problem> {
        let wrong = self.mischief.certificate;
        let known = self.profiles.iter().find(|(name, _)| Some(name.as_str()) == profile);
        let lifetime = seconds(known.map_or(self.lifetime, |(_, lifetime)| *lifetime));
        let now = self.now();
        let not_before = match wrong {
            Some(Wrong::Expired) => now - 3600 - lifetime,
            _ => now - seconds(self.backdate),
        };
        let dates = (not_before, not_before + lifetime);
        let names = match wrong {
            Some(Wrong::Host) => vec![san(&Identifier::Dns("wrong.test".to_owned()))?],
            _ => identifiers.iter().map(san).collect::<Result<_, _>>()?,
        };
        let leaf = Leaf { names, dates, serial: self.draw() };
        let made = match wrong {
            Some(Wrong::Key) => self.hierarchy.issue(leaf, &new_key()),
            _ => self.hierarchy.issue(leaf, key),
        };
        let Made { id, der, leaf, chain } =
            made.map_err(|why| Problem::new("serverInternal", why.to_string()))?;
        let identifiers: Vec<String> = identifiers.iter().map(Identifier::text).collect();
        self.seen.certificates.push(SeenCertificate {
            at: now,
            identifiers: identifiers.clone(),
            id: id.clone(),
            leaf: der.clone(),
        });
        let file = match wrong {
            Some(Wrong::Empty) => Vec::new(),
            Some(Wrong::Garbage) => GARBAGE.to_vec(),
            Some(Wrong::LeafOnly) => leaf.into_bytes(),
            _ => chain.into_bytes(),
        };
        Ok(Issued { account, identifiers, dates, id, der, file, revoked: false })
    }
}

fn san(identifier: &Identifier) -> Result<SanType, Problem> {
    match identifier {
        Identifier::Dns(name) => name
            .as_str()
            .try_into()
            .map(SanType::DnsName)
            .map_err(|_| Problem::new("rejectedIdentifier", "it cannot stand in a certificate")),
        Identifier::Ip(address) => Ok(SanType::IpAddress(*address)),
    }
}

//! `tls`: where the certificate comes from, and what of TLS is spoken.

mod acme;

use std::path::Path;

use gateway_policy::{Hosts, Place};

use crate::{
    Certificate, Listen, Needs, Tls, TlsVersion,
    at::At,
    compile::required,
    de::Session,
    raw,
    world::{Purpose, START_ANEW, beside},
};

pub(crate) use acme::root_of;

/// What stands beside `tls` in the file.
pub(crate) struct Beside<'b>(pub(crate) Option<&'b Hosts>, pub(crate) &'b Listen);

pub(crate) fn tls(
    raw: Option<At<raw::Tls>>,
    top: Place,
    around: &Beside<'_>,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Option<Tls> {
    let hint = "tls: { acme: { email: ops@example.com } }";
    let place = raw.as_ref().map_or(top, |raw| raw.place);
    let raw::Tls { acme, certificate, self_signed, min_version } =
        required(raw, "tls", top, hint, session)?;
    let self_signed = self_signed.and_then(|it| it.value).unwrap_or(false);
    let certificate = match (acme, certificate, self_signed) {
        (None, None, true) => Certificate::SelfSigned,
        (Some(acme), None, false) => {
            let place = acme.place;
            Certificate::Acme(acme::acme(acme.value?, place, around, needs, session)?)
        }
        (None, Some(At { place, value }), false) => {
            let raw::Certificate { chain, key } = value?;
            let chain =
                required(chain, "tls.certificate.chain", place, "chain: fullchain.pem", session);
            let key = required(key, "tls.certificate.key", place, "key: privkey.pem", session);
            let chain = beside(session.file, Path::new(&chain?));
            let key = beside(session.file, Path::new(&key?));
            for file in [&chain, &key] {
                if session.world.is_out_of_reach(file, Purpose::Read) {
                    let message = format!("{}: out of the running gateway's reach", file.display());
                    session.error(place, message, Some(START_ANEW.to_owned()));
                }
            }
            needs.files.extend([chain.clone(), key.clone()]);
            Certificate::Files { chain, key }
        }
        (None, None, false) => {
            let hint = Some(format!("{hint}, or `self_signed: true` for development"));
            session.error(place, "no certificate", hint);
            return None;
        }
        (Some(_), _, _) | (_, Some(_), _) => {
            let message = "`acme`, `certificate` and `self_signed` exclude each other";
            session.error(place, message, None);
            return None;
        }
    };
    let min_version = match min_version.and_then(|it| it.value) {
        Some(raw::MinVersion::Tls13) => TlsVersion::Tls13,
        Some(raw::MinVersion::Tls12) | None => TlsVersion::Tls12,
    };
    Some(Tls { certificate, min_version })
}

//! What becomes of a certificate: when to renew it (RFC 9773), and its revocation.

use http::{StatusCode, header};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Problem, json as answer, plain, set},
    jws::decode,
    mischief::window,
    state::{State, rfc3339},
};

impl State {
    /// Answers with the window in which a certificate is to be renewed.
    pub(super) fn renewal_info(&mut self, id: &str) -> Result<Answer, Problem> {
        self.seen.renewal_infos.push(self.clock.now());
        let found = self.certificates.iter().find(|it| it.id == id);
        let found = found.ok_or_else(|| Problem::absent("certificate"))?;
        let (start, end) = match found.revoked {
            true => window::past(found.dates.0, found.dates.1),
            false => (self.suggest)(found.dates.0, found.dates.1),
        };
        let window = json!({ "start": rfc3339(start), "end": rfc3339(end) });
        let mut answer = answer(StatusCode::OK, &json!({ "suggestedWindow": window }));
        if let Some(after) = self.mischief.renewal_retry_after {
            set(&mut answer, header::RETRY_AFTER, &after.as_secs().to_string());
        }
        Ok(answer)
    }

    /// Revokes a certificate for the account that had it made.
    pub(super) fn revoke(&mut self, caller: usize, payload: &Value) -> Result<Answer, Problem> {
        let der =
            CertificateDer::from(decode(payload["certificate"].as_str().unwrap_or_default())?);
        let found = self.certificates.iter_mut().find(|it| it.der == der);
        let found = found.ok_or_else(|| Problem::absent("certificate"))?;
        if found.account != caller {
            return Err(Problem::new("unauthorized", "this is another account's certificate"));
        }
        if found.revoked {
            return Err(Problem::new("alreadyRevoked", "it is revoked already"));
        }
        // Section 5.3.1 of RFC 5280 has no reason 7; those above 5 are not a subscriber's to give.
        if !payload["reason"].is_null() && payload["reason"].as_u64().is_none_or(|it| it > 5) {
            return Err(Problem::new("badRevocationReason", "there is no such reason"));
        }
        found.revoked = true;
        self.seen.revocations.push(self.clock.now());
        Ok(plain(StatusCode::OK, "text/plain", ""))
    }
}

//! A CA with an account at it: what is asked of it, and how its refusals are read.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use instant_acme::{Account, CertificateIdentifier, Error as Acme};
use rustls_pki_types::CertificateDer;

use super::{Failure, Kind, transport::Heard};
use crate::renewal::Window;

/// Asks again as long as the CA refuses its own nonces (RFC 8555 6.5): nothing has happened then.
///
/// A macro, because a function that takes an asynchronous closure gives a future of which the
/// compiler cannot see that it may move between threads.
macro_rules! again {
    ($asked:expr) => {{
        let mut left = $crate::acme::directory::NONCES;
        loop {
            match $asked {
                Err(instant_acme::Error::Api(problem))
                    if left > 0 && $crate::acme::failure::name(&problem) == "badNonce" =>
                {
                    left -= 1;
                }
                other => break other,
            }
        }
    }};
}
pub(crate) use again;

/// A CA with an account at it.
pub(crate) struct Desk {
    pub(crate) account: Account,
    pub(crate) name: String,
    heard: Arc<Mutex<Heard>>,
}

/// How often a refused nonce is replaced: a CA behind several machines refuses one now and then.
pub(crate) const NONCES: usize = 16;

impl Desk {
    pub(crate) fn new(account: Account, heard: Arc<Mutex<Heard>>, name: &str) -> Self {
        Self { account, name: name.to_owned(), heard }
    }

    /// What `error` means.
    pub(crate) fn failure(&self, error: &Acme) -> Failure {
        let mut failure = Failure::of(error, &self.name);
        if matches!(failure.kind, Kind::RateLimited | Kind::Unreachable) {
            failure.retry_after = self.retry_after();
        }
        failure
    }

    /// How many seconds the CA asked to wait in its last answer.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).retry_after
    }

    /// Whether the CA has closed the account: it does not even let it write its own address down. It
    /// says the same word of much else.
    pub(crate) async fn is_closed(&self, email: &str) -> bool {
        let contact = format!("mailto:{email}");
        let told = again!(self.account.update_contacts(&[&contact]).await);
        let gone = [Kind::Account, Kind::Unauthorized];
        told.is_err_and(|why| gone.contains(&self.failure(&why).kind))
    }

    /// When the CA would like `certificate` to be renewed, and how long that holds (RFC 9773);
    /// nothing if it does not say.
    pub(crate) async fn suggestion(
        &self,
        certificate: &CertificateDer<'_>,
    ) -> Result<Option<(Window, Duration)>, Failure> {
        let Ok(id) = CertificateIdentifier::try_from(certificate) else { return Ok(None) };
        match self.account.renewal_info(&id).await {
            Ok((info, ask_again)) => {
                let window = info.suggested_window;
                let from = window.start.unix_timestamp();
                Ok(Window::new(from, window.end.unix_timestamp()).map(|it| (it, ask_again)))
            }
            Err(Acme::Unsupported(_)) => Ok(None),
            Err(why) => Err(self.failure(&why)),
        }
    }
}

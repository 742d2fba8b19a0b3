//! Accounts at CAs: made once, kept in the store, made anew when a CA does not know them any more.

use std::sync::{Arc, Mutex};

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};

use super::{Acme, Desk, Directory, Failure, Internet, Kind, directory::again, transport::Polite};
use crate::store::{Found, SetAside, Store};

/// The accounts of this gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounts<'a> {
    pub(crate) store: &'a Store,
    pub(crate) internet: &'a dyn Internet,
}

/// An account as it is kept.
#[derive(Deserialize, Serialize)]
struct Kept {
    email: String,
    credentials: AccountCredentials,
}

impl Accounts<'_> {
    /// Goes to `directory` with the account there, which is made if there is none; and tells of a
    /// file that had to be set aside.
    pub(crate) async fn open(
        &self,
        directory: &Directory,
        acme: &Acme,
    ) -> (Result<Desk, Failure>, Option<SetAside>) {
        let Found { value, aside } = self.store.account::<Kept>(&directory.url);
        let opened = match value {
            Some(kept) => self.enter(directory, acme, kept).await,
            None => self.register(directory, acme).await,
        };
        (opened, aside)
    }

    async fn enter(&self, directory: &Directory, acme: &Acme, kept: Kept) -> Result<Desk, Failure> {
        let heard = Arc::default();
        let builder = Account::builder_with_http(self.way(directory, &heard)?);
        let account = builder.from_credentials(kept.credentials).await;
        let account = account.map_err(|why| Failure::of(&why, &directory.name))?;
        let desk = Desk::new(account, heard, &directory.name);
        if kept.email != acme.email {
            self.write_elsewhere(&desk, directory, acme).await;
        }
        Ok(desk)
    }

    /// Tells the CA another address. If it does not take it, the old one stays, and is tried to be
    /// changed the next time: no certificate has to wait for that.
    async fn write_elsewhere(&self, desk: &Desk, directory: &Directory, acme: &Acme) {
        let contact = format!("mailto:{}", acme.email);
        let told = desk.account.update_contacts(&[&contact]).await;
        let Found { value: Some(kept), .. } = self.store.account::<Kept>(&directory.url) else {
            return;
        };
        if let Err(why) = told {
            tracing::warn!(directory = directory.name, error = %why, "the contact was not changed");
            return;
        }
        let kept = Kept { email: acme.email.clone(), ..kept };
        if let Err(why) = self.store.keep_account(&directory.url, &kept) {
            tracing::warn!(error = %why, "the account could not be written");
        }
    }

    async fn register(&self, directory: &Directory, acme: &Acme) -> Result<Desk, Failure> {
        let heard = Arc::default();
        let contact = format!("mailto:{}", acme.email);
        let contact = if acme.email.is_empty() { vec![] } else { vec![contact.as_str()] };
        let account = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let external = directory.external.as_ref();
        let external = external.map(|it| ExternalAccountKey::new(it.id.clone(), &it.key));
        // Each try needs another builder, and has another key.
        let made = again!({
            let builder = Account::builder_with_http(self.way(directory, &heard)?);
            builder.create(&account, directory.url.clone(), external.as_ref()).await
        });
        let (account, credentials) = made.map_err(|why| {
            let failure = Failure::of(&why, &directory.name);
            match (failure.kind, external.is_some()) {
                // There is no account yet: what is not authorized is what it is bound to.
                (Kind::Unauthorized, true) => Failure::new(
                    Kind::Refused,
                    format!("{}: are `key_id` and `hmac_key` right?", failure.words),
                ),
                _ => failure,
            }
        })?;
        let kept = Kept { email: acme.email.clone(), credentials };
        // An account that cannot be kept serves this once.
        if let Err(why) = self.store.keep_account(&directory.url, &kept) {
            tracing::warn!(error = %why, "the account could not be written");
        }
        Ok(Desk::new(account, heard, &directory.name))
    }

    fn way(
        &self,
        directory: &Directory,
        heard: &Arc<Mutex<super::transport::Heard>>,
    ) -> Result<Box<dyn instant_acme::HttpClient>, Failure> {
        let way = self.internet.way(directory);
        let way = way.map_err(|why| Failure::new(Kind::Ours, why.to_string()))?;
        Ok(Box::new(Polite::new(way, Arc::clone(heard))))
    }
}

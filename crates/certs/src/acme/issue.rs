//! One order, from its making to the certificate. It is written down when it is made, so that a
//! process that is killed in between takes it up again.

use std::{sync::Arc, time::Duration};

use instant_acme::{
    CertificateIdentifier, Error as AcmeError, Identifier, NewOrder, Order, OrderStatus, Problem,
    RevocationReason, RevocationRequest,
};
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    Acme, Challenge, Challenges, Desk, Directory, Failure, Kind, address,
    directory::again,
    failure::{detail, name},
    show::show,
};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    key::signing_request,
    store::{OpenOrder, Record, Store, chain},
};

/// What an order is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errand<'a> {
    pub(crate) host: &'a str,
    pub(crate) acme: &'a Acme,
    pub(crate) directory: &'a Directory,
    /// The certificate that is to be replaced, where the CA issued it.
    pub(crate) replaces: Option<&'a CertificateDer<'static>>,
    pub(crate) challenges: &'a Arc<Challenges>,
    pub(crate) store: &'a Store,
    /// Whether nobody will ever trust what is issued.
    pub(crate) rehearsal: bool,
    pub(crate) now: i64,
}

impl Errand<'_> {
    /// Whether the CA counts challenges that fail: not where failing is what it is for.
    fn counted(&self) -> bool {
        !self.rehearsal
    }
}

/// What an order brought.
pub(crate) struct Issued {
    /// PEM.
    pub(crate) chain: String,
    /// PEM.
    pub(crate) key: Zeroizing<String>,
    /// What showed control of the host; nothing if the CA still knew.
    pub(crate) challenge: Option<Challenge>,
}

/// How long a CA may take to try a challenge, and to issue. Let's Encrypt takes seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// The first and the longest pause between two looks at what a CA does.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// How long an order is worth taking up again, in seconds. Let's Encrypt's live for a week.
const STILL_OPEN: i64 = 86_400;

/// How often an order is taken up again before another one is made.
const TRIES: u32 = 8;

/// Gets a certificate, trying one challenge after the other.
pub(crate) async fn issue(
    errand: Errand<'_>,
    desk: &Desk,
    record: &mut Record,
) -> Result<Issued, Failure> {
    let url = errand.directory.url.as_str();
    let fitting = |it: &Challenge| it.fits(errand.host);
    let mut challenges: Vec<_> = errand.acme.challenges.iter().copied().filter(fitting).collect();
    // What did it the last time does it again.
    challenges.sort_by_key(|it| record.challenge != Some(*it));
    let none = format!("no challenge of the policy can show control of {}", errand.host);
    let mut last = Failure::new(Kind::Ours, none);
    for challenge in challenges {
        if let Some(left) = errand.counted().then(|| record.must_rest(url, errand.now)).flatten() {
            if last.kind != Kind::Challenge {
                let (name, minutes) = (&errand.directory.name, left / 60 + 1);
                let words = format!("challenges failed at {name} too often: not for {minutes} min");
                last = Failure::new(Kind::Resting, words);
            }
            break;
        }
        match order(errand, desk, record, challenge).await {
            Err(failure) if failure.kind == Kind::Challenge => {
                record.lost.entry(url.to_owned()).or_default().push(errand.now);
                let words = match last.kind {
                    Kind::Challenge => format!("{}; {}", last.words, failure.words),
                    _ => failure.words,
                };
                last = Failure { words, ..failure };
            }
            other => return other,
        }
    }
    Err(last)
}

async fn order(
    errand: Errand<'_>,
    desk: &Desk,
    record: &mut Record,
    challenge: Challenge,
) -> Result<Issued, Failure> {
    let (mut order, key) = match take_up(errand, desk, record).await? {
        Some(open) => open,
        None => make(errand, desk, record).await?,
    };
    let done = finish(errand, desk, &mut order, &key, challenge).await;
    match &done {
        // It may come to its end yet: the CA is asked for the same order again.
        Err(failure) if matches!(failure.kind, Kind::Unreachable | Kind::RateLimited) => {}
        // It stays until the certificate is written down.
        Ok(_) => {}
        Err(_) => drop(record.orders.remove(&errand.directory.url)),
    }
    let (chain, used) = done?;
    Ok(Issued { chain, key, challenge: used })
}

/// The order that was not finished the last time, if there is one here and it still can be.
async fn take_up(
    errand: Errand<'_>,
    desk: &Desk,
    record: &mut Record,
) -> Result<Option<(Order, Zeroizing<String>)>, Failure> {
    let Some(open) = record.orders.get_mut(&errand.directory.url) else { return Ok(None) };
    open.tries += 1;
    let age = errand.now.saturating_sub(open.made);
    let same = open.profile == errand.directory.profile && open.key_kind == errand.acme.key.name();
    if same && open.tries <= TRIES && (0..STILL_OPEN).contains(&age) {
        let found = again!(desk.account.order(open.url.clone()).await);
        match found.map_err(|why| desk.failure(&why)) {
            Ok(mut order) => {
                if order.state().status != OrderStatus::Invalid {
                    return Ok(Some((order, open.key.clone())));
                }
            }
            Err(failure) if matches!(failure.kind, Kind::Unreachable | Kind::RateLimited) => {
                return Err(failure);
            }
            Err(_) => {}
        }
    }
    record.orders.remove(&errand.directory.url);
    Ok(None)
}

async fn make(
    errand: Errand<'_>,
    desk: &Desk,
    record: &mut Record,
) -> Result<(Order, Zeroizing<String>), Failure> {
    let ours = |why: &crate::Error| Failure::new(Kind::Ours, chain(why));
    // RSA takes its time, and there is only one thread here.
    let kind = errand.acme.key;
    let made = spawn_blocking(move || kind.generate().map(forgotten)).await;
    let made = made.map_err(|why| Failure::new(Kind::Ours, why.to_string()))?;
    let key = made.map_err(|why| ours(&why))?;
    let identifiers = [match address(errand.host) {
        Some(address) => Identifier::Ip(address),
        None => Identifier::Dns(errand.host.to_owned()),
    }];
    let with = |replaces: Option<CertificateIdentifier<'static>>| {
        let order = NewOrder::new(&identifiers);
        let order = match replaces {
            Some(replaced) => order.replaces(replaced),
            None => order,
        };
        match &errand.directory.profile {
            Some(profile) => order.profile(profile),
            None => order,
        }
    };
    let replaced = errand.replaces.and_then(|it| CertificateIdentifier::try_from(it).ok());
    let replaced = replaced.map(CertificateIdentifier::into_owned);
    let first = with(replaced.clone());
    let mut made = again!(desk.account.new_order(&first).await);
    if replaced.is_some() && made.as_ref().is_err_and(not_for_replacing) {
        let plain = with(None);
        made = again!(desk.account.new_order(&plain).await);
    }
    let order = made.map_err(|why| desk.failure(&why))?;
    let open = OpenOrder {
        url: order.url().to_owned(),
        key: key.clone(),
        profile: errand.directory.profile.clone(),
        key_kind: errand.acme.key.name().to_owned(),
        made: errand.now,
        tries: 0,
    };
    record.orders.insert(errand.directory.url.clone(), open);
    // Without it a killed process orders again: that is a pity and no reason to stop.
    if let Err(why) = errand.store.keep_record(errand.host, record) {
        tracing::warn!(error = %chain(&why), "the order could not be written down");
    }
    Ok((order, key))
}

/// A key as it is written down; what it was made of is forgotten.
fn forgotten(mut key: KeyPair) -> Zeroizing<String> {
    let pem = Zeroizing::new(key.serialize_pem());
    key.zeroize();
    pem
}

/// Whether an order failed for what it said of the certificate that it replaces: the CA has no
/// renewal information, or does not know the certificate, or has replaced it already. RFC 9773 5
/// lets a client order without.
fn not_for_replacing(error: &AcmeError) -> bool {
    match error {
        AcmeError::Unsupported(_) => true,
        AcmeError::Api(problem) => {
            let said = name(problem);
            matches!(said, "alreadyReplaced" | "malformed" | "unauthorized" | "notFound")
        }
        AcmeError::Other(why) => why.to_string().contains("replaces"),
        _ => false,
    }
}

async fn finish(
    errand: Errand<'_>,
    desk: &Desk,
    order: &mut Order,
    key: &str,
    challenge: Challenge,
) -> Result<(String, Option<Challenge>), Failure> {
    // A CA may look more than once: the answer stays until it has issued.
    let step = show(errand, desk, order, challenge).await?;
    let used = step.is_some().then_some(challenge);
    let certificate = fetch(errand, desk, order, key).await;
    if let Some(step) = step {
        step.end().await;
    }
    Ok((certificate?, used))
}

/// Asks for the certificate, and waits for it.
async fn fetch(
    errand: Errand<'_>,
    desk: &Desk,
    order: &mut Order,
    key: &str,
) -> Result<String, Failure> {
    let request = {
        let ours = |why: String| Failure::new(Kind::Ours, why);
        let key = KeyPair::from_pem(key).map(Zeroizing::new);
        let key = key.map_err(|why| ours(why.to_string()))?;
        signing_request(errand.host, &key).map_err(|why| ours(chain(&why)))?
    };
    let certificate = async {
        let mut pause = FIRST_LOOK;
        loop {
            let state = again!(order.refresh().await.map(|state| state.status));
            match state.map_err(|why| desk.failure(&why))? {
                OrderStatus::Ready => {
                    match again!(order.finalize_csr(&request).await) {
                        // It is on its way already.
                        Err(AcmeError::Api(problem)) if name(&problem) == "orderNotReady" => {}
                        done => done.map_err(|why| desk.failure(&why))?,
                    }
                }
                OrderStatus::Valid => {
                    let fetched = again!(order.certificate().await);
                    // What is no certificate now will not be one later.
                    let fetched = fetched.map_err(|why| match why {
                        AcmeError::Str(_) => {
                            let words = format!("{} issued what cannot be used: {why}", desk.name);
                            Failure::new(Kind::Order, words)
                        }
                        why => desk.failure(&why),
                    })?;
                    if let Some(chain) = fetched {
                        return Ok(chain);
                    }
                }
                OrderStatus::Invalid => return Err(given_up(desk, order.state().error.as_ref())),
                OrderStatus::Pending | OrderStatus::Processing => {}
            }
            wait(&mut pause, desk).await;
        }
    };
    let late = |_| {
        let words = format!("{} did not issue within {} s", desk.name, PATIENCE.as_secs());
        Failure::new(Kind::Unreachable, words)
    };
    timeout(PATIENCE, certificate).await.map_err(late)?
}

/// What a CA says of an order that it gave up. That is about the order: where something is not
/// authorized, it is not the account.
fn given_up(desk: &Desk, problem: Option<&Problem>) -> Failure {
    let failure = problem.map(|problem| desk.failure(&AcmeError::Api(problem.clone())));
    match failure {
        Some(failure) if failure.kind != Kind::Unauthorized => failure,
        Some(_) | None => {
            let said = problem.map_or_else(|| "it does not say why".to_owned(), detail);
            Failure::new(Kind::Order, format!("{} gave the order up ({said})", desk.name))
        }
    }
}

/// Waits a little longer each time, and as long as the CA asks for, within reason.
pub(super) async fn wait(pause: &mut Duration, desk: &Desk) {
    let asked = desk.retry_after().map(Duration::from_secs).unwrap_or_default();
    sleep(asked.clamp(*pause, LONGEST_LOOK)).await;
    *pause = (*pause * 2).min(LONGEST_LOOK);
}

/// Tells a CA that a certificate must not be trusted any more.
pub(crate) async fn revoke(
    desk: &Desk,
    certificate: &CertificateDer<'static>,
    reason: RevocationReason,
) -> Result<(), Failure> {
    let request = RevocationRequest { certificate, reason: Some(reason) };
    match again!(desk.account.revoke(&request).await) {
        Err(AcmeError::Api(problem)) if name(&problem) == "alreadyRevoked" => Ok(()),
        revoked => revoked.map_err(|why| desk.failure(&why)),
    }
}

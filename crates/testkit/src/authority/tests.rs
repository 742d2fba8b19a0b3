//! The authority as `instant-acme` sees it when it behaves.

mod forged;
mod mischief;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use gateway_certs::Clock;
use instant_acme::{
    Account, AccountCredentials, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy, RevocationReason,
    RevocationRequest,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

use super::{Ask, FakeAuthority, Validate, Verdict, most_within, window};
use crate::MovedClock;

const PATIENT: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(600));

/// An authority and a clock that move with tokio's time.
fn authority() -> (FakeAuthority, Arc<MovedClock>) {
    let clock = Arc::new(MovedClock::default());
    (FakeAuthority::new(clock.clone()), clock)
}

fn dns(name: &str) -> Identifier {
    Identifier::Dns(name.to_owned())
}

async fn make_account(
    authority: &FakeAuthority,
    external: Option<&ExternalAccountKey>,
) -> Result<(Account, AccountCredentials), Error> {
    let contact = ["mailto:team@n8n.test"];
    let account = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    Account::builder_with_http(authority.transport())
        .create(&account, authority.directory().to_owned(), external)
        .await
}

async fn account(authority: &FakeAuthority) -> Account {
    make_account(authority, None).await.expect("an account").0
}

/// Says of each authorization that a challenge is ready.
async fn ready(order: &mut Order, kind: ChallengeType) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let mut challenge = authorization.challenge(kind.clone()).expect("this challenge");
        challenge.set_ready().await?;
    }
    Ok(())
}

/// A request for signing for these names, and its key.
fn request(names: &[&str]) -> (Vec<u8>, KeyPair) {
    let names: Vec<String> = names.iter().map(|&it| it.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().expect("a key");
    (params.serialize_request(&key).expect("a request").der().to_vec(), key)
}

/// From a new order to the file, with the key that the certificate is to be for.
async fn finish(mut order: Order, names: &[&str]) -> Result<(String, KeyPair), Error> {
    ready(&mut order, ChallengeType::Http01).await?;
    assert_eq!(order.poll_ready(&PATIENT).await?, OrderStatus::Ready);
    let (csr, key) = request(names);
    order.finalize_csr(&csr).await?;
    Ok((order.poll_certificate(&PATIENT).await?, key))
}

async fn issue(account: &Account, names: &[&str]) -> Result<(String, KeyPair), Error> {
    let identify = |name: &&str| name.parse().map_or_else(|_| dns(name), Identifier::Ip);
    let identifiers: Vec<Identifier> = names.iter().map(identify).collect();
    finish(account.new_order(&NewOrder::new(&identifiers)).await?, names).await
}

fn chain(file: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(file.as_bytes()).map(|it| it.expect("PEM")).collect()
}

/// Whether a client that trusts this root accepts the file for this host now.
fn accepted(root: CertificateDer<'static>, file: &str, host: &str, now: i64) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().expect("a verifier");
    let chain = chain(file);
    let Some((leaf, rest)) = chain.split_first() else { return false };
    let host = ServerName::try_from(host.to_owned()).expect("a host");
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().expect("a time")));
    verifier.verify_server_cert(leaf, rest, &host, &[], now).is_ok()
}

/// The kind of problem that the authority gave.
fn kind<T>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Api(problem)) => {
            let kind = problem.r#type.unwrap_or_default();
            kind.rsplit(':').next().unwrap_or_default().to_owned()
        }
        Err(other) => format!("{other:?}"),
        Ok(_) => "no error".to_owned(),
    }
}

/// Remembers what it was asked, and takes a while.
#[derive(Default)]
struct Slow {
    asked: Arc<Mutex<Vec<Ask>>>,
}

impl Validate for Slow {
    fn validate(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Verdict> + Send>> {
        let asked = self.asked.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let verdict = match ask.identifier.starts_with("lost") {
                true => Err(("unauthorized", "nothing there".to_owned())),
                false => Ok(()),
            };
            asked.lock().expect("no panic").push(ask);
            verdict
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_and_an_address_get_a_certificate() {
    let (authority, clock) = authority();
    let account = account(&authority).await;
    let names = ["n8n.test", "192.0.2.7", "2001:db8::7"];
    let (file, key) = issue(&account, &names).await.expect("a certificate");
    for name in names {
        assert!(accepted(authority.root(), &file, name, clock.now()), "{name}");
    }
    assert!(!accepted(authority.root(), &file, "other.test", clock.now()));
    let chain = chain(&file);
    assert_eq!(chain.len(), 2);
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).expect("a certificate");
    assert_eq!(&*leaf.public_key().subject_public_key.data, key.der_bytes());
    assert_eq!(leaf.validity().not_before.timestamp(), clock.now() - 3600);

    let seen = authority.seen();
    assert_eq!((seen.directories, seen.accounts.len(), seen.certificates.len()), (1, 1, 1));
    assert_eq!(seen.orders[0].identifiers, names);
    assert_eq!(seen.certificates[0].leaf, chain[0]);
    assert_eq!((seen.validations_by("http-01"), seen.validations_by("dns-01")), (3, 0));
    assert_eq!(authority.requests(), seen.requests);
    authority.new_root();
    assert!(!accepted(authority.root(), &file, "n8n.test", clock.now()));
    let (file, _) = issue(&account, &["n8n.test"]).await.expect("another");
    assert!(accepted(authority.root(), &file, "n8n.test", clock.now()));
}

#[tokio::test(start_paused = true)]
async fn challenges_are_looked_at_with_the_key_authorization() {
    let (authority, _) = authority();
    let slow = Slow::default();
    let asked = slow.asked.clone();
    authority.validator(Arc::new(slow));
    let account = account(&authority).await;
    let mut order = account.new_order(&NewOrder::new(&[dns("*.n8n.test")])).await.expect("taken");
    let expected = {
        let mut authorizations = order.authorizations();
        let mut authorization = authorizations.next().await.expect("one").expect("sound");
        assert!(authorization.wildcard);
        assert_eq!(authorization.challenges.len(), 1, "a wildcard is won through the DNS alone");
        let challenge = authorization.challenge(ChallengeType::Dns01).expect("a challenge");
        challenge.key_authorization().as_str().to_owned()
    };
    ready(&mut order, ChallengeType::Dns01).await.expect("ready");
    assert_eq!(order.refresh().await.expect("a state").status, OrderStatus::Pending);
    assert_eq!(order.poll_ready(&PATIENT).await.expect("an end"), OrderStatus::Ready);
    let asked = asked.lock().expect("no panic").clone();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].challenge, asked[0].identifier.as_str()), ("dns-01", "n8n.test"));
    assert_eq!(asked[0].key_authorization, expected);

    let mut order = account.new_order(&NewOrder::new(&[dns("lost.test")])).await.expect("taken");
    ready(&mut order, ChallengeType::TlsAlpn01).await.expect("ready");
    assert_eq!(order.poll_ready(&PATIENT).await.expect("an end"), OrderStatus::Invalid);
    assert_eq!(authority.seen().failures_of("lost.test").len(), 1);
    let (csr, _) = request(&["lost.test"]);
    assert_eq!(kind(order.finalize_csr(&csr).await), "orderNotReady");
}

#[tokio::test(start_paused = true)]
async fn an_account_is_found_again_bound_and_deactivated() {
    let (authority, _) = authority();
    authority.external_account("kid-1", b"secret");
    assert_eq!(kind(make_account(&authority, None).await), "externalAccountRequired");
    for (kid, secret) in [("kid-2", &b"secret"[..]), ("kid-1", b"guess")] {
        let key = ExternalAccountKey::new(kid.to_owned(), secret);
        assert_eq!(kind(make_account(&authority, Some(&key)).await), "unauthorized");
    }
    let key = ExternalAccountKey::new("kid-1".to_owned(), b"secret");
    let (account, credentials) = make_account(&authority, Some(&key)).await.expect("an account");

    let again = |credentials| {
        Account::builder_with_http(authority.transport()).from_credentials(credentials)
    };
    let found = again(credentials).await.expect("the account");
    assert_eq!(found.id(), account.id());
    found.update_contacts(&["mailto:other@n8n.test"]).await.expect("changed");
    assert_eq!(kind(found.update_contacts(&["tel:1"]).await), "unsupportedContact");
    let key = instant_acme::Key::generate_pkcs8().expect("a key");
    let stranger = Account::builder_with_http(authority.transport())
        .from_key((key.0, key.1.into()), authority.directory().to_owned());
    assert_eq!(kind(stranger.await), "accountDoesNotExist");
    found.deactivate().await.expect("deactivated");
    assert_eq!(kind(account.new_order(&NewOrder::new(&[dns("n8n.test")])).await), "unauthorized");
    assert_eq!(authority.seen().accounts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn renewal_is_suggested_and_replaces() {
    let (authority, clock) = authority();
    let account = account(&authority).await;
    // Serials with and without a leading bit, so that their encodings differ.
    for _ in 0..4 {
        let (file, _) = issue(&account, &["n8n.test"]).await.expect("a certificate");
        let id = CertificateIdentifier::try_from(&chain(&file)[0]).expect("an id").into_owned();
        assert_eq!(authority.seen().certificates.last().expect("one").id, id.to_string());
    }
    let (file, _) = issue(&account, &["n8n.test"]).await.expect("a certificate");
    let leaf = chain(&file).remove(0);
    let id = CertificateIdentifier::try_from(&leaf).expect("an id").into_owned();
    let (info, after) = account.renewal_info(&id).await.expect("a window");
    // A header in whole seconds, counted from the machine's clock.
    assert!(after > Duration::from_secs(6 * 3600 - 60));
    let start = clock.now() - 3600 + 60 * 86_400;
    let seconds =
        |it: &instant_acme::SuggestedWindow| (it.start.unix_timestamp(), it.end.unix_timestamp());
    assert_eq!(seconds(&info.suggested_window), (start, start + 90 * 86_400 / 24));

    let unknown = CertificateIdentifier { serial: "AAAA".into(), ..id.clone() };
    let names = [dns("n8n.test")];
    let replace = |id: &CertificateIdentifier<'static>| {
        let (account, order) = (account.clone(), NewOrder::new(&names).replaces(id.clone()));
        async move { account.new_order(&order).await }
    };
    assert_eq!(kind(replace(&unknown).await), "malformed");
    let order = replace(&id).await.expect("an order");
    finish(order, &["n8n.test"]).await.expect("a successor");
    assert_eq!(kind(replace(&id).await), "alreadyReplaced");
    assert_eq!(authority.seen().replaces(), [id.to_string()]);

    authority.suggest(window::backwards);
    let (info, _) = account.renewal_info(&id).await.expect("a window");
    assert!(info.suggested_window.end < info.suggested_window.start);
    authority.suggest(window::after_the_end);
    let (info, _) = account.renewal_info(&id).await.expect("a window");
    assert!(seconds(&info.suggested_window).0 > clock.now() + 90 * 86_400 - 3600);

    let reason = Some(RevocationReason::Superseded);
    let revocation = RevocationRequest { certificate: &leaf, reason };
    account.revoke(&revocation).await.expect("revoked");
    assert_eq!(kind(account.revoke(&revocation).await), "alreadyRevoked");
    let (info, _) = account.renewal_info(&id).await.expect("a window");
    assert!(info.suggested_window.end.unix_timestamp() < clock.now());
    assert_eq!(authority.seen().revocations.len(), 1);
    assert_eq!(authority.seen().renewal_infos.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn profiles_and_limits_to_addresses() {
    let (authority, clock) = authority();
    authority.addresses_under("shortlived");
    let account = account(&authority).await;
    let mut known: Vec<_> = account.profiles().map(|it| it.name).collect();
    known.sort_unstable();
    assert_eq!(known, ["classic", "shortlived", "tlsserver"]);
    let address = [Identifier::Ip([192, 0, 2, 7].into())];
    let order = NewOrder::new(&address);
    assert_eq!(kind(account.new_order(&order).await), "rejectedIdentifier");
    assert_eq!(kind(account.new_order(&order.profile("none")).await), "invalidProfile");
    let order = NewOrder::new(&address).profile("shortlived");
    let mut order = account.new_order(&order).await.expect("an order");
    assert_eq!(order.state().profile.as_deref(), Some("shortlived"));
    let (file, _) = finish(order, &["192.0.2.7"]).await.expect("a certificate");
    let chain = chain(&file);
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).expect("a certificate");
    assert_eq!(leaf.validity().not_after.timestamp(), clock.now() - 3600 + 160 * 3600);
}

#[tokio::test(start_paused = true)]
async fn authorizations_are_taken_again_and_given_up() {
    let (authority, _) = authority();
    authority.reuse_authorizations(true);
    let account = account(&authority).await;
    let names = [dns("n8n.test")];
    let mut order = account.new_order(&NewOrder::new(&names)).await.expect("an order");
    ready(&mut order, ChallengeType::Http01).await.expect("ready");
    assert_eq!(order.poll_ready(&PATIENT).await.expect("an end"), OrderStatus::Ready);
    let mut order = account.new_order(&NewOrder::new(&names)).await.expect("an order");
    assert_eq!(order.state().status, OrderStatus::Ready);
    let (csr, _) = request(&["n8n.test", "more.test"]);
    assert_eq!(kind(order.finalize_csr(&csr).await), "badCSR");
    let mut authorizations = order.authorizations();
    let mut first = authorizations.next().await.expect("one").expect("sound");
    first.deactivate().await.expect("given up");
    assert_eq!(order.refresh().await.expect("a state").status, OrderStatus::Invalid);
}

#[tokio::test(start_paused = true)]
async fn authorities_are_told_apart_by_host() {
    let clock = Arc::new(MovedClock::default());
    let one = FakeAuthority::new(clock.clone());
    let two = FakeAuthority::named("staging.test", clock);
    let both = [one.clone(), two.clone()];
    let new =
        NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    for authority in &both {
        let account = Account::builder_with_http(FakeAuthority::network(&both));
        let made = account.create(&new, authority.directory().to_owned(), None).await;
        assert!(made.is_ok());
        assert_eq!(authority.seen().accounts.len(), 1);
    }
    assert_ne!(one.root(), two.root());
    let account = Account::builder_with_http(one.transport());
    assert!(account.create(&new, two.directory().to_owned(), None).await.is_err());
}

#[test]
fn the_most_within_a_stretch() {
    let within = |seconds| most_within(&[30, 0, 10, 19, 31], Duration::from_secs(seconds));
    assert_eq!((within(1), within(10), within(20), within(100)), (1, 2, 3, 5));
}

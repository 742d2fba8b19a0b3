//! Each mischief at least once, and what a caller of `instant-acme` sees of it.

use tokio::time::{Instant, timeout};

use super::*;
use crate::authority::{Endpoint, Nonces, Trouble, Wrong};

const NAMES: [&str; 1] = ["n8n.test"];

async fn new_order(account: &Account) -> Result<Order, Error> {
    account.new_order(&NewOrder::new(&[dns("n8n.test")])).await
}

#[tokio::test(start_paused = true)]
async fn trouble_with_the_connection() {
    let (authority, _) = authority();
    let account = account(&authority).await;
    let all = [
        (Trouble::Down, "HTTP"),
        (Trouble::Garbage, "garbage"),
        (Trouble::Status(503), "a page"),
        (Trouble::Lost, "HTTP"),
    ];
    for (trouble, what) in all {
        authority.misbehave(|it| {
            it.at.insert(Endpoint::NewOrder, trouble);
        });
        let error = new_order(&account).await.map(|_| ()).expect_err(what);
        match trouble {
            Trouble::Down | Trouble::Lost => assert!(matches!(error, Error::Other(_)), "{error:?}"),
            _ => assert!(matches!(error, Error::Json(_)), "{error:?}"),
        }
    }
    // The last one was taken although its answer was lost.
    assert_eq!(authority.seen().orders.len(), 1);
    authority.misbehave(|it| it.everywhere = Some(Trouble::Hangs));
    authority.misbehave(|it| it.at.clear());
    assert!(timeout(Duration::from_secs(3600), new_order(&account)).await.is_err());
    assert!(timeout(Duration::from_secs(60), make_account(&authority, None)).await.is_err());
    authority.misbehave(|it| it.everywhere = Some(Trouble::Status(500)));
    let error = make_account(&authority, None).await.map(|_| ()).expect_err("a page");
    assert!(matches!(error, Error::Json(_)), "{error:?}");
    // No nonce is given then, and it is not the page that is complained of.
    let error = new_order(&account).await.map(|_| ()).expect_err("a page");
    assert!(matches!(error, Error::Str("error response from newNonce resource")), "{error:?}");
    authority.behave();
    issue(&account, &NAMES).await.expect("a certificate");
}

#[tokio::test(start_paused = true)]
async fn nonces_are_called_bad() {
    let (authority, _) = authority();
    authority.misbehave(|it| it.nonces = Nonces::EverySecond);
    let account = account(&authority).await;
    issue(&account, &NAMES).await.expect("a certificate");
    authority.misbehave(|it| it.nonces = Nonces::Rejected(2));
    assert!(new_order(&account).await.is_ok());
    authority.misbehave(|it| it.nonces = Nonces::Rejected(3));
    assert_eq!(kind(new_order(&account).await), "badNonce");
    assert!(new_order(&account).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn limits_lost_challenges_and_requests_refused() {
    let (authority, _) = authority();
    let account = account(&authority).await;
    authority.misbehave(|it| it.rate_limited = Some(Duration::from_secs(3600)));
    assert_eq!(kind(new_order(&account).await), "rateLimited");
    assert_eq!((authority.seen().limited.len(), authority.seen().orders.len()), (1, 0));
    authority.behave();
    for failure in ["connection", "dns", "caa", "unauthorized", "tls"] {
        authority.misbehave(|it| it.fails_authorizations = Some((failure, "as told")));
        let mut order = new_order(&account).await.expect("an order");
        ready(&mut order, ChallengeType::Http01).await.expect("ready");
        assert_eq!(order.poll_ready(&PATIENT).await.expect("an end"), OrderStatus::Invalid);
        // Why it is invalid is not in the order, but in the challenge.
        let mut authorizations = order.authorizations();
        let mut authorization = authorizations.next().await.expect("one").expect("sound");
        let state = authorization.refresh().await.expect("a state");
        let mut problems = state.challenges.iter().filter_map(|it| it.error.clone());
        let problem = problems.next().expect("a problem").r#type.expect("a kind");
        assert_eq!(problem, format!("urn:ietf:params:acme:error:{failure}"));
    }
    assert_eq!(authority.seen().failures_of("n8n.test").len(), 5);
    authority.behave();
    authority.misbehave(|it| it.bad_csr = true);
    assert_eq!(kind(issue(&account, &NAMES).await.map(|_| ())), "badCSR");
}

#[tokio::test(start_paused = true)]
async fn accounts_are_forgotten_or_ended() {
    let (authority, _) = authority();
    let before = account(&authority).await;
    authority.forget_accounts();
    assert_eq!(kind(new_order(&before).await), "accountDoesNotExist");
    let after = account(&authority).await;
    assert!(new_order(&after).await.is_ok());
    authority.revoke_accounts();
    assert_eq!(kind(new_order(&after).await), "unauthorized");
    assert_eq!(authority.seen().accounts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn orders_take_their_time() {
    let (authority, _) = authority();
    let account = account(&authority).await;
    let began = Instant::now();
    authority.misbehave(|it| it.processing = Duration::from_secs(60));
    issue(&account, &NAMES).await.expect("a certificate");
    assert!(began.elapsed() > Duration::from_secs(60));
    // `Retry-After` is waited for in tokio's time.
    authority.misbehave(|it| it.processing = Duration::ZERO);
    authority.misbehave(|it| it.retry_after = Some(Duration::from_secs(90)));
    authority.validator(Arc::new(Slow::default()));
    let began = Instant::now();
    issue(&account, &NAMES).await.expect("a certificate");
    assert!(began.elapsed() > Duration::from_secs(80), "{:?}", began.elapsed());
    authority.behave();
    authority.misbehave(|it| it.pending_for_ever = true);
    let mut order = new_order(&account).await.expect("an order");
    ready(&mut order, ChallengeType::Http01).await.expect("ready");
    let error = order.poll_ready(&PATIENT).await.expect_err("no end");
    assert!(matches!(error, Error::Timeout(None)), "{error:?}");
    authority.misbehave(|it| it.retry_after = Some(Duration::from_secs(3600)));
    let error = order.poll_ready(&PATIENT).await.expect_err("no end");
    assert!(matches!(error, Error::Timeout(Some(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn certificates_are_wrong() {
    let (authority, clock) = authority();
    let account = account(&authority).await;
    let all =
        [Wrong::Empty, Wrong::Expired, Wrong::Garbage, Wrong::Host, Wrong::Key, Wrong::LeafOnly];
    for wrong in all {
        authority.misbehave(|it| it.certificate = Some(wrong));
        let outcome = issue(&account, &NAMES).await;
        if wrong == Wrong::Garbage {
            let error = outcome.map(|_| ()).expect_err("no text");
            assert!(matches!(error, Error::Str("unable to decode certificate as UTF-8")));
            continue;
        }
        let (file, key) = outcome.expect("a file");
        let accepted = |host| accepted(authority.root(), &file, host, clock.now());
        match wrong {
            Wrong::Empty => assert_eq!(file, ""),
            Wrong::Host => assert!(accepted("wrong.test") && !accepted("n8n.test")),
            Wrong::Key => {
                assert!(accepted("n8n.test"));
                let leaf = chain(&file).remove(0);
                let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).expect("a certificate");
                assert_ne!(&*leaf.public_key().subject_public_key.data, key.der_bytes());
            }
            Wrong::Expired | Wrong::LeafOnly | Wrong::Garbage => assert!(!accepted("n8n.test")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn renewal_information_fails() {
    let (authority, clock) = authority();
    let first = account(&authority).await;
    let (file, _) = issue(&first, &NAMES).await.expect("a certificate");
    let id = CertificateIdentifier::try_from(&chain(&file)[0]).expect("an id").into_owned();
    authority.suggest(window::past);
    let (info, _) = first.renewal_info(&id).await.expect("a window");
    assert!(info.suggested_window.end.unix_timestamp() < clock.now());
    authority.misbehave(|it| it.renewal_retry_after = None);
    let missing = |error: &Error| matches!(error, Error::Str("missing Retry-After header"));
    assert!(missing(&first.renewal_info(&id).await.expect_err("no header")));
    // A failure without the header, and a certificate that is unknown, look the same.
    authority.behave();
    authority.misbehave(|it| {
        it.at.insert(Endpoint::RenewalInfo, Trouble::Status(503));
    });
    assert!(missing(&first.renewal_info(&id).await.expect_err("a page")));
    authority.behave();
    let unknown = CertificateIdentifier { serial: "AAAA".into(), ..id.clone() };
    assert!(missing(&first.renewal_info(&unknown).await.expect_err("unknown")));
    authority.suggest(window::usual);
    authority.revoke_certificates();
    let (info, _) = first.renewal_info(&id).await.expect("a window");
    assert!(info.suggested_window.end.unix_timestamp() < clock.now());
    authority.misbehave(|it| it.no_renewal_info = true);
    let other = account(&authority).await;
    let error = other.renewal_info(&id).await.expect_err("no such part");
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    let names = [dns("n8n.test")];
    let order = NewOrder::new(&names).replaces(id);
    assert!(matches!(other.new_order(&order).await, Err(Error::Unsupported(_))));
}

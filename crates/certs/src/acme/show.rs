//! Control of a host is shown: an answer is published, the CA is told to look, and what it finds is
//! waited for.

use std::time::Duration;

use instant_acme::{AuthorizationStatus, ChallengeStatus, Error as AcmeError, Order, Problem};
use tokio::time::{sleep, timeout};

use super::{
    Challenge, Desk, DnsError, Failure, Kind, Published,
    directory::again,
    dns::Record as TxtRecord,
    failure::name,
    issue::{Errand, FIRST_LOOK, PATIENCE, wait},
};
use crate::store::chain;

/// Shows control of the host, unless the CA still knows it from lately; the answer stays published
/// until what is given back has ended. An order for one host has one authorization.
pub(super) async fn show<'a>(
    errand: Errand<'a>,
    desk: &'a Desk,
    order: &mut Order,
    challenge: Challenge,
) -> Result<Option<Step<'a>>, Failure> {
    let fetched = again!(order.authorizations().next().await.transpose().map(drop));
    fetched.map_err(|why| desk.failure(&why))?;
    let Some(step) = Step::begin(errand, desk, order, challenge).await? else { return Ok(None) };
    match step.run(order).await {
        Ok(()) => Ok(Some(step)),
        Err(failure) => {
            step.end().await;
            Err(failure)
        }
    }
}

/// How a CA finds an authorization.
enum Said {
    Valid,
    /// It waits for the word to look.
    Waiting,
    /// It looks.
    Looking,
    Refused(Option<Problem>),
}

/// How often the word to look is given, where it seems to be lost on its way: each is another look of
/// the CA's, and counts.
const WORDS: u32 = 3;

/// How long to wait before it is given again.
const LOST: Duration = Duration::from_secs(10);

/// An authorization that is being shown.
pub(super) struct Step<'a> {
    errand: Errand<'a>,
    desk: &'a Desk,
    challenge: Challenge,
    _published: Option<Published>,
    txt: Option<TxtRecord<'a>>,
}

impl<'a> Step<'a> {
    /// Publishes the answer; nothing if the authorization is valid already.
    async fn begin(
        errand: Errand<'a>,
        desk: &'a Desk,
        order: &mut Order,
        challenge: Challenge,
    ) -> Result<Option<Self>, Failure> {
        let mut all = order.authorizations();
        let first = all.next().await.transpose().map_err(|why| desk.failure(&why))?;
        let Some(mut authorization) = first else { return Ok(None) };
        if authorization.status == AuthorizationStatus::Valid {
            return Ok(None);
        }
        let not_offered = || {
            let words = format!("{} does not offer {} here", desk.name, challenge.name());
            Failure::new(Kind::Challenge, words)
        };
        let handle = authorization.challenge(challenge.kind()).ok_or_else(not_offered)?;
        let answer = handle.key_authorization();
        let ours = |why: String| Failure::new(Kind::Ours, why);
        let (mut published, mut txt) = (None, None);
        match challenge {
            Challenge::Http01 => {
                published = Some(errand.challenges.publish_file(&handle.token, answer.as_str()));
            }
            Challenge::TlsAlpn01 => {
                let digest = answer.digest();
                let shown = errand.challenges.publish_certificate(errand.host, digest.as_ref());
                published = Some(shown.map_err(|why| ours(chain(&why)))?);
            }
            Challenge::Dns01 => {
                let dns = errand.acme.dns.as_ref();
                let dns = dns.ok_or_else(|| ours("`tls.acme.dns` is missing".to_owned()))?;
                let record = TxtRecord::publish(dns, errand.host, &answer.dns_value()).await;
                let unpublished = |why: DnsError| Failure::new(Kind::Challenge, why.to_string());
                txt = Some(record.map_err(unpublished)?);
            }
        }
        Ok(Some(Self { errand, desk, challenge, _published: published, txt }))
    }

    /// Lets the CA look, and waits for what it says.
    async fn run(&self, order: &mut Order) -> Result<(), Failure> {
        let decided = async {
            let (mut pause, mut words, mut told) = (FIRST_LOOK, 0, false);
            loop {
                let said = again!(self.said(order).await);
                match said.map_err(|why| self.desk.failure(&why))? {
                    Said::Valid => return Ok(()),
                    Said::Refused(problem) => {
                        let (challenge, host) = (self.challenge, self.errand.host);
                        return Err(Failure::challenge(problem.as_ref(), challenge, host));
                    }
                    // Let's Encrypt looks while the challenge is still pending.
                    Said::Waiting if !told && words < WORDS => {
                        words += 1;
                        told = self.tell(order).await?;
                        if !told {
                            sleep(LOST).await;
                        }
                    }
                    Said::Waiting | Said::Looking => {}
                }
                wait(&mut pause, self.desk).await;
            }
        };
        let late = |_| {
            let words = format!("{} did not look within {} s", self.desk.name, PATIENCE.as_secs());
            Failure::new(Kind::Challenge, words)
        };
        timeout(PATIENCE, decided).await.map_err(late)?
    }

    /// Gives the CA the word to look, and tells whether it has heard it. If it is lost on its way, or
    /// the answer to it, nobody knows.
    async fn tell(&self, order: &mut Order) -> Result<bool, Failure> {
        match again!(self.set_ready(order).await) {
            Ok(()) => Ok(true),
            // It looks already.
            Err(AcmeError::Api(problem)) if name(&problem) == "conflict" => Ok(true),
            Err(why @ AcmeError::Api(_)) => Err(self.refused(&why)),
            Err(_) => Ok(false),
        }
    }

    async fn set_ready(&self, order: &mut Order) -> Result<(), AcmeError> {
        let mut all = order.authorizations();
        let Some(mut authorization) = all.next().await.transpose()? else { return Ok(()) };
        match authorization.challenge(self.challenge.kind()) {
            Some(mut handle) if handle.status == ChallengeStatus::Pending => {
                handle.set_ready().await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How the CA finds the authorization.
    async fn said(&self, order: &mut Order) -> Result<Said, AcmeError> {
        let mut all = order.authorizations();
        let Some(mut authorization) = all.next().await.transpose()? else {
            return Ok(Said::Refused(None));
        };
        let state = authorization.refresh().await?;
        let kind = self.challenge.kind();
        let tried = state.challenges.iter().find(|it| it.r#type == kind);
        let problem = tried.and_then(|it| it.error.clone());
        let waiting = tried.is_some_and(|it| it.status == ChallengeStatus::Pending);
        Ok(match (state.status, problem) {
            (AuthorizationStatus::Valid, _) => Said::Valid,
            (AuthorizationStatus::Pending, None) if waiting => Said::Waiting,
            (AuthorizationStatus::Pending, None) => Said::Looking,
            (_, problem) => Said::Refused(problem),
        })
    }

    /// A CA may refuse a challenge as soon as it hears of it.
    fn refused(&self, error: &AcmeError) -> Failure {
        let failure = self.desk.failure(error);
        match (error, failure.kind) {
            (_, Kind::RateLimited | Kind::Account) => failure,
            (AcmeError::Api(problem), _) => {
                Failure::challenge(Some(problem), self.challenge, self.errand.host)
            }
            _ => failure,
        }
    }

    /// Takes the answer back.
    pub(super) async fn end(self) {
        if let Some(record) = self.txt {
            record.withdraw().await;
        }
    }
}

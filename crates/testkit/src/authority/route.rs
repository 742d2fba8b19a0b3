//! Which part of an authority answers a request, and what every request must be.

use bytes::Bytes;
use http::{HeaderName, Method, Request, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Problem, json as answer, plain, set},
    jws::Jws,
    mischief::Endpoint,
    state::State,
};

const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

impl State {
    /// Answers a request.
    pub(super) fn handle(&mut self, endpoint: Endpoint, request: &Request<Bytes>) -> Answer {
        let path = request.uri().path();
        let rest = path.splitn(3, '/').nth(2).unwrap_or_default();
        let answered = match endpoint {
            Endpoint::Directory | Endpoint::RenewalInfo if request.method() != Method::GET => {
                Err(wrong_method())
            }
            Endpoint::Directory => Ok(self.directory()),
            Endpoint::RenewalInfo => self.renewal_info(rest),
            Endpoint::NewNonce => Ok(plain(StatusCode::OK, "text/plain", "")),
            _ => self.post(endpoint, rest, request),
        };
        let mut answer = answered.unwrap_or_else(Answer::from);
        if !matches!(endpoint, Endpoint::Directory | Endpoint::RenewalInfo) {
            set(&mut answer, REPLAY_NONCE, &self.nonce());
            set(&mut answer, header::CACHE_CONTROL, "no-store");
        }
        answer
    }

    fn directory(&mut self) -> Answer {
        self.seen.directories += 1;
        let profiles: Map<String, Value> = self
            .profiles
            .iter()
            .map(|(name, _)| (name.clone(), format!("{}/profiles#{name}", self.base).into()))
            .collect();
        let mut directory = json!({
            // Clients must stand what they do not know.
            "kWq7bC2mXyE": "https://community.letsencrypt.org/t/33417",
            "meta": {
                "externalAccountRequired": self.external_account.is_some(),
                "profiles": profiles,
                "termsOfService": self.url("terms"),
            },
            "newAccount": self.url("new-account"),
            "newNonce": self.url("new-nonce"),
            "newOrder": self.url("new-order"),
            "revokeCert": self.url("revoke"),
        });
        if !self.mischief.no_renewal_info {
            directory["renewalInfo"] = self.url("renewal-info").into();
        }
        answer(StatusCode::OK, &directory)
    }

    fn post(
        &mut self,
        endpoint: Endpoint,
        rest: &str,
        request: &Request<Bytes>,
    ) -> Result<Answer, Problem> {
        if request.method() != Method::POST {
            return Err(wrong_method());
        }
        let headers = request.headers();
        if headers.get(header::CONTENT_TYPE).is_none_or(|it| it != "application/jose+json") {
            let problem = Problem::malformed("the content type is to be application/jose+json");
            return Err(problem.with(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if headers.get(header::USER_AGENT).is_none() {
            return Err(Problem::malformed("there is no User-Agent"));
        }
        let body = serde_json::from_slice(request.body());
        let jws = Jws::parse(&body.map_err(|_| Problem::malformed("the body is no JSON"))?)?;
        self.spend(jws.header("nonce"))?;
        if jws.header("url") != Some(&request.uri().to_string()) {
            return Err(Problem::new("unauthorized", "the signed URL is another"));
        }
        if endpoint == Endpoint::NewAccount {
            return self.new_account(&jws);
        }
        let caller = self.caller(&jws)?;
        let payload = jws.payload()?;
        match (endpoint, &payload) {
            (Endpoint::Account, payload) => self.account(caller, rest, payload.as_ref()),
            (Endpoint::Authorization, payload) => {
                self.authorization(caller, rest, payload.as_ref())
            }
            (Endpoint::Challenge, payload) => self.challenge(caller, rest, payload.as_ref()),
            (Endpoint::Certificate, None) => self.certificate(caller, rest),
            (Endpoint::Order, None) => self.order(caller, rest),
            (Endpoint::Finalize, Some(payload)) => self.finalize(caller, rest, payload),
            (Endpoint::NewOrder, Some(payload)) => self.new_order(caller, payload),
            (Endpoint::Revoke, Some(payload)) => self.revoke(caller, payload),
            (Endpoint::Certificate | Endpoint::Order, Some(_)) => {
                Err(Problem::malformed("this is only to be read"))
            }
            (Endpoint::Finalize | Endpoint::NewOrder | Endpoint::Revoke, None) => {
                Err(Problem::malformed("there is no payload"))
            }
            _ => Err(Problem::absent("page")),
        }
    }
}

fn wrong_method() -> Problem {
    Problem::malformed("not with this method").with(StatusCode::METHOD_NOT_ALLOWED)
}

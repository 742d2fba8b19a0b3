//! The operator's own listener: metrics, health, status, reload, bans, a page.

pub(crate) mod attacks;
pub(crate) mod bans;
mod browser;
mod certificates;
pub(crate) mod keys;
mod lately;
mod listener;
mod overview;
mod page;
pub(crate) mod sessions;
pub(crate) mod webhooks;
pub(crate) mod windows;

use std::sync::Arc;

use bytes::Bytes;
use gateway_certs::Keeping;
use gateway_config::Secret;
use gateway_edge::Leave;
use gateway_proxy::{Live, Upstreams};
use gateway_telemetry::{ReloadOutcome, Telemetry};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use self::lately::Which;
pub(crate) use self::{
    browser::Names,
    listener::{Socket, serve},
    page::Passes,
};
use crate::{Guard, control::Order, runtimes::Runtimes};

/// What the listener answers from.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) telemetry: Telemetry,
    pub(crate) runtimes: Runtimes,
    pub(crate) rules: Live,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) guard: Guard,
    pub(crate) keeping: Keeping,
    pub(crate) leave: Leave,
    pub(crate) token: Option<Secret>,
    /// By which names it is asked for.
    pub(crate) names: Names,
    /// Who has signed in to its page.
    pub(crate) passes: Passes,
}

/// How an upgrade ended.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Upgraded {
    /// A process serves, and another one ends when its connections have.
    Upgraded { process: u32, ends: u32 },
    /// The process that served before goes on.
    Failed { error: String },
}

/// What is shown of the whole listener.
const OPENAPI: &str = include_str!("admin/openapi.json");

/// What there is, for whoever asks by hand.
const INDEX: &str = "metrics, healthz, readyz, status, overview, refusals, sign-ins, limits, reload, upgrade, bans, \
     sessions, api-keys, certificates, attacks, webhooks, windows, openapi.json; a page for browsers at /\n";

/// The largest request that an operator makes: a list of addresses to ban.
const LARGEST: usize = 64 << 20;

impl Desk {
    async fn answer(&self, request: Request<Incoming>, who: &str) -> Response<Full<Bytes>> {
        let signed_in = self.passes.knows(request.headers());
        let mut response = match browser::judge(&request, self.names, signed_in) {
            Ok(()) => self.admit(request, who, signed_in).await,
            Err(foreign) => text(StatusCode::FORBIDDEN, foreign.text()),
        };
        page::restrict(response.headers_mut());
        response
    }

    /// Answers what needs no token, and all else to whoever has it.
    async fn admit(
        &self,
        request: Request<Incoming>,
        who: &str,
        signed_in: bool,
    ) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (_, "/healthz") => return text(StatusCode::OK, "ok\n"),
            (&Method::POST, "/ui/sign-in") => return self.sign_in(request, who).await,
            (&Method::GET, path) => {
                if let Some(part) = page::part(path) {
                    return part;
                }
            }
            _ => {}
        }
        let wants_page = page::wants_page(&request);
        if signed_in || self.shows_token(&request) {
            return match (request.method(), request.uri().path()) {
                (&Method::POST, "/ui/sign-out") => self.sign_out(request.headers()),
                _ if wants_page => self.page(signed_in).await,
                _ if signed_in => self.carry_out(request, &format!("{who} (page)")).await,
                _ => self.carry_out(request, who).await,
            };
        }
        if wants_page {
            return page::sign_in_form(request.headers(), false);
        }
        let mut refused = text(StatusCode::UNAUTHORIZED, "a token is needed\n");
        let bearer = HeaderValue::from_static("Bearer");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        refused
    }

    /// Does what somebody asks who may.
    async fn carry_out(&self, request: Request<Incoming>, who: &str) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        match path.split('/').nth(1) {
            Some("bans") => return self.bans(request, who).await,
            Some("windows") => return self.windows(request, who).await,
            Some("certificates") => return self.certificates(&request, who).await,
            Some("sessions") => return self.sessions(&request, who).await,
            Some("api-keys") => return self.api_keys(&request, who).await,
            _ => {}
        }
        let method = request.method();
        match (method, path) {
            (&Method::GET, "/") => text(StatusCode::OK, INDEX),
            (&Method::GET, "/readyz") => readiness(&self.rules.borrow().upstreams),
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET, "/openapi.json") => typed(StatusCode::OK, OPENAPI, "application/json"),
            (&Method::GET, "/attacks") => {
                let attacks = attacks::list(&self.rules.borrow().policy, &self.telemetry.metrics);
                json(StatusCode::OK, &attacks)
            }
            (&Method::GET, "/status") => match self.ask(Order::Status).await {
                Some(status) => json(StatusCode::OK, &status),
                None => stopping(),
            },
            (&Method::GET, "/webhooks") => json(StatusCode::OK, &webhooks::list(&self.guard)),
            (&Method::GET, "/limits") => json(StatusCode::OK, &lately::limits(&self.guard)),
            (&Method::GET, "/sign-ins") => {
                json(StatusCode::OK, &lately::sign_ins(&self.telemetry.recent))
            }
            (&Method::GET, "/refusals" | "/overview") => self.lately(&request).await,
            (&Method::POST, "/reload") => {
                let force = query(&request, "force").is_some();
                self.reload(force).await
            }
            (&Method::POST, "/upgrade") => self.upgrade().await,
            (
                _,
                "/upgrade" | "/reload" | "/status" | "/attacks" | "/metrics" | "/readyz"
                | "/webhooks" | "/limits" | "/sign-ins" | "/refusals" | "/overview"
                | "/openapi.json" | "/" | "/ui/sign-in" | "/ui/sign-out",
            ) => text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n"),
            _ => text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    async fn lately(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let which = match Which::asked(request) {
            Ok(which) => which,
            Err(why) => return text(StatusCode::BAD_REQUEST, why),
        };
        if request.uri().path() == "/refusals" {
            return json(StatusCode::OK, &lately::refusals(&self.telemetry.recent, &which));
        }
        match self.overview(&which).await {
            Some(overview) => json(StatusCode::OK, &overview),
            None => stopping(),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        self.telemetry.metrics.tasks(self.runtimes.tasks());
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        typed(StatusCode::OK, self.telemetry.exposition(), kind)
    }

    async fn reload(&self, force: bool) -> Response<Full<Bytes>> {
        let Some(outcome) = self.ask(|reply| Order::Reload { force, reply }).await else {
            return stopping();
        };
        let status = match outcome.outcome {
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => StatusCode::OK,
            ReloadOutcome::Invalid | ReloadOutcome::CertificateRejected => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            ReloadOutcome::NeedsRestart | ReloadOutcome::LocksOut => StatusCode::CONFLICT,
        };
        json(status, &outcome)
    }

    async fn upgrade(&self) -> Response<Full<Bytes>> {
        match self.ask(Order::Upgrade).await {
            Some(Ok(process)) => {
                json(StatusCode::OK, &Upgraded::Upgraded { process, ends: std::process::id() })
            }
            Some(Err(error)) => json(StatusCode::CONFLICT, &Upgraded::Failed { error }),
            // Whoever asks again asks for another upgrade.
            None => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        }
    }

    async fn bans(&self, request: Request<Incoming>, who: &str) -> Response<Full<Bytes>> {
        let rules = Arc::clone(&self.rules.borrow());
        let (guard, policy) = (&self.guard, &rules.policy);
        let reason = query(&request, "reason").unwrap_or_default();
        let path = request.uri().path().to_owned();
        let asked = path.strip_prefix("/bans/").map(decoded);
        let done = match (request.method(), asked.as_deref()) {
            (&Method::GET, None) => return json(StatusCode::OK, &bans::list(guard)),
            (&Method::GET, Some(asked)) => match bans::why(guard, policy, asked) {
                Ok(why) => return json(StatusCode::OK, &why),
                Err(complaint) => Err(complaint),
            },
            (&Method::POST, None) => match self.wanted(request).await {
                Ok(wanted) => bans::add(guard, policy, who, wanted).await,
                Err(complaint) => Err(complaint),
            },
            (&Method::DELETE, asked) => match self.may_change().await {
                Ok(()) => bans::lift(guard, who, asked, &reason).await,
                Err(complaint) => Err(complaint),
            },
            _ => return text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n"),
        };
        match done {
            Ok(bans) => json(StatusCode::OK, &bans),
            Err(complaint) => complaint.answer(),
        }
    }

    async fn windows(&self, request: Request<Incoming>, who: &str) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let asked = path.strip_prefix("/windows/").map(decoded);
        let done = match (request.method(), asked.as_deref()) {
            (&Method::GET, None) => Ok(windows::list(&self.guard)),
            (&Method::POST, None) => match self.wanted(request).await {
                Ok(wanted) => windows::open(&self.guard, who, &wanted),
                Err(complaint) => Err(complaint),
            },
            (&Method::DELETE, asked) => match self.may_change().await {
                Ok(()) => windows::close(&self.guard, who, asked),
                Err(complaint) => Err(complaint),
            },
            _ => return text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n"),
        };
        match done {
            Ok(windows) => json(StatusCode::OK, &windows),
            Err(complaint) => complaint.answer(),
        }
    }

    /// What a request asks to be changed, when it may be.
    async fn wanted<T: for<'de> Deserialize<'de>>(
        &self,
        request: Request<Incoming>,
    ) -> Result<T, bans::Complaint> {
        let wanted = wanted(request).await?;
        self.may_change().await.map(|()| wanted)
    }

    /// Waits until it is known whether what is remembered is this process's to change.
    async fn may_change(&self) -> Result<(), bans::Complaint> {
        if self.guard.is_ours(&self.leave).await {
            return Ok(());
        }
        let error = "another process takes over, or the gateway stops".to_owned();
        Err(bans::Complaint::new(StatusCode::SERVICE_UNAVAILABLE, error, Some("ask again")))
    }

    fn shows_token(&self, request: &Request<Incoming>) -> bool {
        let shown = request.headers().get(header::AUTHORIZATION);
        let shown = shown.and_then(|it| it.as_bytes().strip_prefix(b"Bearer "));
        self.token.is_none() || shown.is_some_and(|shown| self.is_token(shown))
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Whether somebody who signs in would be answered, and what stands of n8n.
fn readiness(upstreams: &Upstreams) -> Response<Full<Bytes>> {
    let (status, word) = match upstreams.ready() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "n8n is not ready"),
    };
    let mut lines = format!("{word}\n");
    for upstream in upstreams.all() {
        let up = if upstream.is_up() { "up" } else { "down" };
        let circuit = upstream.circuit().name();
        lines.push_str(&format!("{} {up}, circuit {circuit}\n", upstream.backend));
    }
    text(status, lines)
}

/// What a request asks for.
async fn wanted<T: for<'de> Deserialize<'de>>(
    request: Request<Incoming>,
) -> Result<T, bans::Complaint> {
    let wrong = |why: String| bans::Complaint::new(StatusCode::BAD_REQUEST, why, None);
    let body = Limited::new(request.into_body(), LARGEST);
    #[expect(clippy::disallowed_methods, reason = "limited in the line above")]
    let body = body.collect().await.map_err(|why| wrong(why.to_string()))?.to_bytes();
    serde_json::from_slice(&body).map_err(|why| wrong(why.to_string()))
}

/// The value of a query's field.
fn query<B>(request: &Request<B>, name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(request.uri().query()?.as_bytes());
    fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn typed(status: StatusCode, body: impl Into<Bytes>, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, body, "text/plain; charset=utf-8")
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    typed(status, serde_json::to_vec(body).unwrap_or_default(), "application/json")
}

/// For whoever finds this process at its end: another one may answer in a moment.
fn stopping() -> Response<Full<Bytes>> {
    again(text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"))
}

/// Says that it may be asked again in a second: whatever it was has not been done.
fn again(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

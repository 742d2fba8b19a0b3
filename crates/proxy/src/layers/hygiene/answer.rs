//! n8n's answers on their way out: less is told, and what workflows write is kept apart from the
//! editor (`gateway_n8n::answer` has the facts).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use gateway_n8n::answer::{
    Author, PERMISSIONS, SANDBOX, TELLING_LIMIT, Telling, has_frames, has_sandbox, is_page,
    shadows, telling, unzipped,
};
use gateway_policy::{AnswerRules, Permit};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;

use crate::{Answer, Cut, Exchange, Failure, Fault, body::Whole};

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("SAMEORIGIN");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

const POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const SANDBOXED: HeaderValue = HeaderValue::from_static(SANDBOX);
const PERMITTED: HeaderValue = HeaderValue::from_static(PERMISSIONS);

/// What may be said of other origins (Fetch standard, 3.3.3).
const OTHER_ORIGINS: [HeaderName; 5] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];

/// What has to be known of a request when its answer comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    author: Author,
    surface: gateway_n8n::Surface,
    head: bool,
    rules: AnswerRules,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>, permit: &Permit, exchange: &Exchange) -> Self {
        Self {
            author: permit.author(),
            surface: permit.surface(),
            head: request.method() == Method::HEAD,
            rules: exchange.rules.policy.answers,
        }
    }

    /// Leaves of the codings that a client takes what can be read here, too, and asks for no part of a page
    /// that is changed on its way: its places would be others.
    pub(super) fn narrow(self, headers: &mut HeaderMap) {
        use gateway_n8n::Surface;
        if self.rules.discreet && self.author == Author::Editor {
            headers.remove(header::RANGE);
            headers.remove(header::IF_RANGE);
        }
        let is_read = self.rules.discreet
            && !matches!(self.surface, Surface::Assets | Surface::PageAssets | Surface::Push);
        if let Some(field) = headers.get_mut(header::ACCEPT_ENCODING)
            && is_read
            && *field != GZIP
        {
            if takes_gzip(field) {
                *field = GZIP;
            } else {
                headers.remove(header::ACCEPT_ENCODING);
            }
        }
    }

    /// Makes of n8n's answer one that can go out.
    pub(super) fn guarded(
        self,
        mut response: Response<Answer>,
        exchange: Arc<Exchange>,
    ) -> Either<
        Ready<Result<Response<Answer>, Failure>>,
        BoxFuture<'static, Result<Response<Answer>, Failure>>,
    > {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Either::Left(ready(Ok(response)));
        }
        self.keep_apart(response.headers_mut());
        if !self.rules.discreet {
            return Either::Left(ready(Ok(response)));
        }
        keep_to_itself(response.headers_mut(), self.author);
        match telling(self.author, self.surface, status, response.headers()) {
            // Its length would tell what its body does not.
            Some(Telling::Webhook | Telling::Execution) if self.head => {
                response.headers_mut().remove(header::CONTENT_LENGTH);
                Either::Left(ready(Ok(response)))
            }
            // Boxed: it is rare.
            Some(telling) if !response.body().is_end_stream() => {
                Either::Right(Box::pin(untold(telling, response, exchange)))
            }
            _ => Either::Left(ready(Ok(response))),
        }
    }

    /// Keeps pages of workflows, and the editor's, to themselves.
    fn keep_apart(self, headers: &mut HeaderMap) {
        if self.author.is_stranger() && self.rules != AnswerRules::UNTOUCHED {
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
            drop_shadows(headers);
        }
        if self.author.is_sandboxed() && self.rules.sandbox && !has_sandbox(headers) {
            headers.append(header::CONTENT_SECURITY_POLICY, SANDBOXED);
        }
        if self.author == Author::Editor && self.rules.discreet && is_page(headers) {
            if self.rules.frames && !has_frames(headers) {
                headers.insert(header::X_FRAME_OPTIONS, SAME_ORIGIN);
            }
            headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(NOSNIFF);
            headers.entry(header::REFERRER_POLICY).or_insert(NO_REFERRER);
            headers.entry(PERMISSIONS_POLICY).or_insert(PERMITTED);
        }
    }
}

fn takes_gzip(field: &HeaderValue) -> bool {
    let mut codings = field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.any(|coding| {
        let (name, weight) = coding.split_at(coding.len().min(b"gzip".len()));
        let refused = [&b";q=0"[..], b";q=0.0", b";q=0.00", b";q=0.000"].contains(&weight);
        name.eq_ignore_ascii_case(b"gzip") && !refused
    })
}

/// Takes out what tells what n8n runs on, and that other sites may act as whoever is signed in: n8n
/// says so of every origin unless `NODE_ENV` is `production` (`middlewares/cors.js`).
fn keep_to_itself(headers: &mut HeaderMap, author: Author) {
    headers.remove(POWERED_BY);
    headers.remove(header::SERVER);
    if !author.is_stranger() && headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS) {
        for name in OTHER_ORIGINS {
            headers.remove(name);
        }
    }
}

/// Takes out cookies that would stand for n8n's own.
fn drop_shadows(headers: &mut HeaderMap) {
    let cookies = headers.get_all(header::SET_COOKIE);
    if !cookies.iter().any(|it| shadows(it.as_bytes())) {
        return;
    }
    let kept: Vec<HeaderValue> =
        cookies.iter().filter(|it| !shadows(it.as_bytes())).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in kept {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// The answer without what its body tells.
async fn untold(
    telling: Telling,
    response: Response<Answer>,
    exchange: Arc<Exchange>,
) -> Result<Response<Answer>, Failure> {
    let (mut head, body) = response.into_parts();
    let body = match body.whole(TELLING_LIMIT).await {
        Ok(Whole::Read(body)) => body,
        Ok(Whole::More(body)) => return Ok(Response::from_parts(head, body)),
        Err(why @ Cut::Silent) => return Err(Failure::Faulty(Fault::Timeout, why.into())),
        Err(why) => return Err(Failure::Faulty(Fault::Broken, why.into())),
    };
    let coding = head.headers.get(header::CONTENT_ENCODING);
    let plain = match coding.map(HeaderValue::as_bytes) {
        None => Some(body.to_vec()),
        Some(b"gzip") => unzipped(&body),
        Some(_) => None,
    };
    let untold = plain.and_then(|plain| telling.untold(head.status, &plain));
    let body = match untold {
        None => body,
        Some((status, body)) => {
            head.status = status;
            head.headers.remove(header::CONTENT_ENCODING);
            // It was made from what n8n had.
            head.headers.remove(header::ETAG);
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            Bytes::from(body)
        }
    };
    Ok(Response::from_parts(head, Answer::own(body, &exchange)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_does_not_take_it_does_not_get() {
        for (field, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.00, br", false),
            ("br", false),
            ("identity", false),
            ("*", false),
        ] {
            assert_eq!(takes_gzip(&HeaderValue::from_static(field)), takes, "{field}");
        }
    }
}

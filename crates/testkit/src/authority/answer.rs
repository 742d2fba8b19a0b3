//! What the authority answers with: JSON, a problem, or what no authority should.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// Neither JSON nor text.
pub(super) const GARBAGE: &[u8] = &[0xff, 0x00, 0xc3, 0x28];

/// A whole answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request is refused, as RFC 8555 writes it down.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem of a kind that is a member of `urn:ietf:params:acme:error`.
    pub(super) fn new(kind: &'static str, detail: impl Into<String>) -> Self {
        let status = match kind {
            "caa"
            | "externalAccountRequired"
            | "orderNotReady"
            | "unauthorized"
            | "userActionRequired" => StatusCode::FORBIDDEN,
            "alreadyReplaced" => StatusCode::CONFLICT,
            "rateLimited" => StatusCode::TOO_MANY_REQUESTS,
            "serverInternal" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, kind, detail: detail.into(), retry_after: None }
    }

    /// A request that makes no sense.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new("malformed", detail)
    }

    /// Something that is not there.
    pub(super) fn absent(what: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::malformed(format!("No such {what}")) }
    }

    /// The same problem with another status.
    pub(super) fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same problem, which passes after a time.
    pub(super) fn for_now(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// The problem as it stands within a challenge.
    pub(super) fn value(&self) -> Value {
        json!({
            "type": format!("urn:ietf:params:acme:error:{}", self.kind),
            "detail": self.detail,
            "status": self.status.as_u16(),
        })
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let mut answer = json(problem.status, &problem.value());
        set(&mut answer, header::CONTENT_TYPE, "application/problem+json");
        if let Some(after) = problem.retry_after {
            set(&mut answer, header::RETRY_AFTER, &after.as_secs().to_string());
        }
        answer
    }
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    plain(status, "application/json", value.to_string())
}

/// An answer of text.
pub(super) fn plain(status: StatusCode, kind: &str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    set(&mut answer, header::CONTENT_TYPE, kind);
    answer
}

/// What a proxy in front of an authority answers when there is nothing behind it.
pub(super) fn page(status: u16) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    plain(status, "text/html", format!("<html><title>{status}</title></html>"))
}

/// An answer that nobody can read.
pub(super) fn garbage() -> Answer {
    plain(StatusCode::OK, "application/octet-stream", GARBAGE)
}

/// Sets a header of an answer.
pub(super) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("a header of our own making");
    answer.headers_mut().insert(name, value);
}

//! What an answer's body tells that its reader has no use for, and the same without it.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::MultiGzDecoder;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// How much of a body is read, in bytes, before and after decoding. The editor's page has some 40 KiB,
/// n8n's errors a few hundred bytes.
pub const TELLING_LIMIT: usize = 256 * 1024;

/// What an answer may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// A page: the release, in the field for the browser's reports of errors (`commands/start.js`).
    Release,
    /// That a path has a webhook for other methods, or that it has none.
    Webhook,
    /// Whether an execution exists: they are counted from 1.
    Execution,
    /// Where n8n's files are, in the page of a fault that n8n did not see coming, or which webhooks
    /// there are, as to whoever asks for an unknown one from another origin (`finalhandler`).
    ErrorPage,
    /// Where n8n's files are (`stacktrace`, unless `NODE_ENV` is `production`).
    Stack,
}

impl Telling {
    /// The body without what it tells, with another status where the status tells it; nothing if it
    /// tells nothing.
    #[must_use]
    pub fn untold(self, status: StatusCode, body: &[u8]) -> Option<(StatusCode, Vec<u8>)> {
        if self == Self::Release {
            return Some((status, without_release(std::str::from_utf8(body).ok()?)?.into_bytes()));
        }
        if self == Self::ErrorPage {
            return Some((status, without_fault(std::str::from_utf8(body).ok()?, status)?));
        }
        let mut said: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let told = said.get("message").and_then(Value::as_str).unwrap_or_default();
        let (status, said) = match self {
            Self::Webhook
                if told.starts_with("The requested webhook \"")
                    || told.starts_with("This webhook is not registered for ") =>
            {
                not_found("The requested webhook is not registered.")
            }
            Self::Execution
                if is_unknown_execution(told)
                    || said.get("error").is_some_and(|it| it == "Invalid token") =>
            {
                not_found("The execution does not exist.")
            }
            _ => {
                said.remove("stacktrace")?;
                (status, Value::Object(said))
            }
        };
        Some((status, said.to_string().into_bytes()))
    }
}

fn not_found(message: &str) -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({ "code": 404, "message": message }))
}

fn is_unknown_execution(message: &str) -> bool {
    let rest = message.strip_prefix("The execution \"");
    rest.is_some_and(|rest| rest.ends_with("\" does not exist."))
}

/// The page with a release that says nothing: the field stays, for the editor reads it.
fn without_release(page: &str) -> Option<String> {
    const FIELD: &str = "<meta name=\"n8n:config:sentry\" content=\"";
    let (before, rest) = page.split_once(FIELD)?;
    let (content, after) = rest.split_once('"')?;
    let mut said: Map<String, Value> =
        serde_json::from_slice(&STANDARD.decode(content).ok()?).ok()?;
    said.insert("release".to_owned(), json!("n8n"));
    let content = STANDARD.encode(Value::Object(said).to_string());
    Some(format!("{before}{FIELD}{content}\"{after}"))
}

/// The page of a fault as it is when `NODE_ENV` is `production`.
fn without_fault(page: &str, status: StatusCode) -> Option<Vec<u8>> {
    const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <title>Error</title>\n</head>\n<body>\n<pre>";
    const END: &str = "</pre>\n</body>\n</html>\n";
    page.strip_prefix(HEAD)?.strip_suffix(END)?;
    let reason = status.canonical_reason().unwrap_or("Error");
    Some(format!("{HEAD}{reason}{END}").into_bytes())
}

/// A body as it was before `gzip`; nothing if it is larger than [`TELLING_LIMIT`], or none.
#[must_use]
pub fn unzipped(body: &[u8]) -> Option<Vec<u8>> {
    let limit = u64::try_from(TELLING_LIMIT).unwrap_or(u64::MAX);
    let mut plain = Vec::new();
    MultiGzDecoder::new(body).take(limit + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= TELLING_LIMIT).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untold(telling: Telling, status: u16, body: &str) -> Option<(u16, String)> {
        let untold = telling.untold(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        untold.map(|(status, body)| (status.as_u16(), String::from_utf8(body).unwrap()))
    }

    #[test]
    fn what_is_not_there_and_what_is_there_for_others_look_alike() {
        let none = r#"{"code":404,"message":"The requested webhook \"GET a\" is not registered.","hint":"The workflow must be active"}"#;
        let other = r#"{"code":404,"message":"This webhook is not registered for GET requests. Did you mean to make a POST request?","stacktrace":"at /usr"}"#;
        let alike = untold(Telling::Webhook, 404, none);
        assert_eq!(alike, untold(Telling::Webhook, 404, other));
        let said = r#"{"code":404,"message":"The requested webhook is not registered."}"#;
        assert_eq!(alike, Some((404, said.to_owned())));
        // A workflow's own words stay.
        for own in [r#"{"message":"no such order"}"#, r#"{"code":404}"#, "[]", "no JSON"] {
            assert_eq!(untold(Telling::Webhook, 404, own), None, "{own}");
        }
    }

    #[test]
    fn executions_cannot_be_counted() {
        let none = r#"{"code":404,"message":"The execution \"7\" does not exist."}"#;
        let other = r#"{"error":"Invalid token"}"#;
        assert_eq!(untold(Telling::Execution, 404, none), untold(Telling::Execution, 401, other));
        assert_eq!(untold(Telling::Execution, 401, r#"{"error":"not you"}"#), None);
    }

    #[test]
    fn where_files_are_is_not_said() {
        let said = untold(Telling::Stack, 500, r#"{"code":0,"message":"m","stacktrace":"at x"}"#);
        assert_eq!(said, Some((500, r#"{"code":0,"message":"m"}"#.to_owned())));
        assert_eq!(untold(Telling::Stack, 401, r#"{"code":998,"message":"MFA Error"}"#), None);
        // The same behind what is made alike.
        let said = untold(Telling::Webhook, 404, r#"{"message":"mine","stacktrace":"at x"}"#);
        assert_eq!(said, Some((404, r#"{"message":"mine"}"#.to_owned())));
    }

    #[test]
    fn a_fault_is_no_more_than_a_fault() {
        let page = |text: &str| {
            format!(
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <title>Error</title>\n</head>\n<body>\n<pre>{text}</pre>\n</body>\n</html>\n"
            )
        };
        let told = page("ResponseError: This webhook is not registered<br> at /usr/lib/x.js");
        let said = Some((500, page("Internal Server Error")));
        assert_eq!(untold(Telling::ErrorPage, 500, &told), said);
        assert_eq!(untold(Telling::ErrorPage, 500, "<h1>mine</h1>"), None);
    }

    #[test]
    fn a_page_keeps_its_field_and_not_its_release() {
        let field = |json: &str| {
            let content = STANDARD.encode(json);
            format!("<head><meta name=\"n8n:config:sentry\" content=\"{content}\"></head>")
        };
        let page = field(r#"{"dsn":"d","environment":"e","release":"n8n@2.40.7"}"#);
        let said = field(r#"{"dsn":"d","environment":"e","release":"n8n"}"#);
        assert_eq!(untold(Telling::Release, 200, &page), Some((200, said)));
        assert_eq!(untold(Telling::Release, 200, "<head></head>"), None);
        let broken = "<meta name=\"n8n:config:sentry\" content=\"?\">";
        assert_eq!(untold(Telling::Release, 200, broken), None);
    }
}

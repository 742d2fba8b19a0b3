//! What n8n's answers tell, and what keeps those that workflows write apart from the editor.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use gateway_n8n::answer::SANDBOX;
use gateway_testkit::{Gateway, POLICY, Response, Step};

const STRANGER: &str = "203.0.113.9";
const TEAM: &str = "192.0.2.1";

/// An answer of n8n's and what is left of it.
struct Case {
    ask: &'static str,
    n8n: &'static str,
    /// Fields that are there, with their values; nothing for those that are not.
    fields: &'static [(&'static str, &'static str)],
    body: Option<(u16, &'static str)>,
}

const NONE: &str = r#"{"code":404,"message":"The requested webhook is not registered."}"#;
const NO_EXECUTION: &str = r#"{"code":404,"message":"The execution does not exist."}"#;

#[rustfmt::skip]
const CASES: [Case; 16] = [
    Case {
        ask: "GET /webhook/x",
        n8n: "200 OK\r\ncontent-type: text/html\r\nx-powered-by: Express\r\nserver: n8n\r\n\r\n<script></script>",
        fields: &[("content-security-policy", SANDBOX), ("x-content-type-options", "nosniff"), ("x-powered-by", ""), ("server", "")],
        body: Some((200, "<script></script>")),
    },
    Case {
        ask: "GET /webhook/x",
        n8n: "200 OK\r\ncontent-security-policy: sandbox allow-scripts\r\n\r\n",
        fields: &[("content-security-policy", "sandbox allow-scripts")],
        body: None,
    },
    // The page of a hosted chat keeps its session in the browser.
    Case {
        ask: "GET /webhook/7f3c/chat",
        n8n: "200 OK\r\ncontent-type: text/html\r\n\r\n",
        fields: &[("content-security-policy", ""), ("x-content-type-options", "nosniff")],
        body: None,
    },
    Case {
        ask: "GET /webhook/x",
        n8n: "200 OK\r\nset-cookie: n8n-auth=stolen; Path=/\r\nset-cookie: basket=1\r\nset-cookie: =n8n-auth=stolen\r\n\r\n",
        fields: &[("set-cookie", "basket=1")],
        body: None,
    },
    Case {
        ask: "GET /rest/login",
        n8n: "200 OK\r\nset-cookie: n8n-auth=mine\r\n\r\n",
        fields: &[("set-cookie", "n8n-auth=mine"), ("content-security-policy", "")],
        body: None,
    },
    Case {
        ask: "GET /rest/binary-data?id=1&action=view",
        n8n: "200 OK\r\ncontent-type: text/html\r\n\r\n<script></script>",
        fields: &[("content-security-policy", SANDBOX), ("x-content-type-options", "nosniff")],
        body: None,
    },
    Case {
        ask: "GET /rest/settings\norigin: https://evil.example",
        n8n: "200 OK\r\naccess-control-allow-origin: https://evil.example\r\naccess-control-allow-credentials: true\r\naccess-control-allow-methods: GET\r\n\r\n",
        fields: &[("access-control-allow-origin", ""), ("access-control-allow-credentials", ""), ("access-control-allow-methods", "")],
        body: None,
    },
    Case {
        ask: "GET /webhook/x\norigin: https://shop.example",
        n8n: "200 OK\r\naccess-control-allow-origin: https://shop.example\r\n\r\n",
        fields: &[("access-control-allow-origin", "https://shop.example")],
        body: None,
    },
    Case {
        ask: "GET /signin\naccept: text/html",
        n8n: "200 OK\r\ncontent-type: text/html; charset=utf-8\r\netag: W/\"1\"\r\n\r\n<meta name=\"n8n:config:sentry\" content=\"eyJkc24iOiIiLCJyZWxlYXNlIjoibjhuQDIuNDAuNyJ9\">",
        fields: &[("x-frame-options", "SAMEORIGIN"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff"), ("etag", "")],
        body: Some((200, "<meta name=\"n8n:config:sentry\" content=\"eyJkc24iOiIiLCJyZWxlYXNlIjoibjhuIn0=\">")),
    },
    Case {
        ask: "GET /home",
        n8n: "200 OK\r\ncontent-type: text/html\r\ncontent-security-policy: frame-ancestors 'self' https://portal.example\r\nreferrer-policy: same-origin\r\n\r\n",
        fields: &[("x-frame-options", ""), ("referrer-policy", "same-origin")],
        body: None,
    },
    Case {
        ask: "GET /webhook/x",
        n8n: "404 Not Found\r\ncontent-type: application/json; charset=utf-8\r\n\r\n{\"code\":404,\"message\":\"The requested webhook \\\"GET x\\\" is not registered.\",\"hint\":\"The workflow must be active\"}",
        fields: &[("content-length", "65")],
        body: Some((404, NONE)),
    },
    Case {
        ask: "GET /webhook/x",
        n8n: "404 Not Found\r\ncontent-type: application/json; charset=utf-8\r\n\r\n{\"code\":404,\"message\":\"This webhook is not registered for GET requests. Did you mean to make a POST request?\"}",
        fields: &[],
        body: Some((404, NONE)),
    },
    // Whoever builds a workflow is told what to do.
    Case {
        ask: "GET /webhook-test/x",
        n8n: "404 Not Found\r\ncontent-type: application/json\r\n\r\n{\"code\":404,\"message\":\"The requested webhook \\\"x\\\" is not registered.\",\"hint\":\"Click\"}",
        fields: &[],
        body: Some((404, "{\"code\":404,\"message\":\"The requested webhook \\\"x\\\" is not registered.\",\"hint\":\"Click\"}")),
    },
    Case {
        ask: "GET /webhook-waiting/7",
        n8n: "401 Unauthorized\r\ncontent-type: application/json\r\n\r\n{\"error\":\"Invalid token\"}",
        fields: &[],
        body: Some((404, NO_EXECUTION)),
    },
    Case {
        ask: "GET /rest/workflows",
        n8n: "500 Internal Server Error\r\ncontent-type: application/json\r\n\r\n{\"code\":0,\"message\":\"m\",\"stacktrace\":\"at /usr/lib/n8n\"}",
        fields: &[],
        body: Some((500, "{\"code\":0,\"message\":\"m\"}")),
    },
    Case {
        ask: "GET /rest/workflows",
        n8n: "200 OK\r\ncontent-type: application/json\r\n\r\n{\"stacktrace\":\"of a workflow's execution\"}",
        fields: &[],
        body: Some((200, "{\"stacktrace\":\"of a workflow's execution\"}")),
    },
];

async fn answered(gateway: &Gateway, case: &Case) -> Response {
    let (head, body) = case.n8n.split_once("\r\n\r\n").unwrap();
    let length = body.len();
    let said = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
    gateway.n8n.set_script(Some(vec![Step::Request, Step::Say(said.into())]));
    let from =
        if case.ask.contains("webhook") && !case.ask.contains("-test") { STRANGER } else { TEAM };
    gateway.ask(from, case.ask).await
}

#[tokio::test]
async fn answers_tell_no_more_than_they_have_to() {
    let gateway = Gateway::start(POLICY).unwrap();
    for case in &CASES {
        let answer = answered(&gateway, case).await;
        for (name, value) in case.fields {
            assert_eq!(answer.header(name), *value, "{name} of {}\n{}", case.ask, case.n8n);
        }
        if let Some((status, body)) = case.body {
            assert_eq!((answer.status.as_u16(), &*answer.body), (status, body), "{}", case.ask);
        }
    }
}

#[tokio::test]
async fn a_dry_run_and_a_policy_that_says_so_leave_answers_as_they_are() {
    let dry = Gateway::start(&format!("{POLICY}mode: dry-run\n")).unwrap();
    for case in &CASES {
        let answer = answered(&dry, case).await;
        assert_eq!(answer.body, case.n8n.split_once("\r\n\r\n").unwrap().1);
        assert_eq!(answer.header("x-frame-options"), "");
        let own = answer.header("content-security-policy");
        assert!(own != SANDBOX, "{}", case.ask);
    }
    let open = "answers: { sandbox: false, frames: anyone }\n";
    let gateway = Gateway::start(&format!("{POLICY}{open}")).unwrap();
    for case in &CASES {
        let answer = answered(&gateway, case).await;
        assert_eq!(answer.header("x-frame-options"), "");
        assert_ne!(answer.header("content-security-policy"), SANDBOX);
    }
}

#[tokio::test]
async fn what_is_larger_than_what_is_read_passes_whole() {
    let gateway = Gateway::start(POLICY).unwrap();
    let text = format!("{{\"stacktrace\":\"{}\"}}", "x".repeat(600 << 10));
    let said = format!(
        "HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    gateway.n8n.set_script(Some(vec![Step::Request, Step::Say(said.into())]));
    let answer = gateway.ask(TEAM, "GET /rest/workflows").await;
    assert_eq!(answer.body, text);
    let sent = |log: &serde_json::Value| log["event"] == "access" && log["sent"] == text.len();
    assert!(gateway.log().iter().any(sent), "{:?}", gateway.log());
}

/// n8n zips what is long: a long path must not bring back what a short one does not tell.
#[tokio::test]
async fn what_is_zipped_is_read_as_well() {
    let gateway = Gateway::start(POLICY).unwrap();
    let long = "x".repeat(4000);
    let text = format!(
        "{{\"code\":404,\"message\":\"The requested webhook \\\"GET {long}\\\" is not registered.\"}}"
    );
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    zip.write_all(text.as_bytes()).unwrap();
    let zipped = zip.finish().unwrap();
    let mut said = format!(
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
         content-length: {}\r\n\r\n",
        zipped.len()
    )
    .into_bytes();
    said.extend(zipped);
    gateway.n8n.set_script(Some(vec![Step::Request, Step::Say(said.into())]));
    let answer = gateway.ask(STRANGER, "GET /webhook/x\naccept-encoding: gzip, br").await;
    assert_eq!((&*answer.body, answer.header("content-encoding")), (NONE, ""));
    assert_eq!(gateway.n8n.seen()[0].headers["accept-encoding"], "gzip");
}

/// A part of a page has its places in n8n's page, not in the one that goes out.
#[tokio::test]
async fn no_part_of_a_page_is_asked_for_and_none_is_rewritten() {
    let gateway = Gateway::start(POLICY).unwrap();
    let meta = "content=\"eyJkc24iOiIiLCJyZWxlYXNlIjoibjhuQDIuNDAuNyJ9\"";
    let page = format!("<meta name=\"n8n:config:sentry\" {meta}>");
    let said = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\
         content-range: bytes 0-{}/5000\r\n\r\n{page}",
        page.len(),
        page.len() - 1
    );
    for (ask, is_part) in [("GET /signin", false), ("GET /webhook/x", true)] {
        gateway.n8n.set_script(Some(vec![Step::Request, Step::Say(said.clone().into())]));
        let from = if is_part { STRANGER } else { TEAM };
        let lines = format!("{ask}\nrange: bytes=0-99\nif-range: \"1\"");
        let answer = gateway.ask(from, &lines).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (206, &*page), "{ask}");
        let seen = gateway.n8n.seen().pop().unwrap();
        for field in ["range", "if-range"] {
            assert_eq!(seen.headers.contains_key(field), is_part, "{ask} {field}");
        }
    }
}

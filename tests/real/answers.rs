//! What a real n8n tells of itself, and what of it strangers and browsers get: beside a gateway that
//! leaves answers as they are.

use http::Method;
use hyper::Request;

use crate::{
    client::{Answer, Client},
    installation::{Installation, USUAL},
    owner::{Owner, until_published},
    processes::{step, turn},
    triggers::{CHAT, ECHO},
};

const FORM: &str = "/form/upload-c41d7a9e";
/// No address at all: an error of n8n's own.
const NOBODY: &str = r#"{"emailOrLdapLoginId":"nobody","password":"x"}"#;
const UNKNOWN: &str = r#"{"code":404,"message":"The requested webhook is not registered."}"#;
const EVIL: &str = "https://evil.example";

/// As npm installs it, which tells more: `NODE_ENV` is not set.
#[tokio::test(flavor = "multi_thread")]
async fn what_n8n_tells_too_much_stays_inside() {
    let _turn = turn().await;
    let installation = Installation::start_changed("n8n.test", USUAL, |n8n| {
        n8n.env_remove("NODE_ENV");
    })
    .await;
    let plain =
        installation.gateway_with("plain", "n8n.test", &format!("{USUAL}mode: dry-run\n")).await;
    let team = (&installation.team, &plain.client([127, 0, 0, 2].into()));
    let stranger = (&installation.stranger, &plain.client([127, 0, 0, 3].into()));
    let owner = Owner::set_up(&installation.team).await;
    owner.publish(include_str!("workflows/echo.json")).await;
    owner.publish(include_str!("workflows/form.json")).await;
    let hosted = include_str!("workflows/chat.json").replace("\"webhook\"", "\"hostedChat\"");
    owner.publish(&hosted.replace("GATE", "http://127.0.0.1/")).await;
    until_published(stranger.0, "GET", ECHO).await;
    until_published(stranger.0, "GET", FORM).await;

    step("its release");
    let (ours, its) = both(team, Method::GET, "/signin").await;
    let field = "n8n:config:sentry";
    assert!(ours.text().contains(field) && its.text().contains(field));
    assert_ne!(ours.text(), its.text());
    assert_eq!(ours.headers["x-frame-options"], "SAMEORIGIN");

    step("other origins, and places of files");
    let (ours, its) = both(team, Method::GET, "/rest/settings").await;
    assert_eq!(its.headers["access-control-allow-origin"], EVIL);
    assert!(!ours.headers.contains_key("access-control-allow-origin"));
    assert_eq!(ours.json(), its.json());
    let (ours, its) = both(team, Method::POST, "/rest/login").await;
    assert!(its.text().contains("stacktrace"), "{}", its.text());
    assert!(!ours.text().contains("stacktrace"), "{}", ours.text());
    assert_eq!(ours.json()["message"], its.json()["message"]);

    step("which webhooks there are");
    let (other, its) = both(stranger, Method::PATCH, FORM).await;
    assert!(its.text().contains("Did you mean"), "{}", its.text());
    let (none, its) = both(stranger, Method::GET, "/webhook/nothing").await;
    assert!(its.text().contains("GET nothing"), "{}", its.text());
    assert_eq!((other.status, other.text()), (none.status, none.text()));
    assert!(!none.text().contains("node_modules"), "{}", none.text());
    let plainly = async |path| stranger.0.send(Request::patch(path), "").await;
    let (other, none) = (plainly(ECHO).await, plainly("/webhook/nothing").await);
    assert_eq!(other.is(404).text(), UNKNOWN);
    assert_eq!(none.is(404).text(), UNKNOWN);

    step("pages are as they were");
    for path in [ECHO, FORM, CHAT] {
        let (ours, its) = both(stranger, Method::GET, path).await;
        assert_eq!(ours.status, its.status, "{path}");
        let policy = |answer: &Answer| answer.headers.get("content-security-policy").cloned();
        assert_eq!(policy(&ours), policy(&its), "{path}");
        assert_eq!(ours.headers["x-content-type-options"], "nosniff", "{path}");
        if path != ECHO {
            assert_eq!(ours.text().len(), its.text().len(), "{path}");
        }
    }
    plain.kill().await;
    installation.stop().await;
}

/// The answers to one request through the gateway, and through one that leaves them as they are.
async fn both(clients: (&Client, &Client), method: Method, path: &str) -> (Answer, Answer) {
    let ask = async |client: &Client| {
        let request = Request::builder().method(&method).uri(path).header("origin", EVIL);
        let request =
            request.header("accept", "text/html").header("content-type", "application/json");
        client.send(request, if method == Method::POST { NOBODY } else { "" }).await
    };
    (ask(clients.0).await, ask(clients.1).await)
}

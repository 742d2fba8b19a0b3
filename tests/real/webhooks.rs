//! Webhooks as their senders' own libraries sign them: each is taken, and none that differs by a bit. And webhooks of a
//! real n8n: what is checked, which are listed, who is let in for a time.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gateway_testkit::{Client, Gateway, POLICY};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    client,
    installation::Installation,
    owner::Owner,
    processes::{eventually, given, step, turn},
    triggers::ECHO,
};

const SECRET: &str = "not a secret: 5ecret";
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A signed request.
#[derive(Clone)]
struct Signed {
    name: String,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Signed {
    fn of(said: &Value) -> Self {
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let fields = said["headers"].as_object().unwrap().iter();
        let headers = fields.map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value.as_str().unwrap()).unwrap())
        });
        let body = BASE64_STANDARD.decode(text("body")).unwrap();
        Self { name: text("name"), path: text("path"), headers: headers.collect(), body }
    }

    async fn status(&self, client: &mut Client) -> u16 {
        let mut request = Request::post(&self.path).header("host", "n8n.test");
        request.headers_mut().unwrap().extend(self.headers.clone());
        let request = request.body(Full::new(Bytes::from(self.body.clone()))).unwrap();
        let answer = client.send(request).await.unwrap();
        let (head, mut body) = answer.into_parts();
        while http_body_util::BodyExt::frame(&mut body).await.is_some() {}
        head.status.as_u16()
    }
}

async fn signed() -> Vec<Signed> {
    let node = given("N8N_GATEWAY_TEST_N8N").join("node_modules");
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let mut script = Command::new(node.join(format!("node-linux-{machine}/bin/node")));
    script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/real/webhooks/sign.cjs"));
    script.arg(given("N8N_GATEWAY_TEST_WEBHOOKS")).args([SECRET, KEY, "https://n8n.test"]);
    let done = script.output().await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: Vec<Value> = serde_json::from_slice(&done.stdout).unwrap();
    said.iter().map(Signed::of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_senders_own_libraries_sign_is_taken_and_nothing_that_differs_by_a_bit() {
    let mut policy = format!("{POLICY}rate_limits: {{ webhook: [] }}\nwebhooks:\n");
    for name in ["stripe", "github", "slack", "svix", "standard-webhooks", "twilio"] {
        let key = name == "svix" || name == "standard-webhooks";
        let secret = if key { KEY } else { SECRET };
        let line =
            format!("  /webhook/{name}: {{ signature: {name}, secret: '{secret}', once: 0s }}\n");
        policy.push_str(&line);
    }
    let gateway = Gateway::start(&policy).unwrap();
    let mut client = gateway.client("203.0.113.7").await;
    let all = signed().await;
    assert_eq!(all.len(), 10);
    for good in all {
        step(&good.name);
        assert_eq!(good.status(&mut client).await, 200, "{}", good.name);
        assert_eq!(gateway.n8n.take_seen()[0].beginning, good.body, "byte for byte");
        let (mut refused, mut same) = (0, 0);
        for bad in changed(&good) {
            let status = bad.status(&mut client).await;
            if says_the_same(&good, &bad) {
                same += 1;
                continue;
            }
            assert_eq!(status, 403, "{} {:?}", bad.name, bad.headers);
            refused += 1;
        }
        println!("   {refused} changed by a bit are refused, {same} say the same to their sender");
        assert_eq!(gateway.n8n.take_seen().len(), same);
        assert_eq!(good.status(&mut client).await, 200, "still");
        drop(gateway.n8n.take_seen());
    }
}

/// A form is signed as what it says: `%2b` and `%2B` are one.
fn says_the_same(good: &Signed, bad: &Signed) -> bool {
    let form = good.headers["content-type"] == "application/x-www-form-urlencoded";
    let fields = |it: &Signed| {
        let mut fields: Vec<_> = form_urlencoded::parse(&it.body).into_owned().collect();
        fields.sort();
        fields
    };
    form && good.headers == bad.headers && fields(good) == fields(bad)
}

/// Every message that differs by one bit of the body, or of what a signature is about in the header, as far as it
/// is HTTP.
fn changed(good: &Signed) -> Vec<Signed> {
    let mut all = Vec::new();
    for bit in 0..good.body.len() * 8 {
        let mut bad = good.clone();
        bad.body[bit / 8] ^= 1 << (bit % 8);
        all.push(bad);
    }
    for (name, value) in good.headers.iter().filter(|(name, _)| *name != "content-type") {
        for bit in 0..value.len() * 8 {
            let mut bytes = value.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // White space at its ends is no part of a field.
            if bytes.trim_ascii() != bytes {
                continue;
            }
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
            let mut bad = good.clone();
            bad.headers.insert(name, value);
            all.push(bad);
        }
    }
    all
}

/// The echo by a path with a parameter.
const USER: &str = "/webhook/22222222-2222-4222-8222-222222222222";

const POLICY_OF_N8N: &str = "\
networks: { team: [127.0.0.1, \"::1\"] }
access: { editor: team }
webhooks:
  /webhook/echo-c41d7a9e: { signature: github, secret: old }
  /webhook/22222222-2222-4222-8222-222222222222/user/:id: { bearer: old }
";

fn github(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"old");
    let tag = hmac::sign(&key, body.as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn post(path: &str) -> http::request::Builder {
    Request::post(path).header("content-type", "application/json")
}

#[tokio::test(flavor = "multi_thread")]
async fn n8ns_webhooks_are_checked_and_listed_and_a_window_opens_and_closes() {
    let _turn = turn().await;
    let installation = Installation::start_with("n8n.test", POLICY_OF_N8N).await;
    let owner = Owner::set_up(&installation.team).await;
    let echo = include_str!("workflows/echo.json");
    owner.publish(echo).await;
    let (_, id) = USER.split_at("/webhook/".len());
    let user = echo.replace("11111111-1111-4111-8111-111111111111", id);
    owner.publish(&user.replace("echo-c41d7a9e", "user/:id")).await;
    checked(&installation.stranger).await;
    listed(&installation).await;
    window(&installation).await;
    installation.stop().await;
}

async fn checked(stranger: &client::Client) {
    step("what is signed reaches n8n as it was sent");
    let body = "{ \"order\" :7,\n\t\"text\":\"\u{e4}\u{20ac}\" } ";
    let heard = eventually("n8n has its webhook", async || {
        let signed = post(ECHO).header("x-hub-signature-256", github(body));
        let answer = stranger.send(signed, body).await;
        (answer.status != 404).then_some(answer)
    })
    .await
    .is(200)
    .json();
    assert_eq!(heard["body"], json!({"order": 7, "text": "\u{e4}\u{20ac}"}), "{heard}");
    assert_eq!(heard["headers"]["content-length"], body.len().to_string(), "{heard}");
    let other = post(ECHO).header("x-hub-signature-256", github("other"));
    stranger.send(other, body).await.is(403).tells_nothing_of_n8n();
    stranger.send(post(ECHO), body).await.is(403).tells_nothing_of_n8n();

    step("a path with a parameter, in any order");
    for path in [format!("{USER}/user/5"), format!("{USER}/5/user")] {
        stranger.send(post(&path), "{}").await.is(401);
        eventually("n8n has its webhook", async || {
            let shown = post(&path).header("authorization", "Bearer old");
            (stranger.send(shown, "{}").await.status == 200).then_some(())
        })
        .await;
    }
}

async fn listed(installation: &Installation) {
    step("what n8n does not have is not listed");
    let Installation { gateway, stranger, .. } = installation;
    for (method, path) in [
        ("POST", "/webhook/made-up"),
        ("OPTIONS", "/webhook/made-up"),
        ("HEAD", "/webhook/made-up"),
        ("GET", "/webhook/made-up/%25zz"),
        ("GET", "/form/made-up"),
        ("GET", "/mcp/made-up"),
        ("PUT", "/webhook/22222222-2222-4222-8222-222222222222"),
    ] {
        for origin in [None, Some("https://evil.example")] {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let answer = stranger.send(request, "").await;
            println!("   {method} {path} {origin:?}: {}", answer.status);
        }
    }
    let listed = gateway.operator("/webhooks").await.is(200).json();
    let all = listed["webhooks"].as_array().unwrap();
    let known = |it: &Value| {
        let path = it["path"].as_str().unwrap();
        path == ECHO || path.starts_with(USER)
    };
    assert!(all.len() >= 2 && all.iter().all(known), "{listed}");
    let echoed = all.iter().find(|it| it["path"] == ECHO).unwrap();
    assert_eq!((&echoed["signed"], &echoed["answers"]["2xx"]), (&json!(true), &json!(1)));
    assert_eq!(echoed["networks"], json!(["127.0.0.0/24"]));
    assert!(!gateway.said().contains("c41d7a9e"), "it is a secret");
}

async fn window(installation: &Installation) {
    step("a window");
    let Installation { gateway, stranger, .. } = installation;
    let settings = || Request::get("/rest/settings");
    stranger.send(settings(), "").await.is(404);
    let open = ["open", "--surface", "editor", "--for", "5m", "--from", "127.0.0.2"];
    assert!(gateway.told(&open).await.status.success());
    stranger.send(settings(), "").await.is(200);
    stranger.send(Request::get("/signin").header("accept", "text/html"), "").await.is(200);
    assert!(gateway.told(&["close", "--all"]).await.status.success());
    stranger.send(settings(), "").await.is(404);
}

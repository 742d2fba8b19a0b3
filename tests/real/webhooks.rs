//! Webhooks as their senders' own libraries sign them: each is taken, and none that differs by a bit.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gateway_testkit::{Client, Gateway, POLICY};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use tokio::process::Command;

use crate::processes::{given, step};

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
    assert_eq!(all.len(), 7);
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

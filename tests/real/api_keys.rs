//! API keys of the real n8n's, held to what the policy asks; and what the gateway says of n8n's public
//! API, compared with its own description.

use std::{collections::BTreeSet, fs, process::Stdio};

use gateway_certs::{Clock, SystemClock};
use gateway_n8n::{KEY_UNAUTHORIZED, MCP_SERVER, READING, RESOURCES};
use hyper::{Request, http::request::Builder};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    client::{Answer, Client},
    installation::{Gateway, Installation, program},
    owner::Owner,
    processes::{given, step, turn},
};

const HOST: &str = "n8n.test";

/// Who speaks for others, and for whom.
const PROXY: [u8; 4] = [127, 0, 0, 7];
const OFFICE: &str = "203.0.113.9";
const ELSEWHERE: &str = "198.51.100.7";

const LIST: &str = "GET /api/v1/workflows";
const MAKE: &str = "POST /api/v1/workflows";

/// The keys of one test: one that may only read, one that may do all that n8n lets it, one that n8n lets
/// only list, and that of its MCP server.
struct Keys {
    reader: String,
    free: String,
    narrow: String,
    mcp: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn api_keys_are_held_to_what_the_policy_asks() {
    let _turn = turn().await;
    let installation = Installation::start(HOST).await;
    let owner = Owner::set_up(&installation.team).await;
    let all = ["workflow:list", "workflow:create"];
    let keys = Keys {
        reader: made(&owner, "reader", &all).await,
        free: made(&owner, "free", &all).await,
        narrow: made(&owner, "narrow", &["workflow:list"]).await,
        mcp: of_mcp_server(&owner).await,
    };
    let policy = format!(
        "\
access: {{ editor: anyone }}
clients: {{ trusted_proxies: [127.0.0.7/32] }}
networks: {{ office: [203.0.113.0/24] }}
accounts:
  api_keys:
    rate: 8/min
    keys:
      \"{}\": {{ networks: office, read_only: true, rate: off }}
      \"{}\": {{ new_network: refuse }}
      \"{}\": {{ networks: office, resources: mcp-server }}
",
        fingerprint(&keys.reader).await,
        fingerprint(&keys.narrow).await,
        fingerprint(&keys.mcp).await,
    );
    let gateway = installation.gateway_with("api-keys", HOST, &policy).await;
    let proxy = gateway.client(PROXY.into());
    refused_as_n8n_would(&proxy, &keys).await;
    moved(&gateway, &proxy, &keys).await;
    at_mcp_server(&proxy, &keys.mcp).await;
    limited(&proxy, &keys.free).await;
    listed(&gateway, &keys).await;
    gateway.kill().await;
    installation.stop().await;
}

async fn refused_as_n8n_would(proxy: &Client, keys: &Keys) {
    step("a key that may only read");
    let workflows = ask(proxy, LIST, OFFICE, &keys.reader).await.is(200).json();
    assert!(workflows["data"].is_array(), "{workflows}");
    let forbidden = ask(proxy, MAKE, OFFICE, &keys.reader).await.is(403);
    let of_n8n = ask(proxy, MAKE, OFFICE, &keys.narrow).await.is(403);
    assert_eq!(forbidden.json(), of_n8n.json(), "as n8n refuses a key without the scope");
    ask(proxy, MAKE, OFFICE, &keys.free).await.is(200);

    step("from elsewhere");
    let unauthorized = ask(proxy, LIST, ELSEWHERE, &keys.reader).await.is(401);
    let of_n8n = ask(proxy, LIST, OFFICE, "wrong").await.is(401);
    assert_eq!(unauthorized.json(), of_n8n.json(), "as n8n refuses a wrong key");
}

async fn moved(gateway: &Gateway, proxy: &Client, keys: &Keys) {
    step("keys in a new network");
    ask(proxy, LIST, ELSEWHERE, &keys.free).await.is(200);
    let told = gateway.event("api_key_new_network", |_| true).await;
    let free = fingerprint(&keys.free).await;
    assert_eq!((&told["key"], &told["refused"]), (&json!(free), &json!(false)));
    assert_eq!((&told["from"], &told["to"]), (&json!("203.0.113.0/24"), &json!("198.51.100.0/24")));
    ask(proxy, LIST, ELSEWHERE, &keys.narrow).await.is(401);
    let narrow = fingerprint(&keys.narrow).await;
    let forgotten = gateway.told(&["api-keys", "forget", &narrow, "--reason", "moved"]).await;
    assert!(forgotten.status.success(), "{forgotten:?}");
    ask(proxy, LIST, ELSEWHERE, &keys.narrow).await.is(200);
    ask(proxy, LIST, OFFICE, &keys.narrow).await.is(401);
}

async fn at_mcp_server(proxy: &Client, key: &str) {
    step("the key of the instance's MCP server");
    let ask = async |from: &str| {
        let client = json!({ "name": "test", "version": "1" });
        let begins = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": { "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": client },
        });
        let request = Request::post("/mcp-server/http").header("x-forwarded-for", from);
        let request = request.header("accept", "application/json, text/event-stream");
        let request = request.header("authorization", format!("Bearer {key}"));
        proxy.send_json(request, &begins).await
    };
    assert!(ask(OFFICE).await.is(200).text().contains("serverInfo"));
    assert_eq!(ask(ELSEWHERE).await.is(401).text(), KEY_UNAUTHORIZED);
}

async fn limited(proxy: &Client, key: &str) {
    step("more often than it may");
    let mut passed = 0;
    let limited = loop {
        let answer = ask(proxy, LIST, OFFICE, key).await;
        if answer.status != 200 {
            break answer;
        }
        passed += 1;
        assert!(passed < 20);
    };
    assert!(!limited.is(429).header("retry-after").is_empty());
}

async fn listed(gateway: &Gateway, keys: &Keys) {
    step("keys are listed");
    let listed = gateway.told(&["api-keys", "list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 4, "{listed}");
    let reader = json!(fingerprint(&keys.reader).await);
    let reader = listed.as_array().unwrap().iter().find(|it| it["key"] == reader).unwrap();
    assert_eq!(reader["places"], json!(["203.0.113.0/24"]));
    assert_eq!(reader["user"].as_str().unwrap().len(), 36, "n8n's id of its owner");
    let said = gateway.said();
    for key in [&keys.reader, &keys.free, &keys.narrow, &keys.mcp] {
        assert!(!said.contains(key.as_str()) && !listed.to_string().contains(key.as_str()));
    }
}

/// What somebody at `from` with `key` is answered, through a proxy that speaks for them.
async fn ask(proxy: &Client, line: &str, from: &str, key: &str) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let request: Builder = Request::builder().method(method).uri(path);
    let request = request.header("x-forwarded-for", from).header("x-n8n-api-key", key);
    let workflow =
        json!({ "name": "made", "nodes": [], "connections": {}, "settings": {} }).to_string();
    let request = request.header("content-type", "application/json");
    proxy.send(request, if method == "POST" { workflow } else { String::new() }).await
}

/// A key of the owner's, good for a day.
async fn made(owner: &Owner, label: &str, scopes: &[&str]) -> String {
    let until = SystemClock.now() + 24 * 3600;
    let wanted = json!({ "label": label, "expiresAt": until, "scopes": scopes });
    let made = owner.client.send_json(Request::post("/rest/api-keys"), &wanted).await;
    made.is(200).json()["data"]["rawApiKey"].as_str().unwrap().to_owned()
}

/// The owner's key of the instance's MCP server, which is opened.
async fn of_mcp_server(owner: &Owner) -> String {
    let open = json!({ "mcpAccessEnabled": true });
    owner.client.send_json(Request::patch("/rest/mcp/settings"), &open).await.is(200);
    let made = owner.client.send_json(Request::post("/rest/mcp/api-key/rotate"), &json!({})).await;
    made.is(200).json()["data"]["apiKey"].as_str().unwrap().to_owned()
}

/// What the operator is told that a key is called.
async fn fingerprint(key: &str) -> String {
    let mut command = program();
    command.args(["api-keys", "fingerprint"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).await.unwrap();
    let done = child.wait_with_output().await.unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_public_api_is_as_n8n_describes_it() {
    let n8n = given("N8N_GATEWAY_TEST_N8N").join("node_modules/n8n/dist");
    let described = fs::read_to_string(n8n.join("public-api/v1/openapi.yml")).unwrap();
    let (_, paths) = described.split_once("\npaths:\n").unwrap();
    let mut routes = BTreeSet::new();
    let mut path = "";
    for line in paths.lines().take_while(|line| line.is_empty() || line.starts_with(' ')) {
        if let Some(found) = line.strip_prefix("  /") {
            path = found.trim_end_matches(':');
        } else if let Some(method) = line.strip_prefix("    ").and_then(|it| it.strip_suffix(':'))
            && !method.starts_with(' ')
        {
            routes.insert((method.to_uppercase(), path.to_owned()));
        }
    }
    assert!(routes.len() > 100, "{routes:?}");
    let first =
        |(_, path): &(String, String)| path.split('/').next().unwrap_or_default().to_owned();
    let found: BTreeSet<String> = routes.iter().map(first).collect();
    let ours = RESOURCES.into_iter().filter(|it| *it != MCP_SERVER).map(str::to_owned);
    assert_eq!(ours.collect::<BTreeSet<_>>(), found);
    for (method, path) in &READING {
        assert!(routes.contains(&(method.to_string(), (*path).to_owned())), "{method} {path}");
    }
    // Where n8n asked for no key its answer would show none.
    assert!(!paths.contains("security: []"), "a route without a key");
}

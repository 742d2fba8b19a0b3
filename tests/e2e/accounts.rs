//! What is asked of accounts and of their sessions.

mod api_keys;
mod sessions;

use gateway_testkit::{Gateway, POLICY, Response, token};
use http::StatusCode;
use serde_json::{Value, json};

const TEAM: &str = "192.0.2.1";

fn cookie(user: &str, used_mfa: bool) -> String {
    format!("cookie: n8n-auth={}", token(user, used_mfa))
}

async fn post(gateway: &Gateway, line: &str, body: &Value) -> Response {
    let mut client = gateway.client(TEAM).await;
    let lines = format!("POST {line}\ncontent-type: application/json");
    client.ask_with(&lines, body.to_string()).await
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_no_second_factor_is_led_to_one() {
    let policy = format!("{POLICY}accounts: {{ require_mfa: true }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let (with, without) = (cookie("u1", true), cookie("u1", false));

    let refused =
        gateway.ask(TEAM, &format!("GET /rest/users\n{without}\naccept: text/html")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let said: Value = serde_json::from_str(&refused.body).unwrap();
    let expected = json!({ "status": "error", "message": "Unauthorized", "mfaRequired": true });
    assert_eq!(said, expected, "as n8n says it");
    assert_eq!(gateway.ask(TEAM, &format!("GET /rest/users\n{with}")).await.status, 200);
    assert_eq!(gateway.ask(TEAM, &format!("GET /rest/login\n{without}")).await.status, 200);

    let lines = format!(
        "GET /rest/settings\n{without}\nif-none-match: \"1\"\naccept-encoding: br\nrange: bytes=0-9"
    );
    let led = gateway.ask(TEAM, &lines).await;
    let settings: Value = serde_json::from_str(&led.body).unwrap();
    assert_eq!(settings["data"]["mfa"], json!({ "enabled": true, "enforced": true }));
    assert_eq!((&settings["data"]["settingsMode"], led.header("etag")), (&json!("x"), ""));
    assert_eq!(led.header("content-length"), led.body.len().to_string());
    let seen = gateway.n8n.seen().pop().unwrap();
    for field in ["if-none-match", "accept-encoding", "range"] {
        assert!(!seen.headers.contains_key(field), "{field}");
    }
    let sent = |it: &Value| it["event"] == "access" && it["path"] == "/rest/settings";
    let record = gateway.log().into_iter().find(sent).unwrap();
    assert_eq!(record["sent"], led.body.len(), "what was read of n8n's was not sent");
    let usual = gateway.ask(TEAM, &format!("GET /rest/settings\n{with}")).await;
    assert_eq!((usual.header("etag"), usual.body.contains("mfa")), ("\"1\"", false));

    gateway.ask(TEAM, &format!("GET /webhook/x\n{without}; other=1")).await;
    let seen = gateway.n8n.seen().pop().unwrap();
    assert_eq!(seen.headers.get("cookie").unwrap(), "other=1", "a trigger sees no such session");

    let refusals: Vec<_> =
        gateway.log().into_iter().filter(|it| it["event"] == "refused").collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals.first().unwrap()["reason"], "no_second_factor");
    let metric = "gateway_requests_refused_total{reason=\"no_second_factor\",surface=\"rest\"} 1";
    assert!(gateway.telemetry.exposition().contains(metric));
}

#[tokio::test(start_paused = true)]
async fn whose_address_is_excused_may_do_without_once_they_have_signed_in() {
    let excused = "accounts: { require_mfa: { except: [JWT-robot@example.com] } }\n";
    let gateway = Gateway::start(&format!("{POLICY}{excused}")).unwrap();
    let asks = async |user: &str| {
        let lines = format!("GET /rest/users\n{}", cookie(user, false));
        gateway.ask(TEAM, &lines).await.status.as_u16()
    };
    assert_eq!(asks("jwt-robot@example.com").await, 401, "nobody knows whose session it is");
    for name in ["jwt-robot@example.com", "jwt-person@example.com"] {
        let form = json!({ "emailOrLdapLoginId": name, "password": "right" });
        assert_eq!(post(&gateway, "/rest/login", &form).await.status, 200);
    }
    assert_eq!(asks("jwt-robot@example.com").await, 200);
    assert_eq!(asks("jwt-person@example.com").await, 401);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_who_would_be_led() {
    let policy = format!("{POLICY}accounts: {{ require_mfa: true }}\nmode: dry-run\n");
    let gateway = Gateway::start(&policy).unwrap();
    let without = cookie("u1", false);
    assert_eq!(gateway.ask(TEAM, &format!("GET /rest/users\n{without}")).await.status, 200);
    let settings = gateway.ask(TEAM, &format!("GET /rest/settings\n{without}")).await;
    assert!(!settings.body.contains("mfa"), "{}", settings.body);
    let would = gateway.log().into_iter().find(|it| it["event"] == "would_refuse").unwrap();
    assert_eq!(would["reason"], "no_second_factor");
}

/// Sends a new password, and tells what is answered and whether n8n has seen it.
async fn set(gateway: &Gateway, line: &str, form: &Value) -> (u16, String, bool) {
    let before = gateway.n8n.seen().len();
    let mut client = gateway.client(TEAM).await;
    let lines = format!("{line}\ncontent-type: application/json\naccept: text/html");
    let answer = client.ask_with(&lines, form.to_string()).await;
    let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let message = said.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    if answer.status == 400 && !message.is_empty() {
        assert_eq!(said, json!({ "code": 400, "message": message }), "as n8n says it");
    }
    (answer.status.as_u16(), message, gateway.n8n.seen().len() > before)
}

#[tokio::test]
async fn weak_passwords_are_set_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let leaked = folder.path().join("leaked.txt");
    // "Correct-Horse-Battery-1"
    std::fs::write(&leaked, "A53EC677E36F863A097A2E2EFA1B29EC4AFD1948:12\n").unwrap();
    let asked = format!(
        "{POLICY}accounts: {{ password: {{ min_length: 12, classes: 3, strength: 3, leaked: {} }} }}\n",
        leaked.display()
    );
    let gateway = Gateway::start(&asked).unwrap();
    let (short, uniform) = ("at least 12 characters", "of at least 3 kinds");
    for (password, told) in [
        ("Short1", short),
        ("onlylowercaseletters", uniform),
        ("Correct-Horse-Battery-1", "known from a data leak"),
        ("Password1234", "too easy to guess"),
    ] {
        for (line, field) in [
            ("POST /rest/owner/setup", "password"),
            ("POST /rest/invitations/accept", "password"),
            ("POST /REST/change-password/", "password"),
            ("PATCH /rest/me/password", "newPassword"),
        ] {
            let form = json!({ "email": "a@example.com", field: password });
            let (status, message, seen) = set(&gateway, line, &form).await;
            assert!(status == 400 && message.contains(told), "{line} {password}: {message}");
            assert!(!seen, "{line} {password}");
        }
    }
    for (form, passes) in [
        (json!({ "email": "a@example.com", "password": "Vague-Tundra-Piano-88" }), true),
        (json!({ "email": "a@example.com", "password": ["weak"] }), true),
        (json!({ "email": "a@example.com" }), true),
        (json!({ "email": "a@example.com", "password": "Marchetti-2026" }), true),
        (json!({ "lastName": "Marchetti", "email": "a@b.c", "password": "Marchetti-2026" }), false),
    ] {
        assert_eq!(set(&gateway, "POST /rest/owner/setup", &form).await.2, passes, "{form}");
    }
    let mut client = gateway.client(TEAM).await;
    let lines = "POST /rest/change-password\ncontent-type: application/xml";
    let xml = client.ask_with(lines, "<xml><password>Weak1234</password></xml>").await;
    assert_eq!(xml.status, StatusCode::BAD_REQUEST, "n8n would read it");

    std::fs::remove_file(&leaked).unwrap();
    let form = json!({ "email": "a@example.com", "password": "Correct-Horse-Battery-1" });
    assert!(set(&gateway, "POST /rest/owner/setup", &form).await.2, "nobody could look");
    let log = gateway.log();
    assert!(log.iter().any(|it| it["event"] == "leaked_passwords_unread"));
    assert!(!log.iter().any(|it| it.to_string().contains("Horse")));
}

#[tokio::test(start_paused = true)]
async fn accounts_are_made_from_where_and_for_whom_the_policy_says() {
    const HOME: &str = "198.51.100.7";
    let asked = "\
networks: { team: [192.0.2.0/24], home: [198.51.100.0/24] }
accounts:
  owner_setup: home
  invitations: nobody
  sign_up: anyone
  allowed_emails: [\"*@example.com\"]
rate_limits: { sign-in: [] }
";
    let policy = POLICY.replace("networks: { team: [192.0.2.0/24] }\n", asked);
    let gateway = Gateway::start(&policy).unwrap();
    let ask = async |from: &str, line: &str, body: Value| {
        let mut client = gateway.client(from).await;
        let lines = format!("{line}\ncontent-type: application/json\nx-n8n-api-key: good");
        client.ask_with(&lines, body.to_string()).await
    };
    let (ours, other) = (json!({ "email": "a@EXAMPLE.com" }), json!({ "email": "a@evil.net" }));
    for (from, line, body, status) in [
        (HOME, "POST /rest/owner/setup", &ours, 200),
        (HOME, "POST /rest/owner/setup", &other, 400),
        (HOME, "GET /rest/workflows", &json!({}), 404),
        (TEAM, "POST /rest/owner/setup", &ours, 404),
        (TEAM, "POST /Rest/Owner/Setup/", &ours, 404),
        (TEAM, "POST /rest/invitations", &json!([ours]), 404),
        (TEAM, "POST /rest/forgot-password", &ours, 200),
        (TEAM, "POST /rest/forgot-password", &other, 400),
        (TEAM, "PATCH /rest/me", &ours, 200),
        (TEAM, "PATCH /rest/me", &other, 400),
        (TEAM, "POST /api/v1/users", &json!([ours]), 200),
        (TEAM, "POST /api/v1/users", &json!([ours, other]), 400),
        (HOME, "GET /rest/resolve-signup-token", &json!({}), 400),
        (HOME, "POST /rest/forgot-password", &ours, 404),
    ] {
        let answer = ask(from, line, body.clone()).await;
        assert_eq!(answer.status, status, "{from} {line} {body}: {}", answer.body);
    }
    tokio::time::advance(std::time::Duration::from_hours(1)).await;
    let told = ask(TEAM, "POST /rest/change-email", other).await.body;
    assert_eq!(told, r#"{"code":400,"message":"This address cannot be used here."}"#);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_foreign_address_keeps_it_and_gets_no_other() {
    let policy = format!("{POLICY}accounts: {{ allowed_emails: \"*@example.com\" }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let owner = "jwt-owner@elsewhere.example";
    let form = json!({ "emailOrLdapLoginId": owner, "password": "right" });
    assert_eq!(post(&gateway, "/rest/login", &form).await.status, 200);
    for (user, email, status) in [
        (owner, "JWT-Owner@elsewhere.example", 200),
        (owner, "jwt-owner@evil.net", 400),
        (owner, "owner@example.com", 200),
        ("jwt-other@example.com", owner, 400),
    ] {
        let mut client = gateway.client(TEAM).await;
        let lines =
            format!("PATCH /rest/me\ncontent-type: application/json\n{}", cookie(user, true));
        let body = json!({ "email": email, "firstName": "A" }).to_string();
        assert_eq!(client.ask_with(&lines, body).await.status, status, "{user} {email}");
    }
}

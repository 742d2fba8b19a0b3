//! How long sessions last, from where they are used, and how the operator ends them.

use std::time::Duration;

use gateway_certs::{Clock, SystemClock};
use gateway_ledger::Ended;
use gateway_testkit::{Gateway, POLICY, Step, token_of};
use serde_json::{Value, json};
use tokio::time::advance;

const TEAM: &str = "192.0.2.1";
/// The same network, and another.
const NEAR: &str = "192.0.2.200";
const FAR: &str = "198.51.100.7";

const MINUTE: Duration = Duration::from_mins(1);

fn start(rest: &str) -> Gateway {
    let wide = POLICY.replace("team: [192.0.2.0/24]", "team: [192.0.2.0/24, 198.51.100.0/24]");
    Gateway::start(&format!("{wide}{rest}\n")).unwrap()
}

/// A session that was made now.
fn session(user: &str) -> String {
    format!("cookie: n8n-auth={}", token_of(user, true, SystemClock.now()))
}

/// What somebody at `from` with a session is answered where n8n asks for one.
async fn asks(gateway: &Gateway, from: &str, session: &str) -> u16 {
    gateway.ask(from, &format!("GET /rest/login\n{session}")).await.status.as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_session_lasts_as_long_as_it_may_and_as_it_is_used() {
    let gateway = start("accounts: { sessions: { max_age: 2h, idle: 30m } }");
    let used = session("used");
    for _ in 0..6 {
        assert_eq!(asks(&gateway, TEAM, &used).await, 200);
        advance(20 * MINUTE).await;
    }
    advance(MINUTE).await;
    let over = gateway.ask(TEAM, &format!("GET /rest/login\n{used}")).await;
    assert_eq!((over.status.as_u16(), over.body.as_str()), (401, gateway_n8n::UNAUTHORIZED));
    let seen = gateway.n8n.seen().len();
    assert_eq!(asks(&gateway, TEAM, &used).await, 401);
    assert_eq!(gateway.n8n.seen().len(), seen, "n8n was asked");

    let idle = start("accounts: { sessions: { idle: 30m } }");
    let session = session("idle");
    assert_eq!(asks(&idle, TEAM, &session).await, 200);
    advance(31 * MINUTE).await;
    assert_eq!(asks(&idle, TEAM, &session).await, 401);
    // Nor does a page that needs no session bring it back.
    idle.ask(TEAM, &format!("GET /\n{session}")).await;
    assert_eq!(asks(&idle, TEAM, &session).await, 401);
    // Whoever is signed out sees what strangers see, and can sign in again.
    idle.ask(TEAM, &format!("GET /rest/settings\n{session}")).await;
    assert!(!idle.n8n.seen().pop().unwrap().headers.contains_key("cookie"));
    let mut client = idle.client(TEAM).await;
    let form = json!({ "emailOrLdapLoginId": "a@b.c", "password": "right" }).to_string();
    let lines = format!("POST /rest/login\ncontent-type: application/json\n{session}");
    assert_eq!(client.ask_with(&lines, form).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_moves_is_told_or_has_to_be_made_again() {
    let moves = |gateway: &Gateway| -> Vec<Value> {
        gateway.log().into_iter().filter(|it| it["event"] == "session_moved").collect()
    };
    let gateway = start("accounts: { sessions: {} }");
    let told = session("told");
    for from in [TEAM, NEAR, FAR, FAR, TEAM] {
        assert_eq!(asks(&gateway, from, &told).await, 200);
    }
    let events = moves(&gateway);
    assert_eq!(events.len(), 1, "each network once: {events:?}");
    let event = events.first().unwrap();
    assert_eq!((&event["from"], &event["to"]), (&json!("192.0.2.0/24"), &json!("198.51.100.0/24")));
    assert_eq!((&event["user"], &event["client"]), (&json!("id-of-told"), &json!(FAR)));

    let gateway = start("accounts: { sessions: { new_network: refuse } }");
    let kept = session("kept");
    assert_eq!(asks(&gateway, TEAM, &kept).await, 200);
    assert_eq!(asks(&gateway, FAR, &kept).await, 401);
    // Nor does a page that needs no session make a place a known one.
    for page in ["/", "/rest/settings"] {
        assert_eq!(gateway.ask(FAR, &format!("GET {page}\n{kept}")).await.status, 200);
        assert_eq!(asks(&gateway, FAR, &kept).await, 401, "after {page}");
    }
    assert_eq!(asks(&gateway, NEAR, &kept).await, 200);
    assert!(moves(&gateway).is_empty());
    let refused = gateway.log().into_iter().find(|it| it["event"] == "refused").unwrap();
    assert_eq!(refused["reason"], "session_elsewhere");

    let gateway = start("accounts: { sessions: { new_network: refuse } }\nmode: dry-run");
    assert_eq!(asks(&gateway, TEAM, &kept).await, 200);
    assert_eq!(asks(&gateway, FAR, &kept).await, 200);
    let would = gateway.log().into_iter().find(|it| it["event"] == "would_refuse").unwrap();
    assert_eq!(would["reason"], "session_elsewhere");
}

#[tokio::test(start_paused = true)]
async fn who_has_signed_in_in_two_places_is_at_home_in_both() {
    let gateway = start("accounts: { sessions: { new_network: refuse } }");
    let name = "jwt-two@example.com";
    let signs_in = async |from: &str| {
        let mut client = gateway.client(from).await;
        let form = json!({ "emailOrLdapLoginId": name, "password": "right" }).to_string();
        let lines = "POST /rest/login\ncontent-type: application/json";
        assert_eq!(client.ask_with(lines, form).await.status, 200);
    };
    let kept = format!("cookie: n8n-auth={}", token_of(name, false, 1));
    signs_in(TEAM).await;
    assert_eq!(asks(&gateway, FAR, &kept).await, 401, "nobody has signed in there");
    signs_in(FAR).await;
    for from in [FAR, TEAM, NEAR, FAR] {
        assert_eq!(asks(&gateway, from, &kept).await, 200, "{from}");
    }
    // The operator ends all: where somebody has signed in counts for nothing any more.
    assert_eq!(gateway.guard().end_sessions(&Ended::All, "me", "stolen"), 1);
    advance(2 * MINUTE).await;
    let again = token_of(name, false, SystemClock.now() + 100);
    let again = format!("cookie: n8n-auth={again}");
    assert_eq!(asks(&gateway, FAR, &again).await, 200);
    assert_eq!(asks(&gateway, TEAM, &again).await, 401);
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_from_one_that_nobody_remembers() {
    let gateway = start("accounts: { sessions: { max_age: 2h } }");
    let (hour, now) = (3600, SystemClock.now());
    let old = format!("cookie: n8n-auth={}", token_of("long", true, now - hour));
    let new = token_of("long", true, now);
    // n8n gives another cookie where its answer does not show whether it took the one before.
    let answer = format!(
        "HTTP/1.1 200 OK\r\nset-cookie: n8n-auth={new}; Path=/\r\nconnection: close\r\n\
         content-length: 0\r\n\r\n"
    );
    gateway.n8n.set_script(Some(vec![Step::Request, Step::Say(answer.into())]));
    assert_eq!(gateway.ask(TEAM, &format!("GET /rest/a/b/c\n{old}")).await.status, 200);
    gateway.n8n.set_script(None);
    let new = format!("cookie: n8n-auth={new}");
    assert_eq!(asks(&gateway, TEAM, &new).await, 200);
    advance(61 * MINUTE).await;
    assert_eq!(asks(&gateway, TEAM, &new).await, 401, "its user has signed in two hours ago");
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_ends_is_over_however_it_is_spelled() {
    let gateway = start("accounts: { sessions: {} }");
    let (one, other) = (session("one"), session("other"));
    for session in [&one, &other] {
        assert_eq!(asks(&gateway, TEAM, session).await, 200);
    }
    let user = Ended::User("id-of-one".to_owned());
    assert_eq!(gateway.guard().end_sessions(&user, "me", "it was stolen"), 1);
    assert_eq!(asks(&gateway, TEAM, &one).await, 401);
    let value = one.trim_start_matches("cookie: n8n-auth=");
    for odd in [format!("\"{value}\""), format!("j:\"{value}\""), value.replace('.', "%2e")] {
        assert_eq!(asks(&gateway, TEAM, &format!("cookie: n8n-auth={odd}")).await, 401, "{odd}");
    }
    assert_eq!(asks(&gateway, TEAM, &other).await, 200);
    advance(2 * MINUTE).await;
    let again = token_of("one", true, SystemClock.now() + 100);
    assert_eq!(asks(&gateway, TEAM, &format!("cookie: n8n-auth={again}")).await, 200);
    assert_eq!(gateway.guard().end_sessions(&Ended::All, "me", ""), 2);
    assert_eq!(asks(&gateway, TEAM, &other).await, 401);
    let ended = gateway.log().into_iter().find(|it| it["event"] == "sessions_ended").unwrap();
    assert_eq!((&ended["by"], &ended["why"]), (&json!("me"), &json!("it was stolen")));
}

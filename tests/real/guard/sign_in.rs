//! Forms to sign in with, as n8n reads them, and who gets in while others guess.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use hyper::Request;
use serde_json::{Value, json};

use super::{HOST, OPEN, UNLIMITED, client, spelled, stranger};
use crate::{
    client::{Answer, Client},
    installation::{Gateway, Installation, TEAM},
    owner::{EMAIL, Owner, PASSWORD, sign_in},
    processes::{eventually, step},
};

/// The addresses that guess at the owner's password: 127.0.0.4 and those after it.
const GUESSERS: std::ops::Range<u8> = 4..16;

/// What strangers together may try at one account in a minute.
const STRANGERS_TRIES: usize = 2;

/// n8n locks an owner out whose address others guess at. The gateway leaves n8n's tries to those
/// who have signed in before.
pub(super) async fn who_has_been_here_gets_in(installation: &Installation) {
    step("the owner signs in while others guess");
    let gateway = installation.gateway_with("guessed-at", HOST, OPEN).await;
    // This machine's own address would tell nobody apart.
    let home = client(&gateway, 50);
    let first = sign_in(&home, EMAIL, PASSWORD).await.is(200);
    let device = client(&gateway, 99).signed_in(&first.cookie("__Host-gateway-device"));
    let (guesses, again) = tokio::join!(guess(&gateway, 0), sign_in(&home, EMAIL, PASSWORD));
    again.is(200);
    let (more, elsewhere) = tokio::join!(guess(&gateway, 12), sign_in(&device, EMAIL, PASSWORD));
    elsewhere.is(200);

    let answers = [guesses, more].concat();
    let wrong = answers.iter().filter(|answer| answer.0 == 401).count();
    assert!((1..=STRANGERS_TRIES).contains(&wrong), "{answers:?}");
    for (status, retry_after) in &answers {
        assert!(*status == 401 || (*status == 429 && *retry_after > 0), "{answers:?}");
    }
    let of_a_guesser =
        |it: &Value| GUESSERS.map(stranger).any(|from| it["client"] == *from.to_string());
    let records = eventually("a record of each guess", async || {
        let records: Vec<_> = gateway.events("access").into_iter().filter(of_a_guesser).collect();
        (records.len() == answers.len()).then_some(records)
    })
    .await;
    let reached: Vec<_> = records.iter().filter(|it| it["n8n_status"].is_u64()).collect();
    assert_eq!(reached.len(), wrong, "{reached:?}");
    assert!(reached.iter().all(|it| it["n8n_status"] == 401), "{reached:?}");
    gateway.kill().await;
}

/// A guess from each address, each in another spelling; gives the statuses, and when to try again.
async fn guess(gateway: &Gateway, spelling: u32) -> Vec<(u16, u64)> {
    let guesses = GUESSERS.zip(spelling + 1..).map(async |(n, spelling)| {
        // n8n trims as well.
        let name = format!("{}{}", spelled(EMAIL, spelling), " ".repeat(usize::from(n % 3)));
        let answer = sign_in(&client(gateway, n), &name, "Wr0ng-Guess").await;
        (answer.status.as_u16(), answer.header("retry-after").parse().unwrap_or(0))
    });
    join_all(guesses).await
}

/// The premise of it: without the gateway's limits five guesses from anywhere shut its owner out.
pub(super) async fn n8n_alone_locks_people_out(installation: &Installation, owner: &Owner) {
    step("n8n alone locks people out");
    const VICTIM: &str = "victim@example.com";
    owner.invite(VICTIM).await;
    let gateway = installation.gateway_with("alone", HOST, UNLIMITED).await;
    for n in 4..9 {
        sign_in(&client(&gateway, n), VICTIM, "Wr0ng-Guess").await.is(401);
    }
    let shut_out = sign_in(&gateway.client(TEAM), VICTIM, PASSWORD).await.is(429);
    let record = gateway.record(shut_out.header("x-request-id")).await;
    assert_eq!(record["n8n_status"], 429, "{record}");
    gateway.kill().await;
}

/// What n8n reads signs in; what it does not read, or never answers, does not reach it.
pub(super) async fn forms(installation: &Installation, owner: &Owner) {
    step("forms to sign in with");
    const MEMBER: &str = "member@example.com";
    owner.invite(MEMBER).await;
    let gateway = installation.gateway_with("forms", HOST, UNLIMITED).await;
    let client = client(&gateway, 2);
    let json = json!({"emailOrLdapLoginId": MEMBER, "password": PASSWORD}).to_string();
    let urlencoded = format!("emailOrLdapLoginId=member%40example.com&password={PASSWORD}");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(json.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let (as_json, as_form) = ("application/json", "application/x-www-form-urlencoded");
    let mut accounts = Vec::new();
    for (kind, encoding, body) in [
        (as_json, None, json.clone().into_bytes()),
        ("application/json; charset=utf-8", None, json.clone().into_bytes()),
        (as_form, None, urlencoded.into_bytes()),
        (as_json, Some("gzip"), gzip),
    ] {
        let answer = post(&client, kind, encoding, body).await.is(200);
        assert!(answer.cookie("n8n-auth").len() > 20, "{answer:?}");
        let id = answer.header("x-request-id");
        let event = gateway.event("sign_in_succeeded", |it| it["request_id"] == id).await;
        assert_eq!(event["client"], "127.0.0.2", "{event}");
        accounts.push(event["account"].clone());
    }
    assert!(accounts.iter().all(|it| it.is_string() && *it == accounts[0]), "{accounts:?}");

    step("forms that never reach n8n");
    let xml = format!(
        "<form><emailOrLdapLoginId>{MEMBER}</emailOrLdapLoginId>\
         <password>{PASSWORD}</password></form>"
    );
    let utf16: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (kind, encoding, body) in [
        ("application/xml", None, xml.clone().into_bytes()),
        ("application/soap+xml", None, xml.into_bytes()),
        // n8n never answers this.
        ("application/xml", None, b"<form><broken".to_vec()),
        ("application/json; charset=utf-16le", None, utf16),
        (as_json, Some("br"), json.into_bytes()),
    ] {
        let answer = post(&client, kind, encoding, body).await.is(400);
        let record = gateway.record(answer.header("x-request-id")).await;
        assert_eq!(record["n8n_status"], Value::Null, "{record}");
        assert_eq!(record["reason"], "unreadable_form", "{record}");
    }
    gateway.kill().await;
}

async fn post(client: &Client, kind: &str, encoding: Option<&str>, body: Vec<u8>) -> Answer {
    let mut request = Request::post("/rest/login").header("content-type", kind);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    client.send(request, body).await
}

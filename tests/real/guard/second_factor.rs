//! Somebody who has a right password, and has to guess the second factor.

use aws_lc_rs::hmac;
use gateway_certs::{Clock, SystemClock};
use hyper::Request;
use serde_json::json;

use super::{HOST, UNLIMITED, client, spelled};
use crate::{
    client::{Answer, Client},
    installation::{Gateway, Installation, TEAM},
    owner::{Owner, PASSWORD, sign_in},
    processes::step,
};

const CAREFUL: &str = "careful@example.com";

pub(super) async fn guessed_and_shown(installation: &Installation, owner: &Owner) {
    step("a second factor");
    owner.invite(CAREFUL).await;
    let gateway = installation.gateway_with("second-factor", HOST, UNLIMITED).await;
    let secret = enrol(&gateway).await;

    step("wrong codes");
    let thief = client(&gateway, 2);
    for count in 1..=2_u32 {
        let answer = with_code(&thief, count, &wrong(&secret)).await.is(401);
        let id = answer.header("x-request-id");
        let failed = gateway.event("sign_in_failed", |it| it["request_id"] == id).await;
        assert_eq!(failed["because"], "wrong_second_factor", "{failed}");
        let offence = gateway.event("offence", |it| it["request_id"] == id).await;
        let told = (&offence["offence"], &offence["jail"], &offence["count"]);
        let expected = (&json!("wrong_second_factor"), &json!("second-factor"), &json!(count));
        assert_eq!(told, expected, "{offence}");
    }

    step("a password that leaked");
    for nth in 3..=5 {
        assert!(gateway.events("password_leaked").is_empty(), "too early: {nth}");
        let shown = sign_in(&thief, &spelled(CAREFUL, nth), PASSWORD).await.is(401);
        assert_eq!(shown.json()["code"], 998, "{shown:?}");
        let id = shown.header("x-request-id");
        let failed = gateway.event("sign_in_failed", |it| it["request_id"] == id).await;
        assert_eq!(failed["because"], "no_second_factor", "{failed}");
    }
    let leaked = gateway.event("password_leaked", |_| true).await;
    assert_eq!(leaked["count"], 3, "{leaked}");
    let (_, why) = gateway.bans(&["why", "127.0.0.2"]).await;
    assert_eq!(why["held"].as_array().unwrap().len(), 5, "{why}");

    step("a right code");
    let signed = with_code(&thief, 6, &code(&secret, now())).await.is(200);
    let id = signed.header("x-request-id");
    let event = gateway.event("sign_in_succeeded", |it| it["request_id"] == id).await;
    assert_eq!(event["account"], leaked["account"], "{event}");
    let (banned, why) = gateway.bans(&["why", "127.0.0.2"]).await;
    assert!(!banned && why["held"] == json!([]), "{why}");
    // Counting begins anew.
    for nth in 7..=8 {
        let shown = sign_in(&thief, &spelled(CAREFUL, nth), PASSWORD).await.is(401);
        let id = shown.header("x-request-id");
        gateway.event("sign_in_failed", |it| it["request_id"] == id).await;
    }
    assert_eq!(gateway.events("password_leaked").len(), 1);
    gateway.kill().await;
}

/// Gives the account a second factor; tells its secret.
async fn enrol(gateway: &Gateway) -> String {
    let home = gateway.client(TEAM);
    let signed = sign_in(&home, CAREFUL, PASSWORD).await.is(200);
    let home = home.signed_in(&signed.cookie("n8n-auth"));
    let offered = home.send(Request::get("/rest/mfa/qr"), "").await.is(200).json();
    let secret = offered["data"]["secret"].as_str().unwrap().to_owned();
    let proof = json!({"mfaCode": code(&secret, now())});
    home.send_json(Request::post("/rest/mfa/enable"), &proof).await.is(200);
    secret
}

/// Tries to sign in with the right password and a code, in the account's `nth` spelling.
async fn with_code(client: &Client, nth: u32, code: &str) -> Answer {
    let name = spelled(CAREFUL, nth);
    let form = json!({"emailOrLdapLoginId": name, "password": PASSWORD, "mfaCode": code});
    client.send_json(Request::post("/rest/login"), &form).await
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemClock.now().try_into().unwrap()
}

/// How long a code is shown, in seconds (RFC 6238 5.2).
const STEP: u64 = 30;

/// A code that is not right now, nor a moment ago, nor soon.
fn wrong(secret: &str) -> String {
    let (now, all) = (now(), ["000000", "111111", "222222", "333333", "444444", "555555"]);
    // n8n takes codes of a minute before and after.
    let right: Vec<_> = (0..9).map(|n| code(secret, now + n * STEP - 4 * STEP)).collect();
    let wrong = all.into_iter().find(|it| !right.iter().any(|right| right == it));
    wrong.expect("a code that is wrong").to_owned()
}

/// The code of six digits at a time (RFC 4226 5.3, RFC 6238 4.2).
pub(crate) fn code(secret: &str, at: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &base32(secret));
    let tag = hmac::sign(&key, &(at / STEP).to_be_bytes());
    let tag = tag.as_ref();
    let from = usize::from(tag[tag.len() - 1] & 15);
    let chosen = u32::from_be_bytes(tag[from..from + 4].try_into().unwrap());
    format!("{:06}", (chosen & 0x7fff_ffff) % 1_000_000)
}

/// RFC 4648 6.
fn base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            other => panic!("{other} in base32"),
        };
        (held, bits) = (held << 5 | u32::from(value), bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits).to_be_bytes()[3]);
            held &= (1 << bits) - 1;
        }
    }
    bytes
}

#[test]
fn codes_are_those_of_the_standard() {
    // RFC 6238, appendix B, cut to six digits; the secret is "12345678901234567890".
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    for (at, expected) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
        assert_eq!(code(secret, at), expected, "{at}");
    }
}

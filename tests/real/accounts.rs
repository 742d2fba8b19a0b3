//! Accounts: what the gateway says of n8n's own routes, and how its editor takes what is asked of
//! accounts, in a browser.

mod browser;
mod source;

use std::{fs, path::Path};

use hyper::Request;
use serde_json::{Value, json};

use self::browser::Browser;
use crate::{
    client::Client,
    guard::second_factor::{code, now},
    installation::Installation,
    owner::{EMAIL, Owner, sign_in},
    processes::{eventually, step, turn},
};

/// Everything that is asked of accounts.
fn policy(leaked: &Path) -> String {
    format!(
        "\
networks: {{ team: [127.0.0.1, 127.0.0.5] }}
access: {{ editor: team }}
rate_limits: {{ sign-in: [] }}
accounts:
  require_mfa: true
  sessions: {{ max_age: 1h }}
  password: {{ min_length: 12, strength: 3, leaked: {} }}
",
        leaked.display()
    )
}

/// A password that is as the policy asks.
const STRONG: &str = "Vague-Tundra-Piano-88";

/// A password that has leaked, and its SHA-1.
const LEAKED: &str = "Correct-Horse-Battery-1";
const ITS_HASH: &str = "A53EC677E36F863A097A2E2EFA1B29EC4AFD1948";

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_held_to_what_the_policy_asks() {
    let _turn = turn().await;
    let leaked = tempfile::NamedTempFile::new().unwrap();
    fs::write(leaked.path(), format!("{ITS_HASH}:3861493\n")).unwrap();
    let policy = policy(leaked.path());
    let installation = Installation::start_with("localhost", &policy).await;
    let browser = Browser::start(&installation).await;
    let claim = Request::post("/rest/owner/setup");
    let stranger = installation.stranger.send_json(claim, &json!({})).await;
    stranger.is(404).tells_nothing_of_n8n();
    installation.gateway.event("n8n_unclaimed", |_| true).await;
    browser.shows("claimed", async |it| claimed(it).await).await;
    refused_by_hand(&installation).await;
    let secret = browser.shows("second-factor", async |it| led_to_enrol(it).await).await;

    step("with the code");
    let form =
        json!({"emailOrLdapLoginId": EMAIL, "password": STRONG, "mfaCode": code(&secret, now())});
    let signed = installation.team.send_json(Request::post("/rest/login"), &form).await.is(200);
    let client = installation.team.signed_in(&signed.cookie("n8n-auth"));
    client.send(Request::get("/rest/workflows"), "").await.is(200);
    browser.stop().await;
    ended(&installation, &client).await;
    installation.stop().await;
}

/// The operator sees who is signed in, and ends it.
async fn ended(installation: &Installation, client: &Client) {
    step("a session is ended");
    client.send(Request::get("/rest/login"), "").await.is(200);
    let gateway = &installation.gateway;
    let listed = gateway.told(&["sessions", "list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let user = listed[0]["user"].as_str().unwrap().to_owned();
    let revoked = gateway.told(&["sessions", "revoke", "--user", &user]).await;
    assert!(revoked.status.success(), "{revoked:?}");
    client.send(Request::get("/rest/login"), "").await.is(401);
    client.send(Request::get("/rest/workflows"), "").await.is(401);
    let settings = client.send(Request::get("/rest/settings"), "").await.is(200).json();
    assert_eq!(settings["data"]["settingsMode"], "public", "as strangers see it");
    let none = gateway.told(&["sessions", "list"]).await;
    assert_eq!(String::from_utf8_lossy(&none.stdout).trim(), "no session is known");
}

/// Claims n8n in its own form, where weak passwords are refused.
async fn claimed(browser: &Browser) {
    browser.goto("/setup").await;
    let owner = [("email", EMAIL), ("firstName", "Olive"), ("lastName", "Owner")];
    for (name, value) in owner {
        browser.type_into(&format!("input[name={name}]"), value).await;
    }
    for (password, told) in [
        ("Short1-Pass", "Password must have at least 12 characters."),
        (LEAKED, "This password is known from a data leak."),
        ("Password1234", "This password is too easy to guess."),
    ] {
        step(told);
        browser.type_into("input[name=password]", password).await;
        browser.click("[data-test-id=form-submit-button]").await;
        browser.until_says(told).await;
        browser.picture(&format!("password-{}", password.len())).await;
    }
    step("a strong password");
    browser.type_into("input[name=password]", STRONG).await;
    browser.click("[data-test-id=form-submit-button]").await;
    browser.until_at("/settings/personal").await;
}

async fn refused_by_hand(installation: &Installation) {
    step("a session without a second factor");
    let signed = sign_in(&installation.team, EMAIL, STRONG).await.is(200);
    let owner = Owner { client: installation.team.signed_in(&signed.cookie("n8n-auth")) };
    let refused = owner.client.send(Request::get("/rest/workflows"), "").await.is(401);
    assert_eq!(refused.json()["mfaRequired"], true, "{}", refused.text());
    owner.client.send(Request::get("/rest/login"), "").await.is(200);
    let settings = owner.client.send(Request::get("/rest/settings"), "").await.is(200).json();
    assert_eq!(settings["data"]["mfa"], json!({"enabled": true, "enforced": true}));

    step("the same session in other spellings");
    let token = owner.token();
    for cookie in [
        format!("n8n-auth=\"{token}\""),
        format!("n8n-auth=j:\"{token}\""),
        format!("n8n-auth={}", token.replace('.', "%2e")),
        format!("n8n-auth ={token}"),
        format!("n8n-auth={token}; n8n-auth=x"),
    ] {
        let client = installation.team.signed_in(&cookie);
        client.send(Request::get("/rest/workflows"), "").await.is(401);
    }
    sign_in(&installation.team, EMAIL, STRONG).await.is(200);
}

/// Is led to set up a second factor, does so, and works. Gives
/// the secret.
async fn led_to_enrol(browser: &Browser) -> String {
    step("led to enrol");
    browser.until_at("/settings/personal").await;
    browser.until_says("require you to set up 2FA").await;
    browser.click("[data-test-id=enable-mfa-button]").await;
    let secret = eventually("the secret", async || {
        let asked = browser.ask("GET", "/rest/mfa/qr").await;
        asked["data"]["secret"].as_str().map(str::to_owned)
    })
    .await;
    browser.type_into("[data-test-id=mfa-token-input]", &code(&secret, now())).await;
    browser.click("[data-test-id=mfa-recovery-codes-button]").await;
    browser.picture("enrolling").await;
    browser.click("[data-test-id=mfa-save-button]").await;

    step("signed out to sign in with the code");
    browser.until_at("/signin").await;
    browser.type_into("input[name=emailOrLdapLoginId]", EMAIL).await;
    browser.type_into("input[name=password]", STRONG).await;
    browser.click("[data-test-id=form-submit-button]").await;
    browser.type_into("input[placeholder='e.g. 123456']", &code(&secret, now())).await;
    browser.until_at("/home/workflows").await;
    secret
}

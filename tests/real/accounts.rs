//! Accounts: what the gateway says of n8n's own routes, and how its editor takes what is asked of
//! accounts, in a browser.

mod browser;
mod source;

use hyper::Request;
use serde_json::json;

use self::browser::Browser;
use crate::{
    guard::second_factor::{code, now},
    installation::Installation,
    owner::{EMAIL, Owner, PASSWORD, sign_in},
    processes::{eventually, step, turn},
};

/// Everything that is asked of accounts.
const POLICY: &str = "\
networks: { team: [127.0.0.1, 127.0.0.5] }
access: { editor: team }
rate_limits: { sign-in: [] }
accounts: { require_mfa: true }
";

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_held_to_what_the_policy_asks() {
    let _turn = turn().await;
    let installation = Installation::start_with("localhost", POLICY).await;
    let owner = Owner::set_up(&installation.team).await;
    refused_by_hand(&installation, &owner).await;
    let browser = Browser::start(&installation).await;
    let secret = browser.shows("second-factor", async |it| led_to_enrol(it).await).await;

    step("with the code");
    let form =
        json!({"emailOrLdapLoginId": EMAIL, "password": PASSWORD, "mfaCode": code(&secret, now())});
    let signed = installation.team.send_json(Request::post("/rest/login"), &form).await.is(200);
    let client = installation.team.signed_in(&signed.cookie("n8n-auth"));
    client.send(Request::get("/rest/workflows"), "").await.is(200);
    browser.stop().await;
    installation.stop().await;
}

async fn refused_by_hand(installation: &Installation, owner: &Owner) {
    step("a session without a second factor");
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
    sign_in(&installation.team, EMAIL, PASSWORD).await.is(200);
}

/// Signs in with the password alone, is led to set up a second factor, does so, and works. Gives
/// the secret.
async fn led_to_enrol(browser: &Browser) -> String {
    step("led to enrol");
    browser.goto("/signin").await;
    browser.type_into("input[name=emailOrLdapLoginId]", EMAIL).await;
    browser.type_into("input[name=password]", PASSWORD).await;
    browser.click("[data-test-id=form-submit-button]").await;
    browser.until_at("/settings/personal").await;
    browser.click("[data-test-id=enable-mfa-button]").await;
    let secret = eventually("the secret", async || {
        let asked = browser.ask("GET", "/rest/mfa/qr").await;
        asked["data"]["secret"].as_str().map(str::to_owned)
    })
    .await;
    browser.type_into("[data-test-id=mfa-token-input] input", &code(&secret, now())).await;
    browser.picture("enrolling").await;
    browser.click("[data-test-id=mfa-save-button]").await;
    secret
}

//! n8n over HTTPS, from sign-in to a crash: one n8n, one gateway, one step after the other.

use hyper::{Method, Request, Version};
use serde_json::json;

use crate::{
    client::Client,
    installation::Installation,
    outage,
    owner::{EMAIL, Owner, PASSWORD},
    processes::{step, turn},
    push, triggers,
};

#[tokio::test(flavor = "multi_thread")]
async fn n8n_works_as_if_nothing_stood_in_front_of_it() {
    let _turn = turn().await;
    let mut installation = Installation::start("n8n.test").await;

    let owner = sign_in(&installation.team).await;
    strangers_see_nothing(&installation.stranger, &owner).await;
    oauth_callback(&installation.stranger).await;
    http2(&installation, &owner).await;

    // n8n pings its push channel once a minute: enough time for everything that is triggered.
    let (pushed, triggered) = tokio::join!(
        Box::pin(push::channel(&owner, &installation.stranger)),
        Box::pin(triggers::all(&owner, &installation)),
    );

    outage::crash_and_recovery(&mut installation).await;
    let mut secrets = [pushed, triggered].concat();
    secrets.extend([owner.token(), PASSWORD, CODE, STATE].map(str::to_owned));
    outage::the_log_keeps_secrets(&installation.gateway, &secrets).await;
    installation.stop().await;
}

/// The first owner's set-up, signing in with and without a cookie.
async fn sign_in(team: &Client) -> Owner {
    step("sign-in");
    let owner = Owner::set_up(team).await;
    let me = owner.client.send(Request::get("/rest/login"), "").await.is(200).json();
    assert_eq!(me["data"]["email"], EMAIL, "{me}");
    team.send(Request::get("/rest/login"), "").await.is(401);
    owner
}

/// What is closed is not there, whoever asks: not even with the owner's cookie.
async fn strangers_see_nothing(stranger: &Client, owner: &Owner) {
    step("strangers see nothing");
    let (get, post) = (Method::GET, Method::POST);
    let closed = [
        (&get, "/"),
        (&get, "/signin"),
        (&get, "/workflow/new"),
        (&get, "/assets/index.js"),
        (&get, "/favicon.ico"),
        (&get, "/healthz"),
        (&get, "/healthz/readiness"),
        (&get, "/metrics"),
        (&get, "/rest/settings"),
        (&get, "/REST/settings"),
        (&get, "/rest/login"),
        (&post, "/rest/login"),
        (&post, "/rest/owner/setup"),
        (&get, "/rest/push"),
        (&get, "/types/nodes.json"),
        (&get, "/api/v1/workflows"),
        (&get, "/webhook-test/x"),
    ];
    let with_cookie = stranger.signed_in(owner.client.cookie().unwrap().to_str().unwrap());
    for (method, path) in closed {
        for (client, accepts) in [(stranger, "text/html"), (&with_cookie, "application/json")] {
            let request = Request::builder().method(method).uri(path).header("accept", accepts);
            let login = json!({"emailOrLdapLoginId": EMAIL, "password": PASSWORD});
            let body = if *method == Method::POST { login.to_string() } else { String::new() };
            let request = request.header("content-type", "application/json");
            client.send(request, body).await.is(404).tells_nothing_of_n8n();
        }
    }
}

const CODE: &str = "c0de-91ab44";
const STATE: &str = "5tate-91ab44";

/// Providers send anybody's browser back to n8n.
async fn oauth_callback(stranger: &Client) {
    step("OAuth callback");
    let path = format!("/rest/oauth2-credential/callback?code={CODE}&state={STATE}");
    let page = stranger.send(Request::get(path), "").await.is(200).text();
    assert!(page.contains("OAuth Callback") && page.contains("Invalid state"), "{page}");
}

/// Browsers speak HTTP/2.
async fn http2(installation: &Installation, owner: &Owner) {
    step("HTTP/2");
    let get = |path| Request::get(path).version(Version::HTTP_2);
    let me = owner.client.send(get("/rest/login"), "").await.is(200).json();
    assert_eq!(me["data"]["email"], EMAIL, "{me}");
    let page = owner.client.send(get("/"), "").await.is(200).text();
    assert!(page.contains("<div id=\"app\">"), "{page}");
    installation.stranger.send(get("/"), "").await.is(404).tells_nothing_of_n8n();
}

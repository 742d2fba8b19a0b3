//! `n8n-gateway doctor`: the way through the public name, as it should be and with what people get
//! wrong.

use std::fs;

use serde_json::Value;

use crate::{
    audit::Audited,
    installation::{Gateway, STRANGER, TEAM},
    owner::Owner,
    processes::{step, turn},
};

const POLICY: &str = "\
networks: { team: [127.0.0.1, \"::1\"] }
access: { editor: team }
";

/// What the doctor says, by the steps' names.
async fn examined(gateway: &Gateway, arguments: &[&str]) -> (bool, Value) {
    let https = gateway.port().to_string();
    let http = gateway.clear().to_string();
    let usual = ["doctor", "--json", "--connect", "127.0.0.1"];
    let ports = ["--https-port", &https, "--http-port", &http];
    let told = gateway.told(&[&usual[..], &ports, arguments].concat()).await;
    let report: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|why| {
        panic!("{why}: {}", String::from_utf8_lossy(&told.stderr));
    });
    let steps = report["steps"].as_array().unwrap().iter();
    let steps = steps.map(|it| (it["name"].as_str().unwrap().to_owned(), it.clone()));
    (told.status.success(), Value::Object(steps.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_is_gone_step_by_step() {
    let _turn = turn().await;
    let audited = Audited::start(POLICY, &[]).await;
    let owner = Owner::set_up(&audited.gateway.client(TEAM)).await;
    let session = audited.path("session");
    fs::write(&session, owner.token()).unwrap();
    let session = session.display().to_string();

    step("all is well");
    let (fine, steps) = examined(&audited.gateway, &["--session-file", &session]).await;
    assert!(fine, "{steps:#}");
    for name in
        ["certificate", "redirect", "sign-in page", "push socket", "client address", "upload"]
    {
        assert_eq!(steps[name]["ending"], "fine", "{steps:#}");
    }
    assert_eq!(steps["webhook URL"]["ending"], "fine", "{steps:#}");
    assert_eq!(steps["stream"]["ending"], "unknown", "{steps:#}");
    assert!(!steps.to_string().contains(owner.token()), "a session is a secret");

    step("more than the policy lets through");
    let limited = format!("{POLICY}limits: {{ body: {{ webhook: 1MiB }} }}\n");
    let tight = audited.other("tight", &limited).await;
    let (fine, steps) = examined(&tight, &["--session-file", &session]).await;
    assert!(!fine && steps["upload"]["ending"] == "wrong", "{steps:#}");
    assert!(steps["upload"]["change"].as_str().unwrap().contains("limits: { body:"), "{steps:#}");

    step("the editor is closed to whoever asks");
    let closed = audited
        .other(
            "closed",
            &format!("networks: {{ team: [{STRANGER}] }}\naccess: {{ editor: team }}\n"),
        )
        .await;
    let (fine, steps) = examined(&closed, &[]).await;
    assert!(!fine && steps["sign-in page"]["ending"] == "wrong", "{steps:#}");
    assert!(steps["sign-in page"]["change"].as_str().unwrap().contains("explain"), "{steps:#}");
    assert_eq!(steps["push socket"]["ending"], "wrong", "{steps:#}");
    for gateway in [tight, closed] {
        gateway.kill().await;
    }
    audited.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_leave_out_is_named() {
    let _turn = turn().await;
    let left_out = [("N8N_PROXY_HOPS", ""), ("N8N_WEBHOOK_URL", ""), ("N8N_EDITOR_BASE_URL", "")];
    let audited = Audited::start(POLICY, &left_out).await;
    let (fine, steps) = examined(&audited.gateway, &[]).await;
    assert!(!fine);
    assert_eq!(steps["client address"]["ending"], "wrong", "{steps:#}");
    let change = |name: &str| steps[name]["change"].as_str().unwrap().to_owned();
    assert!(change("client address").contains("N8N_PROXY_HOPS=1"), "{steps:#}");
    assert!(change("webhook URL").contains("N8N_WEBHOOK_URL=https://n8n.test/"), "{steps:#}");
    // Nobody is signed in, so that n8n compares no origins.
    assert_eq!(steps["push socket"]["ending"], "unknown", "{steps:#}");
    audited.stop().await;
}

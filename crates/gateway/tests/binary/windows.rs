//! Windows and webhooks from the operator's side: the commands, and what `explain` and `status` say.

use std::process::Output;

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    house::{House, binary, text},
    running::status,
};

/// A command of the program, asked of a running gateway.
fn asked(house: &House, arguments: &[&str]) -> (Option<i32>, String, String) {
    let policy = house.file("policy.yaml").display().to_string();
    let mut command = binary();
    let Output { status, stdout, stderr } =
        command.args(arguments).args(["--config", &policy]).output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn an_operator_lets_somebody_in_for_a_time() {
    let house = House::start();
    let explain = ["explain", "--from", "203.0.113.7", "POST", "/webhook-test/x"];
    assert_eq!(asked(&house, &["open", "list"]).1, "nothing is open\n");
    assert_eq!(asked(&house, &explain).0, Some(1));
    let open = ["open", "--surface", "webhook-test", "--for", "15m", "--from", "203.0.113.7"];
    let (code, out, complaints) = asked(&house, &[&open[..], &["--reason", "a test"]].concat());
    assert_eq!(code, Some(0), "{complaints}");
    for said in ["window 1  203.0.113.7/32 into `webhook-test` until ", "by uid ", ": a test"] {
        assert!(out.contains(said), "{said}: {out}");
    }
    house.wait_for_log("\"event\":\"window_opened\"");
    let (code, out, _) = asked(&house, &explain);
    assert!(code == Some(0) && out.contains("open to this client for a time (window 1)"), "{out}");
    assert!(asked(&house, &["status"]).1.contains("open         window 1  203.0.113.7/32"));
    let (_, out, _) = asked(&house, &["open", "list", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed["windows"][0]["surface"], "webhook-test", "{listed}");
    for (surface, from, lasts, why) in [
        ("webhook-tset", "203.0.113.7", "15m", "no surface `webhook-tset`"),
        ("webhook-test", "203.0.0.0/16", "15m", "no wider than /24"),
        ("webhook-test", "nobody", "15m", "neither an address nor a network"),
        ("webhook-test", "203.0.113.7", "2d", "a day at the most"),
        ("internal", "203.0.113.7", "15m", "nobody outside"),
    ] {
        let open = ["open", "--surface", surface, "--from", from, "--for", lasts];
        let (code, _, complaints) = asked(&house, &open);
        assert!(code == Some(1) && complaints.contains(why), "{complaints}");
    }
    let (code, out, _) = asked(&house, &["close", "1"]);
    assert!(code == Some(0) && out.starts_with("window 1 is closed: 203.0.113.7/32"), "{out}");
    assert_eq!(asked(&house, &["close", "1"]).0, Some(1), "not open any more");
    assert_eq!(asked(&house, &["close", "--all"]).1, "nothing was open\n");
    assert_eq!(asked(&house, &explain).0, Some(1));
    assert_eq!(asked(&house, &["open", "--surface", "editor"]).0, Some(1), "for whom?");
}

#[test]
fn an_operator_sees_which_webhooks_are_called_and_they_are_kept() {
    let mut house = House::start();
    assert_eq!(asked(&house, &["webhooks", "list"]).1, "no webhook was called yet\n");
    let answer = status(&house, "/webhook/orders");
    assert!(answer.contains("200"), "{answer}");
    let listed = |house: &House| {
        let (code, out, complaints) = asked(house, &["webhooks", "list", "--json"]);
        assert_eq!(code, Some(0), "{complaints}");
        let listed: Value = serde_json::from_str(&out).unwrap();
        listed["webhooks"].clone()
    };
    let seen = listed(&house);
    assert_eq!((&seen[0]["path"], &seen[0]["calls"]), (&"/webhook/orders".into(), &1.into()));
    assert_eq!(seen[0]["answers"]["2xx"], 1);
    assert_eq!(seen[0]["networks"][0], "127.0.0.0/24");
    let out = asked(&house, &["webhooks", "list"]).1;
    assert!(out.contains("1 calls (2xx 1), unsigned, from 127.0.0.0/24"), "{out}");
    house.signal("-TERM");
    assert_eq!(house.exit_code(), Some(0));
    let kept = Connection::open(house.file("state/state.db")).unwrap();
    let path: String = kept.query_row("SELECT path FROM webhooks", [], |row| row.get(0)).unwrap();
    assert_eq!(path, "/webhook/orders");
}

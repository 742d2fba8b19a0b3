//! Prometheus's own tool judges the rules, their tests and what the dashboard asks.

use std::fs;

use serde_json::Value;
use tokio::process::Command;

use super::{run, shipped};

async fn promtool(arguments: &[&str]) -> (bool, String) {
    let mut promtool = Command::new("promtool");
    run(promtool.args(arguments).current_dir(shipped("prometheus"))).await
}

#[tokio::test]
async fn each_alert_fires_when_it_must_and_is_silent_when_it_must_not() {
    let (fine, said) = promtool(&["check", "rules", "alerts.yaml"]).await;
    assert!(fine, "{said}");
    let (fine, said) = promtool(&["test", "rules", "alerts.test.yaml"]).await;
    assert!(fine, "{said}");
    // The tool can tell a difference: no alert that must fire fires without its rule.
    let folder = tempfile::tempdir().unwrap();
    let none = "groups: [{ name: n8n-gateway, rules: [] }]\n";
    fs::write(folder.path().join("alerts.yaml"), none).unwrap();
    let tests = folder.path().join("alerts.test.yaml");
    fs::copy(shipped("prometheus/alerts.test.yaml"), &tests).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["test", "rules"]).arg(tests);
    let (fine, said) = run(&mut promtool).await;
    assert!(!fine, "{said}");
}

#[tokio::test]
async fn the_scrape_configuration_is_prometheuss() {
    let folder = tempfile::tempdir().unwrap();
    let scrape = fs::read_to_string(shipped("prometheus/scrape.yaml")).unwrap();
    let rules = shipped("prometheus/alerts.yaml").canonicalize().unwrap();
    let scrape = scrape
        .replace("/etc/prometheus/rules/n8n-gateway/alerts.yaml", &rules.display().to_string());
    let token = folder.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let named = scrape.replace("    # authorization:", "    authorization:");
    let named = named.replace("/etc/prometheus/n8n-gateway-token", &token.display().to_string());
    assert_ne!(named, scrape);
    for (name, text) in [("open.yaml", scrape), ("token.yaml", named)] {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let (fine, said) = promtool(&["check", "config", file.to_str().unwrap()]).await;
        assert!(fine && said.contains("rules found"), "{name}: {said}");
    }
}

/// Each expression becomes a rule of its own, which promtool reads.
#[tokio::test]
async fn what_the_dashboard_asks_is_promql() {
    let board = fs::read_to_string(shipped("grafana/n8n-gateway.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|it| it["targets"].as_array()).flatten();
    let annotations = board["annotations"]["list"].as_array().unwrap();
    let asked: Vec<_> = targets.chain(annotations).map(|it| it["expr"].as_str().unwrap()).collect();
    assert!(asked.len() > 60, "{}", asked.len());
    let rules = asked.iter().enumerate().map(|(n, asked)| {
        // Grafana puts a duration there.
        let expr = asked.replace("$__rate_interval", "1m");
        serde_json::json!({ "record": format!("dashboard:{n}"), "expr": expr })
    });
    let rules: Vec<_> = rules.collect();
    let file = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yaml");
    fs::write(&path, file.to_string()).unwrap();
    let (fine, said) = promtool(&["check", "rules", path.to_str().unwrap()]).await;
    assert!(fine, "{said}");
    fs::write(&path, file.to_string().replace("sum by (jail)", "sum by (jail")).unwrap();
    let (fine, _) = promtool(&["check", "rules", path.to_str().unwrap()]).await;
    assert!(!fine, "the tool can tell a difference");
}

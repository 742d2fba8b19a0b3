//! Rules and dashboard ask for metrics that there are; each alert has its tests and its section.

use std::collections::BTreeSet;

use gateway_config::{Answers, System, load};
use saphyr_parser::Parser;
use serde_json::Value;

use super::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The names of the gateway's own metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("gateway_")).collect()
}

/// Every metric that the gateway has.
fn known() -> BTreeSet<String> {
    let table = read("crates/telemetry/src/names.rs");
    let found: BTreeSet<_> = names(&table).into_iter().map(str::to_owned).collect();
    assert!(found.len() > 40);
    found
}

/// A name without what a histogram's series have after it.
fn bare(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|it| name.strip_suffix(it)).unwrap_or(name)
}

/// The values of `key: value` lines, in their order.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)).map(str::trim).collect()
}

#[test]
fn every_metric_that_is_asked_for_is_there() {
    let known = known();
    for file in
        ["prometheus/alerts.yaml", "prometheus/alerts.test.yaml", "grafana/n8n-gateway.json"]
    {
        let text = read(&format!("deploy/observability/{file}"));
        for name in names(&text) {
            assert!(known.contains(name) || known.contains(bare(name)), "{file}: {name}");
        }
    }
    let board = read("deploy/observability/grafana/n8n-gateway.json");
    let shown: BTreeSet<_> = names(&board).into_iter().map(bare).collect();
    for name in &known {
        assert!(shown.contains(name.as_str()), "the dashboard shows nothing of {name}");
    }
}

#[test]
fn every_alert_is_tested_both_ways_and_described() {
    let rules = read("deploy/observability/prometheus/alerts.yaml");
    let tests = read("deploy/observability/prometheus/alerts.test.yaml");
    let described = read("docs/alerts.md");
    let alerts = values(&rules, "alert:");
    assert!(alerts.len() > 20);
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len(), "each once");
    for alert in &alerts {
        for way in ["fires", "is silent"] {
            assert!(tests.contains(&format!("name: {alert} {way}\n")), "{alert} {way}");
        }
        assert!(described.contains(&format!("\n## {alert}\n")), "{alert}");
        let link = format!("runbook_url: docs/alerts.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert}");
    }
    for section in values(&described, "## ") {
        assert!(alerts.contains(&section), "{section} is no alert");
    }
    for part in ["summary:", "description:", "labels: { severity:"] {
        assert_eq!(values(&rules, part).len(), alerts.len(), "{part}");
    }
}

#[test]
fn the_dashboard_lies_on_its_grid() {
    let board: Value =
        serde_json::from_str(&read("deploy/observability/grafana/n8n-gateway.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    assert!(panels.len() > 40);
    let ids: BTreeSet<_> = panels.iter().map(|it| it["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{title}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} lies over another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        let source = &panel["datasource"];
        assert_eq!(source["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(&target["datasource"], source, "{title}");
            let asked = target["expr"].as_str().unwrap();
            assert!(asked.contains("instance=~\"$instance\""), "{title}: {asked}");
        }
    }
    let first = panels.iter().position(|it| it["title"] == "Bans and rate limits");
    assert_eq!(first, Some(0), "bans and rate limits come first");
    let variables = board["templating"]["list"].as_array().unwrap().iter();
    let variables: Vec<_> = variables.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
}

/// Nothing of Grafana's or Grafana Loki's own can be had where the tests run: that their files are
/// YAML is looked at here. Prometheus's and CrowdSec's are read by their programs in `tests/real`.
#[test]
fn every_file_of_yaml_is_yaml() {
    let mut folders = vec![root().join("deploy/observability")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                for event in Parser::new_from_str(&text) {
                    event.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
                }
                count += 1;
            }
        }
    }
    assert!(count >= 9, "{count}");
}

#[test]
fn the_policys_part_for_loki_is_a_policys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let around = "version: 1\nsite: { host: n8n.example.com }\ntls: { self_signed: true }\n";
    let part = read("deploy/observability/loki/otlp.yaml");
    std::fs::write(&file, format!("{around}access: {{ editor: nobody }}\n{part}")).unwrap();
    let config = load(&file, &System, &Answers::new()).unwrap();
    let collector = config.settings.log.otlp.unwrap();
    assert_eq!(collector.url, "http://127.0.0.1:3100/otlp/v1/logs");
}

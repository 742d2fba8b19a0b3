//! Every check against what it is for.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{Release, Surface};

const NOW: i64 = 1_795_000_000;
const DAY: i64 = 86_400;

/// A release after every one that anything is known of.
const FRESH: Release = Release::new(99, 0, 0);

/// An installation as it should be, all of which was looked at.
fn hardened() -> Observed {
    let set: BTreeMap<_, _> = [
        ("N8N_PROXY_HOPS", "1"),
        ("N8N_SSRF_PROTECTION_ENABLED", "true"),
        ("N8N_COMMUNITY_PACKAGES_ENABLED", "false"),
        ("N8N_DIAGNOSTICS_ENABLED", "false"),
        ("N8N_ENCRYPTION_KEY", "hunter2"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let private =
        |path: &str, mode| FileSeen { path: path.to_owned(), mode, ..FileSeen::default() };
    Observed {
        bounds: Bounds { hours: Some(Hours { from: 0, to: 1440 }), ..Bounds::default() },
        page: Ok(Page { release: Some(FRESH) }),
        settings: Ok(PublicSettings {
            secure_cookie: true,
            password_min_length: Some(12),
            base_url: Some("https://n8n.example.com".to_owned()),
            ..PublicSettings::default()
        }),
        reads_across_origins: Ok(false),
        limits_sign_ins: Ok(true),
        hops: Ok(Hops::One),
        answers_at: Ok(Vec::new()),
        metrics: Ok(false),
        api_docs: Ok(false),
        users: Ok(vec![User {
            email: "owner@example.com".to_owned(),
            role: "global:owner".to_owned(),
            second_factor: true,
            created: Some(NOW - 500 * DAY),
            updated: Some(NOW - DAY),
            pending: false,
        }]),
        workflows: Ok(vec![workflow(Node {
            authentication: Some("headerAuth".to_owned()),
            path: Some("orders".to_owned()),
            ..node("n8n-nodes-base.webhook")
        })]),
        executions: Ok(vec![run("webhook", "success"), run("webhook", "error")]),
        packages: Ok(Vec::new()),
        calls: Ok(vec![Call {
            path: "/webhook/orders".to_owned(),
            first: NOW - 400 * DAY,
            last: NOW - DAY,
        }]),
        variables: Ok(Variables { set, from: "the process".to_owned(), whole: true }),
        env_files: Ok(vec![private("/opt/n8n/.env", 0o100_600)]),
        settings_file: Ok(private("/home/node/.n8n/config", 0o100_600)),
        data: Ok(private("/home/node/.n8n", 0o040_750)),
        backup: Ok(Backup { from: "/backup".to_owned(), made: Some(NOW - DAY) }),
        ..Observed::unseen(NOW, "n8n.example.com", "")
    }
}

fn node(kind: &str) -> Node {
    Node {
        name: "Trigger".to_owned(),
        kind: kind.to_owned(),
        webhook_id: Some("6a1f4c3e-93c1-4f0e-8a57-0d6c1f2b7e90".to_owned()),
        ..Node::default()
    }
}

fn workflow(node: Node) -> Workflow {
    Workflow {
        id: "w".to_owned(),
        name: "Orders".to_owned(),
        active: true,
        updated: Some(NOW - DAY),
        nodes: vec![node],
    }
}

fn run(mode: &str, status: &str) -> Execution {
    Execution {
        workflow: "w".to_owned(),
        mode: mode.to_owned(),
        status: status.to_owned(),
        started: Some(NOW - DAY),
    }
}

fn ids(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|it| it.check.id).collect()
}

#[test]
fn ids_are_stable_names_and_stand_once() {
    let all: BTreeSet<_> = checks().iter().map(|it| it.id).collect();
    assert_eq!(all.len(), checks().len());
    for check in checks() {
        assert!(check.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        assert!(!check.why.is_empty() && !check.change.is_empty() && check.why.ends_with('.'));
        assert!(!check.title.ends_with('.'), "{}", check.title);
    }
}

#[test]
fn nothing_is_invented_about_what_is_as_it_should_be() {
    let report = audit(&hardened());
    assert_eq!(ids(&report), Vec::<&str>::new());
    assert_eq!(report.unknown.len(), 0, "{:?}", report.unknown);
    assert_eq!(report.fine.len(), checks().len());
}

#[test]
fn what_was_not_seen_is_never_fine() {
    let report = audit(&Observed::unseen(NOW, "n8n.example.com", "dark"));
    assert!(report.findings.is_empty());
    // What the policy itself says is always seen.
    let fine: Vec<_> = report.fine.iter().map(|it| it.id).collect();
    assert_eq!(fine, ["open-surfaces"]);
    assert!(report.unknown.iter().all(|(_, why)| why == "dark" || why.contains("audit.hours")));
}

type Fault = (&'static str, fn(&mut Observed));

fn set(seen: &mut Observed, name: &str, value: &str) {
    seen.variables.as_mut().unwrap().set.insert(name.to_owned(), value.to_owned());
}

fn settings(seen: &mut Observed) -> &mut PublicSettings {
    seen.settings.as_mut().unwrap()
}

fn user(seen: &mut Observed) -> &mut User {
    seen.users.as_mut().unwrap().first_mut().unwrap()
}

fn trigger(seen: &mut Observed, node: Node) {
    seen.workflows = Ok(vec![workflow(node)]);
    seen.calls = Ok(Vec::new());
}

/// Each fault by itself, and the one check that finds it.
#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    ("unclaimed", |it| settings(it).unclaimed = true),
    ("node-env", |it| it.reads_across_origins = Ok(true)),
    ("push-origin", |it| it.limits_sign_ins = Ok(false)),
    ("proxy-hops", |it| it.hops = Ok(Hops::None)),
    ("proxy-hops", |it| it.hops = Ok(Hops::Many)),
    ("proxy-hops", |it| { it.hops = Err(String::new()); set(it, "N8N_PROXY_HOPS", "2"); }),
    ("answers-elsewhere", |it| it.answers_at = Ok(vec!["192.0.2.1:5678".to_owned()])),
    ("base-url", |it| settings(it).base_url = Some("http://n8n.example.com".to_owned())),
    ("base-url", |it| settings(it).base_url = Some("https://n8n.example.com.evil.example".to_owned())),
    ("cookie-secure", |it| settings(it).secure_cookie = false),
    ("cookie-same-site", |it| set(it, "N8N_SAMESITE_COOKIE", "none")),
    ("preview-mode", |it| settings(it).preview = true),
    ("password-length", |it| settings(it).password_min_length = Some(8)),
    ("metrics-served", |it| it.metrics = Ok(true)),
    ("open-surfaces", |it| it.open_to_anyone = vec![Surface::Editor]),
    ("known-attacks", |it| it.page = Ok(Page { release: Some(Release::new(2, 40, 7)) })),
    ("community-nodes-allowed", |it| settings(it).community_nodes = true),
    ("second-factor", |it| user(it).second_factor = false),
    ("pending-invitations", |it| { user(it).pending = true; user(it).second_factor = false; }),
    ("many-admins", |it| { let one = user(it).clone(); it.users = Ok(vec![one; 4]); }),
    ("unused-accounts", |it| user(it).updated = Some(NOW - 91 * DAY)),
    ("open-mcp", |it| trigger(it, node("@n8n/n8n-nodes-langchain.mcpTrigger"))),
    ("open-webhooks", |it| trigger(it, node("n8n-nodes-base.webhook"))),
    ("open-chats", |it| trigger(it, Node { public: true, ..node("@n8n/n8n-nodes-langchain.chatTrigger") })),
    ("open-forms", |it| trigger(it, node("n8n-nodes-base.formTrigger"))),
    ("unused-triggers", |it| it.calls.as_mut().unwrap().first_mut().unwrap().last = NOW - 91 * DAY),
    ("community-nodes", |it| it.packages = Ok(vec![Package { name: "n8n-nodes-x".to_owned(), version: "1".to_owned() }])),
    ("odd-failures", |it| it.executions.as_mut().unwrap().push(run("cli", "success"))),
    ("odd-failures", |it| it.executions.as_mut().unwrap().push(run("chat", "error"))),
    ("e2e-tests", |it| set(it, "E2E_TESTS", "true")),
    ("env-access", |it| set(it, "N8N_BLOCK_ENV_ACCESS_IN_NODE", "false")),
    ("file-access", |it| set(it, "N8N_RESTRICT_FILE_ACCESS_TO", "")),
    ("file-access", |it| set(it, "N8N_BLOCK_FILE_ACCESS_TO_N8N_FILES", "FALSE")),
    ("command-nodes", |it| set(it, "NODES_EXCLUDE", "[]")),
    ("oauth-callback", |it| set(it, "N8N_SKIP_AUTH_ON_OAUTH_CALLBACK", "1")),
    ("git-hooks", |it| set(it, "N8N_GIT_NODE_ENABLE_HOOKS", "true")),
    ("runners", |it| set(it, "N8N_RUNNERS_BROKER_LISTEN_ADDRESS", "0.0.0.0")),
    ("html-sandbox", |it| set(it, "N8N_INSECURE_DISABLE_FORM_HTML_SANDBOX", "true")),
    ("expression-engine", |it| set(it, "N8N_EXPRESSION_ENGINE", "legacy")),
    ("settings-permissions", |it| set(it, "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS", "false")),
    ("unknown-variables", |it| set(it, "N8N_BASIC_AUTH_ACTIVE", "true")),
    ("ssrf-protection", |it| set(it, "N8N_SSRF_PROTECTION_ENABLED", "false")),
    ("unverified-packages", |it| set(it, "N8N_COMMUNITY_PACKAGES_ENABLED", "true")),
    ("diagnostics", |it| set(it, "N8N_DIAGNOSTICS_ENABLED", "true")),
    ("settings-file", |it| it.settings_file.as_mut().unwrap().mode = 0o644),
    ("data-folder", |it| it.data.as_mut().unwrap().mode = 0o755),
    ("env-file-mode", |it| it.env_files.as_mut().unwrap().first_mut().unwrap().mode = 0o640),
    ("env-file-git", |it| it.env_files.as_mut().unwrap().first_mut().unwrap().in_git = Some("is tracked".to_owned())),
    ("env-file-secrets", |it| it.env_files.as_mut().unwrap().first_mut().unwrap().secrets = vec!["N8N_SMTP_PASS".to_owned()]),
    ("backup", |it| it.backup.as_mut().unwrap().made = None),
    ("backup", |it| it.backup.as_mut().unwrap().made = Some(NOW - 3 * DAY)),
];

#[test]
fn each_fault_is_found_and_nothing_else() {
    for (id, fault) in FAULTS {
        let mut seen = hardened();
        fault(&mut seen);
        // Of two ways by which it ran well neither is unusual.
        let expected: &[&str] = if *id == "odd-failures" && !has_chat(&seen) { &[] } else { &[id] };
        let report = audit(&seen);
        assert_eq!(ids(&report), expected);
        let said = format!("{report:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

fn has_chat(seen: &Observed) -> bool {
    seen.executions.as_ref().unwrap().iter().any(|it| it.mode == "chat")
}

#[test]
fn what_takes_two_faults_or_is_told_together() {
    let mut seen = hardened();
    seen.metrics = Ok(true);
    seen.open_to_anyone = vec![Surface::Metrics];
    assert_eq!(ids(&audit(&seen)), ["metrics-open", "metrics-served"]);
    let mut seen = hardened();
    seen.api_docs = Ok(true);
    assert_eq!(ids(&audit(&seen)), Vec::<&str>::new());
    seen.open_to_anyone = vec![Surface::PublicApi];
    assert_eq!(ids(&audit(&seen)), ["api-docs-open", "open-surfaces"]);
    let mut seen = hardened();
    let orders = Node { path: Some("orders".to_owned()), ..node("n8n-nodes-base.webhook") };
    seen.workflows = Ok(vec![workflow(orders)]);
    assert_eq!(ids(&audit(&seen)), ["open-webhooks", "guessable-paths"]);
    // The gateway asks for a signature: that its path is guessable costs nothing then.
    let mut signed = seen.clone();
    signed.checked = vec!["/webhook/*".to_owned()];
    assert_eq!(ids(&audit(&signed)), Vec::<&str>::new());
    // It lets some networks through alone, and to one path anybody again.
    let rule = |path: &str, anyone| Reach { path: path.to_owned(), anyone };
    seen.reach = vec![rule("/webhook", false)];
    assert_eq!(ids(&audit(&seen)), Vec::<&str>::new());
    seen.reach = vec![rule("/webhook/orders", true), rule("/webhook", false)];
    assert_eq!(ids(&audit(&seen)), ["open-webhooks", "guessable-paths"]);
}

#[test]
fn what_was_not_counted_yet_is_not_said_to_be_unused() {
    let mut seen = hardened();
    let old = |it: &mut Observed| it.workflows.as_mut().unwrap()[0].updated = Some(0);
    old(&mut seen);
    let call = |path: &str, first| Call { path: path.to_owned(), first, last: NOW };
    // Somebody has counted for long, and it was not called.
    seen.calls = Ok(vec![call("/webhook/other", NOW - 100 * DAY)]);
    assert_eq!(ids(&audit(&seen)), ["unused-triggers"]);
    // Somebody has counted for a week.
    seen.calls = Ok(vec![call("/webhook/other", NOW - 7 * DAY)]);
    assert_eq!(ids(&audit(&seen)), Vec::<&str>::new());
    seen.calls = Ok(Vec::new());
    let report = audit(&seen);
    assert!(report.unknown.iter().any(|(check, _)| check.id == "unused-triggers"));
}

#[test]
fn what_is_meant_so_is_told_apart() {
    let mut seen = hardened();
    seen.metrics = Ok(true);
    settings(&mut seen).unclaimed = true;
    let mut report = audit(&seen);
    assert_eq!(report.worst(), Some(Level::Critical));
    report.accept(&["unclaimed".to_owned()]);
    assert_eq!(ids(&report), ["metrics-served"]);
    assert_eq!(report.accepted.len(), 1);
    assert_eq!(report.worst(), Some(Level::Info));
    assert_eq!((report.count(Level::Critical), report.count(Level::Info)), (0, 1));
}

#[test]
fn hours_are_of_the_day_and_may_go_over_midnight() {
    let mut seen = hardened();
    seen.bounds.hours = Some(Hours { from: 0, to: 0 });
    seen.executions.as_mut().unwrap().push(run("manual", "success"));
    assert_eq!(ids(&audit(&seen)), ["odd-changes", "odd-runs"]);
    let night = Hours { from: 22 * 60, to: 6 * 60 };
    assert!(night.contain(23 * 3600) && night.contain(0) && night.contain(6 * 3600 - 1));
    assert!(!night.contain(6 * 3600) && !night.contain(12 * 3600));
    let day = Hours { from: 6 * 60, to: 20 * 60 };
    assert!(day.contain(6 * 3600) && !day.contain(20 * 3600));
}

#[test]
fn a_variable_that_is_in_no_file_is_not_known() {
    let mut seen = hardened();
    seen.variables.as_mut().unwrap().whole = false;
    seen.variables.as_mut().unwrap().set.clear();
    let report = audit(&seen);
    assert_eq!(ids(&report), Vec::<&str>::new());
    assert!(report.unknown.iter().any(|(check, _)| check.id == "e2e-tests"));
}

#[test]
fn n8ns_own_answers_are_read() {
    let html = r#"<meta name="n8n:config:rest-endpoint" content="cmVzdA==">
<meta name="n8n:config:sentry" content="eyJkc24iOiIiLCJlbnZpcm9ubWVudCI6ImRldmVsb3BtZW50IiwicmVsZWFzZSI6Im44bkAyLjQwLjcifQ==">"#;
    assert_eq!(page(html), Some(Page { release: Some(Release::new(2, 40, 7)) }));
    assert_eq!(page("<html>"), None);
    let told = serde_json::json!({"data": {
        "userManagement": {"showSetupOnFirstLoad": true, "passwordMinLength": 8},
        "sso": {"oidc": {"loginUrl": "http://localhost:5678/rest/sso/oidc/login"}},
        "authCookie": {"secure": true}, "previewMode": false, "communityNodesEnabled": true,
    }});
    let read = public_settings(&told).unwrap();
    assert!(read.unclaimed && read.secure_cookie && read.community_nodes && !read.preview);
    assert_eq!(read.base_url.as_deref(), Some("http://localhost:5678"));
    assert_eq!(public_settings(&serde_json::json!({"data": {}})), None);
    let told = serde_json::json!({"data": [{
        "id": "1", "name": "A", "active": true, "updatedAt": "1970-01-02T00:00:00.000Z",
        "nodes": [{"name": "draft", "type": "n8n-nodes-base.webhook"}],
        "activeVersion": {"nodes": [{"name": "live", "type": "n8n-nodes-base.formTrigger", "webhookId": "i",
            "parameters": {"options": {"path": "p", "ipWhitelist": "192.0.2.1"}}}]},
    }]});
    let read = workflows(&told).unwrap().remove(0);
    let live = read.nodes.first().unwrap();
    assert_eq!((live.name.as_str(), live.path.as_deref()), ("live", Some("p")));
    assert!(live.allowlisted);
    assert_eq!(read.updated, Some(DAY));
}

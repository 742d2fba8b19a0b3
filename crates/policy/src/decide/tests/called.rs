//! What is asked of webhooks, and who is let in for a time.

use super::*;
use crate::{Asked, Timestamp, Webhook, Window};

fn github() -> Webhook {
    Webhook {
        name: "webhook at 9:3".into(),
        path: "webhook/github".into(),
        methods: vec!["POST".parse().unwrap()],
        content_types: Vec::new(),
        from: None,
        size: Some(1024),
        proof: Some(Asked { proof: 7, name: "github", reads_body: true, once: None }),
    }
}

#[test]
fn a_webhook_is_asked_for_what_its_line_says_and_nothing_else_is() {
    let mut policy = policy();
    policy.webhooks.set(Surface::Webhook, "github", github(), LINE);
    let length = "POST /webhook/github\nhost: n8n.test\ncontent-length: ";
    for (lines, expected) in [
        (format!("{length}1024"), Ok(1024)),
        (format!("{length}1025"), Err("body_too_large")),
        ("GET /webhook/github\nhost: n8n.test".to_owned(), Err("webhook_method")),
        ("POST /webhook/%67ithub/x\nhost: n8n.test".to_owned(), Ok(1024)),
        ("POST /WEBHOOK/github/\nhost: n8n.test".to_owned(), Ok(1024)),
    ] {
        let head = head(&lines);
        let client = client(&policy, STRANGER);
        let (shown, windows) = (Shown::Nothing, Windows::NONE);
        let question =
            Question { head: &head, sni: None, client, shown, login: Login::default(), windows };
        let mut steps = Vec::new();
        let verdict = policy.decide_with(question, &mut steps);
        let asked = steps.iter().find(|it| it.asked == "webhook").unwrap();
        assert_eq!(asked.source, Some(LINE));
        let found = verdict.map(|permit| {
            let (webhook, source) = permit.webhook().unwrap();
            assert_eq!((webhook.proof.as_ref().unwrap().proof, source), (7, LINE));
            assert!(permit.is_asked_about());
            permit.body_limit()
        });
        assert_eq!(found.map_err(|it| it.reason.name()), expected, "{lines}");
    }
    let other = decide(&policy, STRANGER, "GET /webhook/gitlab\nhost: n8n.test");
    assert_eq!(other, Ok("webhook"));
    let dry = Policy { mode: Mode::DryRun, ..policy };
    let told = decide(&dry, STRANGER, "GET /webhook/github\nhost: n8n.test");
    assert_eq!(told, Ok("webhook"), "only told");
}

#[test]
fn a_window_lets_one_client_into_one_surface() {
    let policy = policy();
    let open = |surface, net: &str| {
        let window = Window {
            id: 1,
            surface,
            net: net.parse().unwrap(),
            until: Timestamp(60),
            by: "uid 0".to_owned(),
            why: String::new(),
        };
        Windows::NONE.with(window, Timestamp(0)).unwrap()
    };
    let test = open(Surface::WebhookTest, "203.0.113.1/32");
    let editor = open(Surface::Editor, "203.0.113.0/24");
    let scanner = open(Surface::WebhookTest, "198.51.100.7/32");
    for (windows, from, line, expected) in [
        (&test, STRANGER, "POST /webhook-test/x", Ok("webhook-test")),
        (&test, "203.0.113.2", "POST /webhook-test/x", Err("closed")),
        (&test, "::ffff:203.0.113.1", "POST /webhook-test/x", Ok("webhook-test")),
        (&test, STRANGER, "GET /rest/settings", Err("closed")),
        (&editor, STRANGER, "GET /", Ok("editor")),
        (&editor, STRANGER, "GET /rest/settings", Ok("rest")),
        (&editor, STRANGER, "POST /rest/login", Ok("sign-in")),
        (&editor, STRANGER, "POST /rest/community-packages", Err("closed")),
        (&editor, STRANGER, "GET /metrics", Err("closed")),
        (&editor, STRANGER, "POST /webhook/stripe", Err("closed")),
        (&scanner, "198.51.100.7", "POST /webhook-test/x", Err("denied")),
    ] {
        let head = head(&format!("{line}\nhost: n8n.test"));
        let client = client(&policy, from);
        let question = Question {
            head: &head,
            sni: None,
            client,
            shown: Shown::Nothing,
            login: Login::default(),
            windows,
        };
        let found = policy.decide(question).map(|permit| permit.surface().name());
        assert_eq!(found.map_err(|it| it.reason.name()), expected, "{from} {line}");
    }
}

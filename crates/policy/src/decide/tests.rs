mod called;

use gateway_n8n::Endpoints;
use http::Request;

use super::*;
use crate::{
    AuthorityId, CertificateAuthority, ClientCertificate, Grant, Place, PrefixSet, Trusted, Who,
};

const LINE: Source = Source::Written(Place { line: 5, column: 1 });

fn network(name: &str, prefix: &str) -> Arc<Network> {
    let prefixes = std::iter::once(prefix.parse().unwrap()).collect::<PrefixSet>();
    Arc::new(Network::new(name, prefixes, Vec::new()))
}

/// Editor for 192.0.2.0/24, scanners at 198.51.100.0/24 refused, `n8n.test` and `hooks.test`.
pub(crate) fn policy() -> Policy {
    let team = Who::Granted(vec![Grant::From(network("team", "192.0.2.0/24"))]);
    let mut access = Access::new(&team, LINE);
    access.set(Surface::Rest, "community-packages", Who::Nobody, LINE);
    access.set(Surface::Webhook, "stripe", Who::Nobody, LINE);
    let body = |surface: Surface| PathRules::new(surface.row().bodies.limit(), Source::Default);
    Policy {
        hosts: Hosts::new("n8n.test", None),
        clients: Clients { trusted: Trusted::default(), ipv6_prefix: 64 },
        surfaces: Surfaces::new(&Endpoints::default()),
        deny: vec![(network("scanners", "198.51.100.0/24"), LINE)],
        access,
        bodies: Surface::all().map(body).collect(),
        limits: RateLimits::default(),
        bans: Bans::default(),
        accounts: Accounts::default(),
        answers: AnswerRules::default(),
        attacks: Attacks::default(),
        webhooks: Webhooks::default(),
        mode: Mode::Enforce,
    }
}

fn head(lines: &str) -> request::Parts {
    let mut lines = lines.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn client(policy: &Policy, from: &str) -> Client {
    policy.clients.client(from.parse::<IpAddr>().unwrap())
}

fn decide(policy: &Policy, from: &str, lines: &str) -> Result<&'static str, &'static str> {
    let client = client(policy, from);
    let head = head(lines);
    let verdict = policy.decide(Question {
        head: &head,
        sni: Some("n8n.test"),
        client,
        shown: Shown::Nothing,
        login: Login::default(),
        windows: Windows::NONE,
    });
    verdict.map(|permit| permit.surface().name()).map_err(|refusal| refusal.reason.name())
}

const TEAM: &str = "192.0.2.1";
const STRANGER: &str = "203.0.113.1";

#[test]
fn decides_by_surface_and_by_path() {
    let cases = [
        (TEAM, "GET /", Ok("editor")),
        (STRANGER, "GET /", Err("closed")),
        (TEAM, "GET /rest/settings", Ok("rest")),
        (STRANGER, "GET /rest/settings", Err("closed")),
        (TEAM, "POST /rest/community-packages", Err("closed")),
        (TEAM, "POST /REST/Community-Packages/", Err("closed")),
        (TEAM, "POST /rest/%63ommunity-packages", Err("ambiguous_path")),
        (STRANGER, "POST /webhook/orders", Ok("webhook")),
        (STRANGER, "POST /webhook/stripe", Err("closed")),
        (STRANGER, "POST /webhook/%73tripe/x", Err("closed")),
        (STRANGER, "POST /webhook/a%2Fb", Ok("webhook")),
        (STRANGER, "GET /webhook-test/orders", Err("closed")),
        (TEAM, "GET /webhook-test/orders", Ok("webhook-test")),
        (STRANGER, "GET /rest/oauth2-credential/callback", Ok("oauth-callback")),
        (TEAM, "GET /metrics", Err("closed")),
        (TEAM, "GET /healthz", Ok("health")),
        (STRANGER, "GET /healthz", Err("closed")),
        (TEAM, "POST /rest/e2e/reset", Err("closed")),
        (TEAM, "GET //rest/settings", Err("ambiguous_path")),
        ("198.51.100.7", "POST /webhook/orders", Err("denied")),
    ];
    let policy = policy();
    for (from, line, expected) in cases {
        let lines = format!("{line}\nhost: n8n.test");
        assert_eq!(decide(&policy, from, &lines), expected, "{from} {line}");
    }
}

/// What strangers reach with the editor closed: these and nothing else.
#[test]
fn each_hole_is_open_and_nothing_else() {
    let open = [
        "page-assets",
        "oauth-callback",
        "webhook",
        "webhook-waiting",
        "form",
        "form-waiting",
        "chat",
    ];
    let policy = policy();
    for surface in Surface::all() {
        let socket = surface == Surface::Chat || surface == Surface::BrowserUse;
        let headers = if socket { "\nconnection: Upgrade\nupgrade: websocket" } else { "" };
        for example in surface.row().examples {
            let lines = format!("GET {example}\nhost: n8n.test{headers}");
            let expected =
                if open.contains(&surface.name()) { Ok(surface.name()) } else { Err("closed") };
            assert_eq!(decide(&policy, STRANGER, &lines), expected, "{example}");
        }
    }
}

#[test]
fn a_host_that_is_not_named_hears_nothing() {
    let cases = [
        ("GET /\nhost: N8N.test", Ok("editor")),
        ("GET /\nhost: n8n.test:8443", Ok("editor")),
        ("GET https://n8n.test/\nhost: n8n.test", Ok("editor")),
        ("GET https://n8n.test/", Ok("editor")),
        ("GET /", Err("bad_host")),
        ("GET /\nhost: ", Err("bad_host")),
        ("GET /\nhost: n8n.test\nhost: n8n.test", Err("bad_host")),
        ("GET https://n8n.test/\nhost: evil.test", Err("bad_host")),
        ("GET /\nhost: n8n.test, evil.test", Err("bad_host")),
        ("GET /\nhost: evil.test", Err("unknown_host")),
        ("GET /\nhost: 192.0.2.1", Err("unknown_host")),
    ];
    for (lines, expected) in cases {
        assert_eq!(decide(&policy(), TEAM, lines), expected, "{lines}");
    }
}

#[test]
fn two_hosts_part_the_surfaces() {
    let mut policy = policy();
    policy.hosts = Hosts::new("n8n.test", Some("hooks.test"));
    let ask = |sni: &str, line: &str| {
        let head = head(&format!("{line}\nhost: {sni}"));
        let client = policy.clients.client(TEAM.parse().unwrap());
        let verdict = policy.decide(Question {
            head: &head,
            sni: Some(sni),
            client,
            shown: Shown::Nothing,
            login: Login::default(),
            windows: Windows::NONE,
        });
        verdict.map(|permit| permit.surface().name()).map_err(|refusal| refusal.reason.name())
    };
    assert_eq!(ask("n8n.test", "GET /"), Ok("editor"));
    assert_eq!(ask("hooks.test", "GET /"), Err("other_host"));
    assert_eq!(ask("hooks.test", "GET /webhook/x"), Ok("webhook"));
    assert_eq!(ask("n8n.test", "GET /webhook/x"), Err("other_host"));
    assert_eq!(ask("hooks.test", "GET /webhook-test/x"), Ok("webhook-test"));
    assert_eq!(ask("hooks.test", "GET /static/n8n-logo.png"), Ok("page-assets"));
    let head = head("GET /\nhost: n8n.test");
    let client = policy.clients.client(TEAM.parse().unwrap());
    let verdict = policy.decide(Question {
        head: &head,
        sni: Some("hooks.test"),
        client,
        shown: Shown::Nothing,
        login: Login::default(),
        windows: Windows::NONE,
    });
    assert_eq!(verdict.map(|_| ()).map_err(|it| it.reason), Err(Reason::HostMismatch));
}

#[test]
fn bodies_are_limited_before_they_are_read() {
    let mib = |n: u64| n << 20;
    let cases = [
        ("/webhook/x", mib(200), Ok("webhook")),
        ("/webhook/x", mib(200) + 1, Err("body_too_large")),
        ("/rest/workflows", mib(16), Ok("rest")),
        ("/rest/workflows", mib(16) + 1, Err("body_too_large")),
    ];
    for (path, length, expected) in cases {
        let lines = format!("POST {path}\nhost: n8n.test\ncontent-length: {length}");
        assert_eq!(decide(&policy(), TEAM, &lines), expected, "{path} {length}");
    }
    let lines = "POST /webhook/x\nhost: n8n.test\nexpect: 200-ok";
    assert_eq!(decide(&policy(), TEAM, lines), Err("expectation"));
}

#[test]
fn only_a_clean_websocket_on_its_own_path_is_upgraded() {
    let upgraded = |lines: &str| {
        let head = head(lines);
        let client = policy().clients.client(TEAM.parse().unwrap());
        policy()
            .decide(Question {
                head: &head,
                sni: None,
                client,
                shown: Shown::Nothing,
                login: Login::default(),
                windows: Windows::NONE,
            })
            .is_ok_and(|it| it.upgrade())
    };
    let ask = |line: &str, upgrade: &str| {
        upgraded(&format!(
            "{line}\nhost: n8n.test\nconnection: keep-alive, Upgrade\nupgrade: {upgrade}"
        ))
    };
    assert!(ask("GET /rest/push?pushRef=1", "websocket"));
    assert!(ask("GET /chat", "WebSocket"));
    assert!(!ask("GET /rest/push", "h2c"));
    assert!(!ask("GET /rest/push", "websocket, h2c"));
    assert!(!ask("POST /rest/push", "websocket"));
    assert!(!ask("GET /rest/settings", "websocket"));
    assert!(!upgraded("GET /rest/push\nhost: n8n.test\nupgrade: websocket"));
}

#[test]
fn a_decision_explains_itself() {
    let policy = policy();
    let head = head("POST /webhook/stripe\nhost: n8n.test");
    let mut steps = Vec::new();
    let client = policy.clients.client(STRANGER.parse().unwrap());
    let question = Question {
        head: &head,
        sni: None,
        client,
        shown: Shown::Nothing,
        login: Login::default(),
        windows: Windows::NONE,
    };
    assert!(policy.decide_with(question, &mut steps).is_err());
    let told: Vec<String> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "host     n8n.test serves everything",
            "path     surface `webhook`",
            "client   203.0.113.1",
            "access   closed to this client (line 5)",
        ]
    );
}

/// What is held against a client, whether it passes or not.
fn offence(policy: &Policy, from: &str, lines: &str) -> Option<Offence> {
    let client = client(policy, from);
    let head = head(lines);
    match policy.decide(Question {
        head: &head,
        sni: None,
        client,
        shown: Shown::Nothing,
        login: Login::default(),
        windows: Windows::NONE,
    }) {
        Ok(permit) => permit.offence(),
        Err(refusal) => refusal.offence,
    }
}

#[test]
fn what_is_held_against_whom() {
    let host = "host: n8n.test";
    for (from, line, expected) in [
        (STRANGER, "GET /", None),
        (STRANGER, "GET /rest/settings", None),
        (STRANGER, "GET /.env", Some(Offence::Probe)),
        (TEAM, "GET /.env", Some(Offence::Probe)),
        (TEAM, "GET /workflow/1", None),
        (STRANGER, "POST /rest/e2e/reset", Some(Offence::Attack)),
        (STRANGER, "GET /webhook/wp-login.php", None),
        (STRANGER, "GET /webhook/stripe", None),
        (STRANGER, "GET /%72est/login", Some(Offence::Malformed)),
        (STRANGER, "GET //webhook/x", None),
        (STRANGER, "GET /webhook/x;y", None),
        (STRANGER, "GET /webhook/../rest", Some(Offence::Malformed)),
    ] {
        assert_eq!(offence(&policy(), from, &format!("{line}\n{host}")), expected, "{line}");
    }
    assert_eq!(offence(&policy(), STRANGER, "GET /"), Some(Offence::Malformed), "no host at all");
}

#[test]
fn in_a_dry_run_what_would_be_refused_passes_and_is_told() {
    let policy = Policy { mode: Mode::DryRun, ..policy() };
    let ask = |from, lines| {
        let client = client(&policy, from);
        let head = head(lines);
        let permit = policy.decide(Question {
            head: &head,
            sni: None,
            client,
            shown: Shown::Nothing,
            login: Login::default(),
            windows: Windows::NONE,
        });
        permit.map(|permit| permit.would().map(|it| it.reason)).map_err(|it| it.reason)
    };
    assert_eq!(ask(STRANGER, "GET /\nhost: n8n.test"), Ok(Some(Reason::Closed)));
    assert_eq!(ask("198.51.100.1", "GET /webhook/x\nhost: n8n.test"), Ok(Some(Reason::Denied)));
    assert_eq!(ask(TEAM, "GET /\nhost: n8n.test"), Ok(None));
    let large = "POST /rest/x\nhost: n8n.test\ncontent-length: 999999999";
    assert_eq!(ask(TEAM, large), Ok(Some(Reason::BodyTooLarge)));
    // What has no one meaning cannot be forwarded.
    assert_eq!(ask(TEAM, "GET /%72est\nhost: n8n.test"), Err(Reason::AmbiguousPath));
    assert_eq!(ask(TEAM, "GET /\nhost: other.test"), Err(Reason::UnknownHost));
}

#[test]
fn attempts_are_limited_and_page_loads_are_not() {
    let quota = crate::Quota { rate: 1, period: std::time::Duration::from_secs(1), burst: 1 };
    let (per, dry_run, source) = (Per::Client, false, LINE);
    let strangers = false;
    let limit = |name: &str| Limit { name: name.into(), per, quota, strangers, dry_run, source };
    let mut policy = policy();
    policy.limits.set(Surface::SignIn, "", vec![limit("sign-in")], LINE);
    policy.limits.set(Surface::SignIn, "owner", vec![limit("owner")], LINE);
    policy.limits.set(Surface::Webhook, "", vec![limit("webhook")], LINE);
    for (line, expected) in [
        ("POST /rest/login", Some("sign-in")),
        ("GET /rest/login", None),
        ("POST /rest/owner/setup", Some("owner")),
        ("GET /webhook/x", Some("webhook")),
        ("GET /rest/workflows", None),
    ] {
        let (client, head) = (client(&policy, TEAM), head(&format!("{line}\nhost: n8n.test")));
        let permit = policy.decide(Question {
            head: &head,
            sni: None,
            client,
            shown: Shown::Nothing,
            login: Login::default(),
            windows: Windows::NONE,
        });
        let permit = permit.unwrap_or_else(|it| panic!("{line}: {it:?}"));
        assert_eq!(permit.limits().first().map(|it| &*it.name), expected, "{line}");
    }
}

#[test]
fn a_certificate_is_asked_for_where_it_would_help_and_nowhere_else() {
    let authority = Arc::new(CertificateAuthority {
        id: AuthorityId::new("a"),
        file: "team-ca.pem".to_owned(),
    });
    let with = |from| Who::Granted(vec![Grant::With { authority: Arc::clone(&authority), from }]);
    let team = Some(vec![network("team", "192.0.2.0/24")]);
    let mut policy = Policy { access: Access::new(&with(team), LINE), ..policy() };
    policy.access.set(Surface::PublicApi, "", with(None), LINE);
    let shown =
        ClientCertificate { subject: "CN=a".to_owned(), vouched_by: vec![authority.id.clone()] };
    let other = ClientCertificate { vouched_by: vec![AuthorityId::new("b")], ..shown.clone() };
    let (shown, other) = (Shown::Certificate(&shown), Shown::Certificate(&other));
    for (from, target, given, expected) in [
        (TEAM, "GET /", Shown::Nothing, Err("client_certificate")),
        (TEAM, "GET /", other, Err("client_certificate")),
        (TEAM, "GET /", shown, Ok("editor")),
        (TEAM, "GET /rest/workflows", Shown::Nothing, Err("client_certificate")),
        (TEAM, "GET /rest/workflows", Shown::Fitting, Ok("rest")),
        (STRANGER, "GET /", Shown::Nothing, Err("closed")),
        (STRANGER, "GET /", shown, Err("closed")),
        (STRANGER, "GET /api/v1/users", Shown::Nothing, Err("client_certificate")),
        (STRANGER, "GET /api/v1/users", shown, Ok("public-api")),
        (STRANGER, "GET /webhook/a", Shown::Nothing, Ok("webhook")),
        ("198.51.100.1", "GET /api/v1/users", Shown::Nothing, Err("denied")),
    ] {
        let (head, client) = (head(&format!("{target}\nhost: n8n.test")), client(&policy, from));
        let question = Question {
            head: &head,
            sni: Some("n8n.test"),
            client,
            shown: given,
            login: Login::default(),
            windows: Windows::NONE,
        };
        let found = policy.decide(question);
        let found = found.map(|permit| permit.surface().name()).map_err(|it| it.reason.name());
        assert_eq!(found, expected, "{from} {target} {given}");
    }
    let open_to = |from: &str| policy.editor_is_open_to_any(&[from.parse().unwrap()]);
    assert!(open_to(TEAM), "they may have a certificate");
    assert!(!open_to(STRANGER), "a certificate would not help them");
}

#[test]
fn an_explanation_names_the_authority_that_is_asked_for() {
    let id = AuthorityId::new("a");
    let authority = Arc::new(CertificateAuthority { id, file: "team-ca.pem".to_owned() });
    let who = Who::Granted(vec![Grant::With { authority, from: None }]);
    let policy = Policy { access: Access::new(&who, LINE), ..policy() };
    let said = |shown| {
        let (head, client) = (head("GET /\nhost: n8n.test"), client(&policy, STRANGER));
        let mut steps = Vec::new();
        drop(policy.decide_with(
            Question {
                head: &head,
                sni: None,
                client,
                shown,
                login: Login::default(),
                windows: Windows::NONE,
            },
            &mut steps,
        ));
        steps.iter().map(|step: &Step| format!("{step}\n")).collect::<String>()
    };
    let without = said(Shown::Nothing);
    assert!(without.contains("client   203.0.113.1\n"), "{without}");
    let access = "access   open to this client with a certificate of team-ca.pem (line 5)\n";
    assert!(without.contains(access), "{without}");
    let with = said(Shown::Fitting);
    let client = "client   203.0.113.1, with a certificate of the authority that is asked for\n";
    assert!(with.contains(client), "{with}");
    assert!(with.contains("access   open to this client (line 5)\n"), "{with}");
}

#[test]
fn a_method_that_nothing_listens_to_is_refused() {
    let policy = policy();
    for method in ["TRACE", "PROPFIND", "get"] {
        let asked = decide(&policy, "192.0.2.1", &format!("{method} /\nhost: n8n.test"));
        assert_eq!(asked, Err("method"), "{method}");
    }
    let closed = decide(&policy, "203.0.113.1", "TRACE /\nhost: n8n.test");
    assert_eq!(closed, Err("closed"), "a stranger is told nothing");
    for method in gateway_n8n::METHODS.split(", ") {
        let asked = decide(&policy, "192.0.2.1", &format!("{method} /webhook/x\nhost: n8n.test"));
        assert_eq!(asked, Ok("webhook"), "{method}");
    }
}

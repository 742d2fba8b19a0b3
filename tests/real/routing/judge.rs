//! What the gateway makes of a request, and whether n8n agrees.

use std::{
    fmt::Write,
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use gateway_config::{Answers, System, load};
use gateway_edge::strict::Head;
use gateway_n8n::{Origin, Surface, Tail};
use gateway_policy::{Login, Policy, Question, Shown, Windows};
use http::{Request, Uri, Version, header, request::Parts, uri::PathAndQuery};

use super::{
    case::{Accepts, Case, Protocol},
    n8n::Answer,
    taken::{EXCUSES, Taken},
};

/// Names that a policy closes: of triggers, which n8n decodes.
const CLOSED_NAME: &str = "orders";

/// Routes that a policy closes, with all below them.
const CLOSED_ROUTES: [(&str, &str); 3] =
    [("rest/settings", "settings"), ("rest/workflows", "workflows"), ("sign-in/login", "login")];

/// How often n8n has been asked.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// A request that the gateway lets pass, as it goes on to n8n.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub(super) surface: Surface,
    pub(super) upgrade: bool,
    /// Whether it passes as well where some paths are closed.
    spared: bool,
    webhook_host: bool,
    /// What n8n's internal API is called.
    rest: &'static str,
    method: &'static str,
    target: String,
    accepts: Accepts,
}

/// What the gateway says.
pub(super) enum Heard {
    Refused(&'static str),
    Passed(Passed),
}

impl Heard {
    pub(super) fn passed(&self) -> Option<&Passed> {
        match self {
            Self::Passed(passed) => Some(passed),
            Self::Refused(_) => None,
        }
    }
}

impl Passed {
    /// The head as n8n gets it, as far as it matters to its router.
    pub(super) fn head(&self) -> Vec<u8> {
        let Self { method, target, accepts, .. } = self;
        let upgrade =
            if self.upgrade { "connection: upgrade\r\nupgrade: websocket\r\n" } else { "" };
        let accepts = accepts.field();
        // Each from an address of its own: whoever comes too often is told that and nothing else.
        let [_, a, b, c] = ASKED.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let fields =
            format!("host: n8n.test\r\nx-forwarded-for: 10.{a}.{b}.{c}\r\n{accepts}{upgrade}");
        format!("{method} {target} HTTP/1.1\r\n{fields}\r\n").into_bytes()
    }
}

/// A gateway's decisions.
pub(super) struct Judge {
    /// With one host for everything, and with two.
    gateways: [Gateway; 2],
    rest: &'static str,
}

struct Gateway {
    /// Everything is open to everybody: which surface it is, is all that is asked.
    open: Policy,
    /// The same with some paths closed.
    closed: Policy,
}

fn policy(site: &str, renamed: &[(&str, &str, &str)], closed: &[String]) -> Policy {
    let mut text = format!("version: 1\nsite: {{ {site} }}\n");
    text.push_str(
        "\
        listen: { https: [\"127.0.0.1:8443\"], http: [] }\ntls: { self_signed: true }\n",
    );
    text.push_str("n8n:\n  endpoints:\n    mcp-test: mcp-test\n");
    for (key, _, segment) in renamed {
        text = text.replace(&format!("    {key}: {key}\n"), "");
        writeln!(text, "    {key}: {segment}").unwrap();
    }
    if !text.contains("credentials-overwrite") {
        text.push_str("    credentials-overwrite: preset\n");
    }
    text.push_str("access:\n");
    for surface in Surface::all() {
        writeln!(text, "  {}: anyone", surface.name()).unwrap();
    }
    for path in closed {
        writeln!(text, "  {path}: nobody").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, &text).unwrap();
    load(&file, &System, &Answers::new()).unwrap_or_else(|why| panic!("{why}\n{text}")).policy
}

impl Judge {
    pub(super) fn new(renamed: &[(&str, &str, &'static str)]) -> Self {
        let triggers = Surface::all().map(Surface::row).filter(|row| row.tail == Tail::Secret);
        let triggers = triggers.map(|row| format!("{}/{CLOSED_NAME}", row.name));
        let routes = CLOSED_ROUTES.iter().map(|(rule, _)| (*rule).to_owned());
        let closed: Vec<String> = triggers.chain(routes).collect();
        let rest = renamed.iter().find(|(key, ..)| *key == "rest").map_or("rest", |it| it.2);
        let gateway = |site| Gateway {
            open: policy(site, renamed, &[]),
            closed: policy(site, renamed, &closed),
        };
        Self {
            gateways: ["host: only.test", "host: n8n.test, webhook_host: hooks.test"].map(gateway),
            rest,
        }
    }

    pub(super) fn hear(&self, case: &Case) -> Heard {
        let head = match case.protocol {
            Protocol::Http1 => over_http1(case),
            Protocol::Http2 => over_http2(case),
        };
        let head = match head {
            Ok(head) => head,
            Err(why) => return Heard::Refused(why),
        };
        let Gateway { open, closed } = &self.gateways[usize::from(case.host != "only.test")];
        let client = open.clients.client(Ipv4Addr::LOCALHOST.into());
        let question = Question {
            head: &head,
            sni: None,
            client,
            shown: Shown::Nothing,
            login: Login::default(),
            windows: Windows::NONE,
        };
        let permit = match open.decide(question) {
            Ok(permit) => permit,
            Err(refusal) => return Heard::Refused(refusal.reason.name()),
        };
        // As the layer before n8n writes it.
        let target = head.uri.path_and_query().cloned();
        let target = Uri::from(target.unwrap_or(PathAndQuery::from_static("/"))).to_string();
        Heard::Passed(Passed {
            surface: permit.surface(),
            upgrade: permit.upgrade(),
            spared: closed.decide(question).is_ok(),
            rest: self.rest,
            webhook_host: permit.authority().as_bytes().starts_with(b"hooks"),
            method: case.method,
            target,
            accepts: case.accepts,
        })
    }
}

/// What excuses it that n8n takes a request for something else, if it does.
///
/// # Errors
///
/// What is wrong, in words that are the same for all of its kind.
pub(super) fn compare(
    passed: &Passed,
    answer: &Answer,
    taken: Taken,
) -> Result<Option<&'static str>, String> {
    let decided = passed.surface;
    let wrong = |what: &str| {
        let Answer { kind, pattern, status, .. } = answer;
        Err(format!("{}: {what}: {kind} {pattern} {status}", decided.name()))
    };
    let surface = match taken {
        Taken::Nothing => return Ok(None),
        Taken::Unknown => return wrong("n8n took it for what nobody knows"),
        Taken::Surface(surface) => surface,
    };
    if passed.spared && reaches_closed(passed.rest, surface, answer) {
        return wrong("a path that is closed was reached");
    }
    if passed.webhook_host && surface.row().origin == Origin::Site {
        return wrong("served by the wrong host");
    }
    if surface == decided {
        return Ok(None);
    }
    let excuse = EXCUSES.iter().find(|it| it.decided == decided && it.taken(answer));
    excuse.map_or_else(|| wrong(surface.name()), |excuse| Ok(Some(excuse.because)))
}

/// Whether n8n would do what a policy has closed.
fn reaches_closed(rest: &str, surface: Surface, answer: &Answer) -> bool {
    let is_below = |path: &str, closed: &str| {
        path.strip_prefix(closed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if surface.row().tail == Tail::Secret {
        return is_below(&answer.name, CLOSED_NAME);
    }
    let route =
        answer.pattern.strip_prefix('/').and_then(|it| it.strip_prefix(rest)?.strip_prefix('/'));
    route.is_some_and(|route| CLOSED_ROUTES.iter().any(|(_, closed)| is_below(route, closed)))
}

/// The head as hyper would give it, had it not been refused before.
fn over_http1(case: &Case) -> Result<Parts, &'static str> {
    let bytes = case.head();
    let mut head = Head::default();
    match head.read(&bytes) {
        Ok(Some(passed)) if passed.length == bytes.len() => {}
        Ok(_) => return Err("not one head"),
        Err(flaw) => return Err(flaw.name()),
    }
    let (_, target) = head.asked(&bytes).ok_or("no target")?;
    let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(target)).map_err(|_| "hyper")?;
    Ok(parts(case, uri, Version::HTTP_11))
}

/// The head as h2 would give it.
fn over_http2(case: &Case) -> Result<Parts, &'static str> {
    // A pseudo-field is text, and no field has these bytes.
    let sound = |byte: &u8| *byte >= b' ' && *byte != 0x7f;
    let text = std::str::from_utf8(&case.target).ok();
    let text = text.filter(|it| !it.is_empty() && it.bytes().all(|byte| sound(&byte)));
    let text = text.ok_or("h2")?;
    let uri = Uri::builder().scheme("https").authority(case.host).path_and_query(text);
    Ok(parts(case, uri.build().map_err(|_| "h2")?, Version::HTTP_2))
}

fn parts(case: &Case, uri: Uri, version: Version) -> Parts {
    let mut request = Request::builder().method(case.method).version(version).uri(uri);
    if version == Version::HTTP_11 {
        request = request.header(header::HOST, case.host);
        if case.upgrade {
            request = request.header(header::CONNECTION, "upgrade");
            request = request.header(header::UPGRADE, "websocket");
        }
    }
    request.body(()).unwrap().into_parts().0
}

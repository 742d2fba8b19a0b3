//! An attack through the decisions alone: no socket, no clock, no store.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use gateway_config::{Answers, System, load};
use gateway_n8n::{Answered, Outcome};
use gateway_policy::{
    JailVerdict, Login, Note, Offence, Offender, Policy, Question, Reason, Record, Shown,
    Timestamp, Windows, site_of,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use ipnet::IpNet;

use super::{
    POLICY,
    script::{Asked, Line, Script, Step, Verdict, status},
};

/// What a ledger would remember.
#[derive(Default)]
struct World {
    records: HashMap<IpNet, Record>,
    bans: Vec<(IpNet, Timestamp)>,
    known: HashSet<(IpAddr, u64)>,
    sessions: HashSet<IpAddr>,
}

pub(super) fn replay(script: &Script) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, POLICY).unwrap();
    let policy = load(&file, &System, &Answers::new()).unwrap().policy;
    let mut world = World::default();
    for line in &script.lines {
        for step in line.steps() {
            take(&mut world, &policy, script, line, &step);
        }
    }
}

fn hashed(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn take(world: &mut World, policy: &Policy, script: &Script, line: &Line, step: &Step) {
    let place = format!("{}: {} at {:?}", script.name, line.text, step.at);
    let now = Timestamp(i64::try_from(step.at.as_secs()).unwrap());
    let client = policy.clients.client(step.client.parse().unwrap());
    let banned =
        world.bans.iter().any(|(net, until)| net.contains(&client.address) && *until > now);
    assert_eq!(banned, line.verdict == Verdict::Dropped, "{place}");
    if banned {
        return;
    }
    let head = head(&step.request);
    let permit = policy.decide(Question {
        head: &head,
        sni: None,
        client,
        shown: Shown::Nothing,
        login: Login::default(),
        windows: Windows::NONE,
    });
    let permit = permit.unwrap_or_else(|refusal| panic!("{place}: {refusal:?}"));
    let account = step.request.account().map(|it| hashed(&it));
    let known = account.is_some_and(|it| world.known.contains(&(client.key, it)));
    let offence = if line.verdict == Verdict::Limited {
        Reason::RateLimited.offence(Some(permit.surface()))
    } else {
        let status = StatusCode::from_u16(status(&line.answer)).unwrap();
        let outcome = permit.attempt().map(|attempt| {
            let headers = answer_fields(&line.answer);
            attempt.outcome(Answered { status, headers: &headers, body: body(&line.answer) })
        });
        if outcome == Some(Outcome::Succeeded) {
            world.known.extend(account.map(|it| (client.key, it)));
            world.sessions.insert(client.key);
            for net in nets(client.key) {
                world.records.entry(net).or_default().succeeded(account);
            }
        }
        outcome.and_then(|outcome| Offence::of(outcome, known)).or_else(|| permit.offence())
    };
    let surface = Some(permit.surface());
    let note = |offence| Note { at: now, offence, surface, request: 0, account };
    let workplace = world.sessions.contains(&client.key);
    let whose = if workplace { Offender::Workplace } else { Offender::Client };
    let mut came = JailVerdict::default();
    for (net, whose) in nets(client.key).into_iter().zip([whose, Offender::Site]) {
        let record = world.records.entry(net).or_default();
        let verdict = offence.map(|it| policy.bans.note(record, note(it), whose, 0.0));
        let JailVerdict { counted, ban } = verdict.unwrap_or_default();
        world.bans.extend(ban.iter().map(|ban| (net, ban.until)));
        if whose != Offender::Site {
            came.counted = counted;
        }
        came.ban = came.ban.or(ban);
    }
    judge(line, step, &came, &place);
}

/// The network that counts as one client, and the site that it is a part of.
fn nets(key: IpAddr) -> Vec<IpNet> {
    let net = IpNet::new(key, if key.is_ipv4() { 32 } else { 64 }).unwrap();
    std::iter::once(net).chain(site_of(net)).collect()
}

fn judge(line: &Line, step: &Step, came: &JailVerdict, place: &str) {
    let count = |name: &str| came.counted.iter().find(|it| it.jail.name() == name);
    match &line.verdict {
        Verdict::Passes => assert_eq!(*came, JailVerdict::default(), "{place}"),
        Verdict::Counted(jail, expected) => {
            assert!(came.ban.is_none(), "{place}: {:?}", came.ban);
            let counted = count(jail).unwrap_or_else(|| panic!("{place}: {came:?}"));
            assert!(!step.last || counted.count == *expected, "{place}: {counted:?}");
        }
        Verdict::Banned(jail, lasts) => {
            let ban = came.ban.as_ref();
            let ban = ban.unwrap_or_else(|| panic!("{place}: {:?}", came.counted));
            assert_eq!(ban.because.name(), jail, "{place}");
            assert_eq!(ban.until.since(ban.since), *lasts, "{place}");
        }
        Verdict::Limited => assert!(came.ban.is_none(), "{place}: {:?}", came.ban),
        Verdict::Dropped => unreachable!("seen before"),
    }
}

fn head(asked: &Asked) -> http::request::Parts {
    let lines = asked.lines();
    let mut lines = lines.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", "n8n.test");
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn answer_fields(answer: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if answer == "200" {
        headers.insert(header::SET_COOKIE, HeaderValue::from_static("n8n-auth=good"));
    }
    headers
}

/// What n8n says with it.
fn body(answer: &str) -> &'static str {
    match answer {
        "mfa" => r#"{"code":998,"message":"MFA Error"}"#,
        "code" => r#"{"code":401,"message":"Invalid mfa token or recovery code"}"#,
        "wrong" => {
            r#"{"code":401,"message":"Wrong username or password. Do you have caps lock on?"}"#
        }
        _ => "",
    }
}

use gateway_n8n::{Affected, attacks::catalogue};

use super::*;

fn entry(affected: Option<&str>, likeness: Likeness) -> Entry {
    let affected = affected.map(|it| it.parse::<Affected>().unwrap());
    let first = catalogue().into_iter().find(|it| it.id == "CVE-2025-49595").unwrap();
    Entry { affected, likeness, ..first }
}

#[test]
fn auto_stops_what_the_release_is_open_to() {
    use AttackMode::{Auto, Block as Stop, Off, Report as Tell};
    use Likeness::{Often, OnlyAttacks, Seldom};
    use Reaction::{Block, Report};
    let old = Some("1.98.0".parse().unwrap());
    let new = Some("2.40.7".parse().unwrap());
    let range = Some("<1.99.0");
    for (mode, affected, likeness, release, expected) in [
        (Auto, range, OnlyAttacks, old, Some(Block)),
        (Auto, range, OnlyAttacks, new, Some(Report)),
        (Auto, range, OnlyAttacks, None, Some(Block)),
        (Auto, range, Seldom, old, Some(Block)),
        (Auto, range, Seldom, new, Some(Report)),
        (Auto, range, Seldom, None, Some(Report)),
        (Auto, range, Often, old, Some(Report)),
        (Auto, range, Often, new, None),
        (Auto, range, Often, None, None),
        (Auto, None, OnlyAttacks, new, Some(Block)),
        (Auto, None, Seldom, new, Some(Report)),
        (Auto, None, Often, new, None),
        (Off, range, OnlyAttacks, old, None),
        (Tell, range, OnlyAttacks, old, Some(Report)),
        (Stop, range, Often, new, Some(Block)),
    ] {
        let found = Reaction::of(mode, &entry(affected, likeness), release);
        assert_eq!(found, expected, "{mode:?} {affected:?} {likeness:?} {release:?}");
    }
}

fn attacks(mode: AttackMode) -> Attacks {
    let known = |entry| KnownAttack { entry: Arc::new(entry), mode, source: Source::Default };
    Attacks::new(catalogue().into_iter().map(known).collect(), 1 << 20)
}

type Found = Result<Option<Box<Suspected>>, Refusal>;

fn head(method: &str, path: &str, kind: &str) -> http::request::Parts {
    let mut request = http::Request::new(());
    *request.method_mut() = method.parse().expect("a method");
    *request.uri_mut() = path.parse().expect("a path");
    request.headers_mut().insert("content-type", kind.parse().expect("a type"));
    request.into_parts().0
}

fn look(attacks: &Attacks, method: &str, path: &str, kind: &str) -> Found {
    let surfaces = gateway_n8n::Surfaces::new(&gateway_n8n::Endpoints::default());
    let parts = head(method, path, kind);
    let Ok(located) = surfaces.locate(parts.uri.path(), false) else { panic!("{path}") };
    attacks.look(&Head::new(located, &parts), &mut ())
}

#[test]
fn an_attack_is_held_against_whoever_cannot_have_meant_well() {
    let all = attacks(AttackMode::Auto).with_release(Some("2.40.7".parse().unwrap()));
    let bad = "/rest/binary-data?id=filesystem:";
    let told = look(&all, "GET", bad, "").unwrap().unwrap();
    assert_eq!(told.offence, Some(Offence::Attack), "a probe for what was mended");
    let stopped = attacks(AttackMode::Block);
    let refusal = look(&stopped, "GET", bad, "").unwrap_err();
    assert_eq!((refusal.reason, refusal.offence), (Reason::Attack, Some(Offence::Attack)));
    assert_eq!(stopped.name(refusal.attack.unwrap()), "CVE-2025-49595");
    let refusal = look(&stopped, "GET", "/webhook/:id", "").unwrap_err();
    assert_eq!(refusal.offence, None, "somebody's mistake");
    let report = attacks(AttackMode::Report);
    let told = look(&report, "GET", bad, "").unwrap().unwrap();
    assert_eq!(told.offence, None, "the operator wants to be told alone");
}

#[test]
fn what_a_webhook_passes_on_is_held_against_nobody() {
    let all = attacks(AttackMode::Auto);
    let of = |path| {
        let found = look(&all, "POST", path, "application/json").unwrap().unwrap();
        let blocked = found.asked.into_iter().filter(|it| it.reaction == Reaction::Block);
        blocked.map(|it| it.offence.is_some()).collect::<Vec<_>>()
    };
    let (webhook, form) = (of("/webhook/x"), of("/form/x"));
    assert!(!webhook.is_empty() && webhook.iter().all(|held| !held));
    assert!(!form.is_empty() && form.iter().all(|held| *held));
}

#[test]
fn a_body_that_nobody_asks_about_is_not_asked_for() {
    let all = attacks(AttackMode::Auto);
    for (method, path, kind) in [
        ("GET", "/rest/settings", ""),
        ("GET", "/webhook/x", ""),
        ("POST", "/webhook/x", "application/octet-stream"),
        ("POST", "/webhook/x", "text/plain"),
        ("GET", "/assets/index.js", "application/json"),
    ] {
        assert!(look(&all, method, path, kind).unwrap().is_none(), "{method} {path} {kind}");
    }
}

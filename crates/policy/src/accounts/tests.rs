use gateway_n8n::Claims;
use http::Request;

use super::*;
use crate::{Mode, Policy, Shown, Windows, decide::tests::policy};

const LINE: Source = Source::Default;

fn insisting(from: Option<i64>) -> Policy {
    let except = vec!["u9".to_owned()];
    let second_factor = Some(SecondFactor { from: from.map(Timestamp), except, source: LINE });
    Policy { accounts: Accounts { second_factor, ..Accounts::default() }, ..policy() }
}

fn session(user: &str, used_mfa: bool) -> Session {
    Session::Shown(Claims { user: user.to_owned(), used_mfa, issued: 5, ends: 9 })
}

/// What is decided of a request from the team, and what else happens to it.
#[expect(clippy::unwrap_in_result, reason = "the request is the test's own")]
fn ask(policy: &Policy, line: &str, login: Login<'_>) -> Result<(bool, bool), &'static str> {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(path).header("host", "n8n.test");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let client = policy.clients.client("192.0.2.1".parse().unwrap());
    let question = Question {
        head: &head,
        sni: None,
        client,
        shown: Shown::Nothing,
        login,
        windows: Windows::NONE,
    };
    let permit = policy.decide(question).map_err(|refusal| refusal.reason.name())?;
    assert_eq!(permit.would().is_some(), policy.mode == Mode::DryRun && path == "/rest/users");
    Ok((permit.leads_to_second_factor(), permit.withholds_session()))
}

const PASSES: Result<(bool, bool), &str> = Ok((false, false));

#[test]
fn without_a_second_factor_a_session_may_only_get_one() {
    let policy = insisting(None);
    let (with, without, odd) = (session("u1", true), session("u1", false), Session::Unreadable);
    let lacks = Err("no_second_factor");
    for (line, session, expected) in [
        ("GET /rest/users", &without, lacks),
        ("GET /rest/users", &with, PASSES),
        ("GET /rest/users", &Session::None, PASSES),
        ("GET /rest/users", &odd, Err("bad_session")),
        ("POST /rest/mfa/enable", &without, PASSES),
        ("POST /rest/mfa/disable", &without, lacks),
        ("POST /rest/login", &without, PASSES),
        ("POST /rest/logout", &without, PASSES),
        ("GET /workflow/1", &without, PASSES),
        ("GET /rest/settings", &without, Ok((true, false))),
        ("GET /rest/settings", &odd, Ok((false, true))),
        ("GET /rest/settings", &with, PASSES),
        ("GET /rest/settings", &Session::None, PASSES),
        ("GET /rest/push", &without, lacks),
        ("POST /webhook/x", &without, Ok((false, true))),
        ("POST /webhook/x", &odd, Ok((false, true))),
        ("POST /webhook/x", &with, PASSES),
    ] {
        let login = Login { session: Some(session), ..Login::default() };
        assert_eq!(ask(&policy, line, login), expected, "{line} {session:?}");
    }
}

#[test]
fn a_session_that_is_over_gets_nowhere_but_to_sign_in() {
    let policy = insisting(None);
    let with = session("u1", true);
    let login = Login { session: Some(&with), revoked: true, ..Login::default() };
    let over = Err("session_ended");
    for (line, expected) in [
        ("GET /rest/users", over),
        ("GET /rest/login", over),
        ("POST /rest/mfa/enable", over),
        ("GET /types/nodes.json", over),
        ("GET /rest/push", over),
        ("GET /rest/settings", Ok((false, true))),
        ("POST /webhook/x", Ok((false, true))),
        ("POST /rest/login", PASSES),
        ("POST /rest/logout", PASSES),
        ("GET /signin", PASSES),
    ] {
        assert_eq!(ask(&policy, line, login), expected, "{line}");
    }
}

#[test]
fn who_is_excused_and_who_comes_before_the_day_may_do_without() {
    let (someone, machine) = (session("u1", false), session("u9", false));
    for (from, now, session, excused, passes) in [
        (None, 0, &someone, false, false),
        (None, 0, &someone, true, true),
        (None, 0, &machine, false, true),
        (Some(100), 99, &someone, false, true),
        (Some(100), 100, &someone, false, false),
        (Some(100), 100, &Session::Unreadable, true, false),
    ] {
        let login =
            Login { session: Some(session), excused, now: Timestamp(now), ..Login::default() };
        let decided = ask(&insisting(from), "GET /rest/users", login);
        assert_eq!(decided.is_ok(), passes, "{from:?} {now} {session:?} {excused}");
    }
}

#[test]
fn a_dry_run_only_tells() {
    let policy = Policy { mode: Mode::DryRun, ..insisting(None) };
    let without = session("u1", false);
    let login = Login { session: Some(&without), ..Login::default() };
    for line in ["GET /rest/users", "GET /rest/settings", "POST /webhook/x"] {
        assert_eq!(ask(&policy, line, login), PASSES, "{line}");
    }
}

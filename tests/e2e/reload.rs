//! The path of a change.

use std::sync::atomic::{AtomicUsize, Ordering};

use gateway_testkit::{Gateway, POLICY};

const TEAM: &str = "192.0.2.1";

#[tokio::test]
async fn a_change_of_the_file_is_in_force_and_a_broken_one_changes_nothing() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    assert!(gateway.look().is_none(), "nothing has changed");
    let file = gateway.folder().join("policy.yaml");

    // Saved as many editors do: a new file renamed over the old one.
    let aside = gateway.folder().join(".policy.yaml.swp");
    std::fs::write(&aside, POLICY.replace("192.0.2.0/24", "198.51.100.0/24")).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    let outcome = gateway.look().unwrap();
    assert_eq!((outcome.outcome.name(), outcome.revision), ("applied", 2));
    assert_eq!(gateway.ask(TEAM, "GET /").await.status, 404);

    std::fs::write(&file, POLICY.replace("editor", "editr")).unwrap();
    let outcome = gateway.look().unwrap();
    assert_eq!((outcome.outcome.name(), outcome.revision), ("invalid", 2));
    assert!(outcome.problems.iter().any(|it| it.contains("did you mean `editor`?")), "{outcome:?}");
    assert!(gateway.look().is_none(), "a broken file is complained about once");
    assert_eq!(
        gateway.ask("198.51.100.1", "GET /").await.status,
        200,
        "the old policy is in force"
    );

    std::fs::write(&file, POLICY).unwrap();
    assert_eq!(gateway.look().unwrap().outcome.name(), "applied");
    assert_eq!(gateway.ask(TEAM, "GET /").await.status, 200);
    let metrics = gateway.telemetry.exposition();
    for series in [
        "gateway_policy_reloads_total{outcome=\"applied\"} 2",
        "gateway_policy_reloads_total{outcome=\"invalid\"} 1",
        "gateway_policy_last_reload_successful 1",
        "revision=\"3\"} 1",
    ] {
        assert!(metrics.contains(series), "{series}");
    }
}

#[tokio::test]
async fn a_network_in_a_file_reloads_with_its_file() {
    let policy = POLICY.replace("[192.0.2.0/24]", "{ file: team.txt }");
    let folder_of = |gateway: &Gateway| gateway.folder().join("team.txt");
    assert!(Gateway::start(&policy).is_err(), "the file is not there");
    let mut gateway = Gateway::start(POLICY).unwrap();
    std::fs::write(folder_of(&gateway), "# nobody yet\n").unwrap();
    assert_eq!(gateway.reload(&policy).outcome.name(), "applied");
    assert_eq!(gateway.ask(TEAM, "GET /").await.status, 404);
    std::fs::write(folder_of(&gateway), "192.0.2.1\n").unwrap();
    assert_eq!(gateway.look().unwrap().outcome.name(), "applied");
    assert_eq!(gateway.ask(TEAM, "GET /").await.status, 200);
    std::fs::write(folder_of(&gateway), "192.0.2.1/99\n").unwrap();
    let outcome = gateway.look().unwrap();
    assert_eq!(outcome.outcome.name(), "invalid");
    assert!(outcome.problems[0].contains("team.txt:1:1"), "{outcome:?}");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_refuses_the_whole() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let policy =
        POLICY.replace("192.0.2.0/24", "198.51.100.0/24") + "listen: { https: \"[::]:8443\" }\n";
    let outcome = gateway.reload(&policy);
    assert_eq!(outcome.outcome.name(), "needs_restart");
    assert_eq!(outcome.problems, ["a change of `listen` needs a restart"]);
    assert_eq!(gateway.ask(TEAM, "GET /").await.status, 200);
}

#[tokio::test]
async fn a_certificate_is_swapped_and_a_broken_one_is_not() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let folder = gateway.folder();
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["n8n.test".to_owned()]).unwrap();
        std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        // What the client of this test trusts.
        std::fs::write(folder.join("state/ca.pem"), made.cert.pem()).unwrap();
    };
    renew();
    let files = "{ certificate: { chain: chain.pem, key: key.pem } }";
    assert_eq!(gateway.reload(&POLICY.replace("{ self_signed: true }", files)).problems, [""; 0]);
    let mut open = gateway.client(TEAM).await;
    assert_eq!(open.ask("GET /").await.status, 200);
    // Renewed by whatever renews it; the policy's own file is as it was.
    renew();
    assert_eq!(gateway.look().unwrap().outcome.name(), "applied");
    assert_eq!(gateway.ask(TEAM, "GET /").await.status, 200, "the new one is served and trusted");
    assert_eq!(open.ask("GET /").await.status, 200, "an open connection goes on");
    let served = gateway.certificate().not_after;
    std::fs::write(gateway.folder().join("key.pem"), "rubbish").unwrap();
    let outcome = gateway.look().unwrap();
    assert_eq!(outcome.outcome.name(), "certificate_rejected");
    assert_eq!(gateway.certificate().not_after, served);
    assert_eq!(gateway.ask(TEAM, "GET /").await.status, 200, "the last good one stays");
}

#[tokio::test]
async fn no_request_is_dropped_by_a_hundred_reloads_under_load() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let answered = AtomicUsize::new(0);
    let mut clients = Vec::new();
    for n in 0..8 {
        clients.push(if n % 2 == 0 {
            gateway.client(TEAM).await
        } else {
            gateway.client_h2(TEAM).await
        });
    }
    let done = AtomicUsize::new(0);
    let load = futures_util::future::join_all(clients.into_iter().map(|mut client| {
        let (answered, done) = (&answered, &done);
        async move {
            while done.load(Ordering::SeqCst) == 0 {
                assert_eq!(client.ask("GET /rest/settings").await.status, 200);
                answered.fetch_add(1, Ordering::SeqCst);
            }
        }
    }));
    let reloads = async {
        for n in 0..100 {
            let other = format!("192.0.2.0/24, 198.51.100.{n}");
            let before = answered.load(Ordering::SeqCst);
            assert_eq!(
                gateway.reload(&POLICY.replace("192.0.2.0/24", &other)).outcome.name(),
                "applied"
            );
            while answered.load(Ordering::SeqCst) < before + 4 {
                tokio::task::yield_now().await;
            }
        }
        done.store(1, Ordering::SeqCst);
    };
    tokio::join!(load, reloads);
    assert!(answered.load(Ordering::SeqCst) >= 400);
}

#[tokio::test]
async fn a_file_that_only_a_broken_policy_names_is_watched_too() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let folder = gateway.folder();
    std::fs::write(folder.join("new.txt"), "198.51.100.0/99\n").unwrap();
    let named = POLICY.replace("[192.0.2.0/24]", "{ file: new.txt }");
    assert_eq!(gateway.reload(&named).outcome.name(), "invalid");
    assert!(gateway.look().is_none());
    std::fs::write(folder.join("new.txt"), "198.51.100.0/24\n").unwrap();
    assert_eq!(gateway.look().unwrap().outcome.name(), "applied");
    assert_eq!(gateway.ask("198.51.100.1", "GET /").await.status, 200);
}

#[tokio::test]
async fn a_pending_edit_holds_no_revocation_up() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let list = gateway.folder().join("team.txt");
    std::fs::write(&list, "192.0.2.1\n").unwrap();
    let policy = POLICY.replace("[192.0.2.0/24]", "{ file: team.txt }");
    assert_eq!(gateway.reload(&policy).outcome.name(), "applied");
    for pending in ["log: { level: warn }\n", "acess: {}\n"] {
        std::fs::write(&list, "192.0.2.1\n").unwrap();
        gateway.reload(&policy);
        let revision = gateway.reload(&format!("{policy}{pending}")).revision;
        assert!(gateway.look().is_none(), "complained about once");
        assert_eq!(gateway.ask(TEAM, "GET /").await.status, 200);
        std::fs::write(&list, "# nobody\n").unwrap();
        let outcome = gateway.look().unwrap();
        assert!(["needs_restart", "invalid"].contains(&outcome.outcome.name()), "still pending");
        assert_eq!(outcome.revision, revision + 1, "and the list is in force");
        assert_eq!(gateway.ask(TEAM, "GET /").await.status, 404);
        assert!(gateway.look().is_none());
    }
}

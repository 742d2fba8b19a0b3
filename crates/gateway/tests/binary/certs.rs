//! `certs`, and a gateway that has to begin without a CA.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
};

use serde_json::Value;

use crate::house::{House, binary, free_port, text};

fn certs(house: &House, arguments: &[&str]) -> (Option<i32>, String, String) {
    let policy = house.file("policy.yaml").display().to_string();
    let mut command = binary();
    command.arg("certs").args(arguments).args(["--config", &policy]);
    let done = command.output().unwrap();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

/// A gateway that asks the CA at `port` for its certificate.
fn asking(port: u16) -> House {
    House::start_as(
        |policy| {
            let acme = format!(
                "tls: {{ acme: {{ email: ops@example.com, directories: \"https://localhost:{port}/directory\" }} }}"
            );
            policy.replace("tls: { self_signed: true }", &acme)
        },
        |_| {},
    )
}

#[test]
fn a_certificate_that_no_ca_issues_is_shown_and_left_alone() {
    let house = House::start();
    let (code, out, complaints) = certs(&house, &["list"]);
    assert_eq!(code, Some(0), "{out}{complaints}");
    assert!(out.starts_with("certificate  localhost: 36"), "{out}");
    for command in [&["renew"][..], &["revoke", "localhost"]] {
        let (code, _, complaints) = certs(&house, command);
        assert_eq!(code, Some(1));
        assert!(complaints.contains("not from a CA that the gateway asks"), "{complaints}");
    }
    let (code, _, complaints) = certs(&house, &["revoke", "localhost", "--reason", "boredom"]);
    assert!(code == Some(1) && complaints.contains("key-compromise"), "{complaints}");
}

#[test]
fn without_a_ca_it_begins_with_a_temporary_certificate_and_says_so() {
    // Nobody listens there.
    let house = asking(free_port());
    house.wait_for_log("\"event\":\"certificate_temporary\"");
    house.wait_for_log("\"event\":\"certificate_failed\"");
    let (code, out, _) = certs(&house, &["list"]);
    assert_eq!(code, Some(1), "there is something to look at");
    assert!(
        out.starts_with("certificate  localhost: TEMPORARY, issued by CN=n8n-gateway temp"),
        "{out}"
    );
    let (_, next) = out.split_once("1 attempts failed, the next in ").unwrap();
    let (seconds, _) = next.split_once('s').unwrap();
    assert!((1..60).contains(&seconds.parse::<u32>().unwrap()), "{out}");
    assert!(
        out.contains("it stands in: no CA has issued one yet")
            && out.contains("Connection refused"),
        "{out}"
    );
    let (code, out, complaints) = certs(&house, &["renew", "localhost"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{complaints}");
    assert!(
        complaints.starts_with("localhost: ") && complaints.contains("refused"),
        "{complaints}"
    );
    let (code, _, complaints) = certs(&house, &["renew", "LocalHost"]);
    assert!(code == Some(1) && complaints.starts_with("localhost: "), "{complaints}");
    let (code, _, complaints) = certs(&house, &["renew", "other.test"]);
    assert!(
        code == Some(1) && complaints.contains("`other.test` has no certificate here: localhost")
    );
    let status = house.admin("GET", "/status");
    let (_, body) = status.split_once("\r\n\r\n").unwrap();
    let status: Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["certificates"][0]["state"], "temporary");
    assert_eq!(status["certificates"][0]["failures"], 3);
    let metrics = house.admin("GET", "/metrics");
    for line in [
        "gateway_tls_certificate_temporary{host=\"localhost\"} 1\n",
        "result=\"failed\"} 3\n",
        "result=\"issued\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn a_ca_that_cannot_be_trusted_is_not_told_anything() {
    // Whoever answers there has no certificate that this machine trusts.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut io, _) = listener.accept().unwrap();
        let mut hello = [0; 3];
        io.read_exact(&mut hello).unwrap();
        // A TLS alert: handshake failure.
        io.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap();
        hello
    });
    let house = asking(port);
    house.wait_for_log("\"event\":\"certificate_failed\"");
    assert_eq!(heard.join().unwrap(), [22, 3, 1], "a hello, and nothing in clear");
    assert!(!house.file("state/certificates/localhost.pem").exists());
    assert!(fs::read_dir(house.file("state/certificates/accounts")).unwrap().next().is_none());
}

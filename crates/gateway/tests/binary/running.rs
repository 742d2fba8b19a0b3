//! A running gateway: signals, sockets, reloads, the operator's listener, systemd.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use crate::house::{House, PATIENCE, binary, command, fake_n8n, free_port, text, until};

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection to the gateway, after its handshake.
pub(crate) fn connect(house: &House) -> Tls {
    connect_to(house.https, &house.file("state/ca.pem"))
}

pub(crate) fn connect_to(address: SocketAddr, authority: &Path) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let io = TcpStream::connect(address).unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(session, io)
}

/// The answer to a request, as far as it comes in one piece.
pub(crate) fn get(io: &mut Tls, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    io.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 4096];
    let read = io.read(&mut answer).unwrap();
    text(answer.get(..read).unwrap())
}

/// The status of the answer to a request on a connection of its own.
pub(crate) fn status(house: &House, path: &str) -> String {
    get(&mut connect(house), path).split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_saved_policy_is_in_force_and_an_open_connection_goes_on() {
    let house = House::start();
    let mut open = connect(&house);
    assert!(get(&mut open, "/").starts_with("HTTP/1.1 200 "));
    let closed = house.read_policy().replace("editor: me", "editor: nobody");
    fs::write(house.file("policy.yaml"), closed).unwrap();
    house.wait_for_log("\"event\":\"reload\",\"outcome\":\"applied\",\"because\":\"file\"");
    assert!(
        get(&mut open, "/").starts_with("HTTP/1.1 404 "),
        "the same connection, the new policy"
    );
}

#[test]
fn the_gateway_is_healthy_while_it_serves_whatever_becomes_of_n8n() {
    let nobody = format!("127.0.0.1:{}", free_port());
    for gone in [false, true] {
        let mut house = House::start_as(
            |policy| match policy.split_once("http://127.0.0.1:") {
                Some((before, after)) if gone => {
                    let rest = after.split_once('"').unwrap().1;
                    format!("{before}http://{nobody}\"{rest}")
                }
                _ => policy,
            },
            |_| {},
        );
        let config = house.file("policy.yaml").display().to_string();
        let asked = || command(&["status", "--healthy", "--config", &config]);
        let expected = if gone {
            format!("the gateway serves; n8n is down: http://{nobody}\n")
        } else {
            "the gateway serves\n".to_owned()
        };
        until("n8n is looked for", || text(&asked().stdout) == expected);
        assert_eq!(asked().status.code(), Some(0));
        house.child.kill().unwrap();
        house.child.wait().unwrap();
        let asked = asked();
        assert_eq!(asked.status.code(), Some(1), "{}", text(&asked.stderr));
        assert!(text(&asked.stderr).contains("no gateway answers at unix:"));
    }
    // Not even the policy is there.
    let blind = command(&["status", "--healthy", "--config", "/no/such/file"]);
    assert_eq!(blind.status.code(), Some(1));
}

#[test]
fn sighup_and_the_operator_reload_and_a_broken_policy_says_why() {
    let house = House::start();
    house.signal("-HUP");
    house.wait_for_log("\"event\":\"reload\",\"outcome\":\"unchanged\",\"because\":\"signal\"");
    let config = house.file("policy.yaml").display().to_string();
    let reload = || command(&["reload", "--config", &config]);
    assert_eq!(text(&reload().stdout), "unchanged, revision 1 is in force\n");

    let good = house.read_policy();
    // The file's change may be seen by the reload or, a moment before, by the gateway itself.
    fs::write(house.file("policy.yaml"), good.replace("editor: me", "editor: mee")).unwrap();
    let admin = format!("unix:{}", house.file("admin.sock").display());
    let broken = command(&["reload", "--admin", &admin]);
    assert_eq!(broken.status.code(), Some(1));
    assert_eq!(text(&broken.stdout), "invalid, revision 1 is in force\n");
    assert!(text(&broken.stderr).contains("did you mean `me`?"), "{}", text(&broken.stderr));
    assert_eq!(status(&house, "/"), "200", "the old policy is in force");

    let moved = good.replace(&house.https.port().to_string(), &free_port().to_string());
    fs::write(house.file("policy.yaml"), moved).unwrap();
    assert!(text(&reload().stdout).starts_with("needs restart"));
    fs::write(house.file("policy.yaml"), &good).unwrap();
    let good_again = text(&reload().stdout);
    let words = ["applied", "unchanged"].map(|it| format!("{it}, revision 2 is in force\n"));
    assert!(words.contains(&good_again), "{good_again}");
    house.wait_for_log("\"event\":\"reload\",\"outcome\":\"applied\"");
}

#[test]
fn the_operator_sees_health_metrics_and_status() {
    let house = House::start();
    assert!(house.admin("GET", "/healthz").starts_with("HTTP/1.1 200 "));
    until("n8n is up", || house.admin("GET", "/readyz").starts_with("HTTP/1.1 200 "));
    assert_eq!(status(&house, "/metrics"), "404", "n8n's own are for nobody");
    let metrics = house.admin("GET", "/metrics");
    assert!(metrics.contains("gateway_upstream_up{upstream=\"http://127.0.0.1:"), "{metrics}");
    assert!(metrics.contains("gateway_tls_certificate_not_after_seconds{host=\"localhost\"}"));
    assert!(house.admin("POST", "/metrics").starts_with("HTTP/1.1 405 "));
    assert!(house.admin("GET", "/nothing").starts_with("HTTP/1.1 404 "));
    let config = house.file("policy.yaml").display().to_string();
    let said = command(&["status", "--config", &config]);
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    assert!(text(&said.stdout).contains(" up\n"), "{}", text(&said.stdout));
    let as_json = command(&["status", "--config", &config, "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!(status["refused_in_the_last_5_minutes"], 1);
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(house.file("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn tasks_are_counted_and_end_with_their_connections() {
    let house = House::start();
    let tasks = || {
        let metrics = house.admin("GET", "/metrics");
        let value = metrics.lines().find_map(|it| it.strip_prefix("gateway_tasks_alive "));
        value.unwrap().parse::<usize>().unwrap()
    };
    until("n8n is up", || house.admin("GET", "/readyz").starts_with("HTTP/1.1 200 "));
    let before = tasks();
    let open: Vec<Tls> = (0..5).map(|_| connect(&house)).collect();
    until("a task for each connection", || tasks() >= before + 5);
    drop(open);
    until("no task is left of them", || tasks() <= before);
}

#[test]
fn an_operators_token_is_asked_for() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let admin =
        format!("{{ address: \"127.0.0.1:{port}\", token: \"${{file:{}}}\" }}", token.display());
    let file = folder.path().join("policy.yaml");
    let policy = House::policy(free_port(), fake_n8n(), "").replace("\"unix:ADMIN\"", &admin);
    fs::write(&file, policy).unwrap();
    let config = file.display().to_string();
    let mut child =
        binary().args(["run", "--config", &config]).stdout(Stdio::null()).spawn().unwrap();
    until("the listener", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let address = format!("127.0.0.1:{port}");
    assert_eq!(command(&["status", "--admin", &address]).status.code(), Some(2), "without a token");
    let shown =
        ["status", "--admin", &address, "--token-file", &token.display().to_string(), "--json"];
    until("the status", || command(&shown).status.success());
    assert!(command(&["status", "--config", &config, "--json"]).status.success());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_network_may_be_a_dns_name() {
    let house = House::start();
    let named = "networks: { me: { dns: localhost, refresh: 10s } }";
    let policy = house.read_policy().replace("networks: { me: [127.0.0.1] }", named);
    fs::write(house.file("policy.yaml"), &policy).unwrap();
    house.wait_for_log("\"because\":\"dns\"");
    assert_eq!(status(&house, "/"), "200");
    // A name that nobody knows keeps its last good answer, and this one never had one.
    fs::write(house.file("policy.yaml"), policy.replace("dns: localhost", "dns: no-such.invalid"))
        .unwrap();
    house.wait_for_log("\"event\":\"name_not_resolved\"");
    assert_eq!(status(&house, "/"), "404");
}

#[test]
fn sigterm_ends_with_0_and_leaves_no_socket() {
    let mut house = House::start();
    assert_eq!(status(&house, "/"), "200");
    house.signal("-TERM");
    assert_eq!(house.exit_code(), Some(0));
    house.wait_for_log("\"event\":\"stopped\",\"drained\":true");
    assert!(!house.file("admin.sock").exists());
    assert!(TcpStream::connect(house.https).is_err());
}

/// The operator's order of a ban, up to the middle of its body; and the rest.
fn half_an_order(house: &House) -> (UnixStream, &'static str) {
    let (half, rest) = ("{\"bans\":[{\"net\":\"203.0.113.9\"}],", "\"reason\":\"x\"}");
    let length = half.len() + rest.len();
    let head =
        format!("POST /bans HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    let mut io = UnixStream::connect(house.file("admin.sock")).unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    io.write_all(format!("{head}{half}").as_bytes()).unwrap();
    // Whoever is answered later came later.
    assert!(house.admin("GET", "/healthz").ends_with("ok\n"));
    (io, rest)
}

#[test]
fn an_order_that_is_under_way_at_the_end_is_carried_out() {
    let mut house = House::start();
    let (mut io, rest) = half_an_order(&house);
    house.signal("-TERM");
    house.wait_for_log("\"event\":\"stopping\"");
    io.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("203.0.113.9"), "{answer}");
    assert_eq!(house.exit_code(), Some(0));
}

#[test]
fn an_order_that_never_comes_to_its_end_does_not_keep_the_process() {
    let mut house = House::start_with("limits: { timeouts: { drain: 1s } }\n", |_| {});
    let _open = half_an_order(&house);
    house.signal("-TERM");
    assert_eq!(house.exit_code(), Some(0));
}

#[test]
fn a_policy_that_cannot_be_used_and_a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let admin = folder.path().join("a.sock").display().to_string();
    let policy = House::policy(port, fake_n8n(), "").replace("ADMIN", &admin);
    fs::write(&file, &policy).unwrap();
    let run = || command(&["run", "--config", &file.display().to_string()]);
    let refused = run();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("is another server running?"),
        "{}",
        text(&refused.stderr)
    );
    fs::write(&file, policy.replace("version: 1", "version: one")).unwrap();
    assert_eq!(run().status.code(), Some(78));
    let files = "{ certificate: { chain: none.pem, key: none.key } }";
    fs::write(&file, policy.replace("{ self_signed: true }", files)).unwrap();
    let uncertain = run();
    assert_eq!(uncertain.status.code(), Some(78));
    assert!(text(&uncertain.stderr).contains("none.pem"), "{}", text(&uncertain.stderr));
}

#[test]
fn systemd_is_told_and_hands_over_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let notices = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    notices.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let file = folder.path().join("policy.yaml");
    let admin = folder.path().join("admin.sock").display().to_string();
    fs::write(&file, House::policy(port, fake_n8n(), "").replace("ADMIN", &admin)).unwrap();
    // As systemd does: the socket is descriptor 3, and LISTEN_PID is the process's own id.
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_n8n-gateway"), "run", "--config"])
        .arg(&file)
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env("WATCHDOG_USEC", "200000")
        .stdin(OwnedFd::from(socket.try_clone().unwrap()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let hear = |wanted: &str| {
        let mut buffer = [0; 256];
        until(wanted, || {
            let length = notices.recv(&mut buffer).unwrap();
            text(buffer.get(..length).unwrap()).contains(wanted)
        });
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    let mut io =
        connect_to(SocketAddr::from(([127, 0, 0, 1], port)), &folder.path().join("state/ca.pem"));
    assert!(get(&mut io, "/").starts_with("HTTP/1.1 200 "));
    let kill = |name: &str| Command::new("kill").arg(name).arg(child.id().to_string()).status();
    kill("-HUP").unwrap();
    hear("RELOADING=1\nMONOTONIC_USEC=");
    hear("READY=1");
    kill("-TERM").unwrap();
    hear("STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_upload_of_200_mib_keeps_memory_flat() {
    let house = House::start();
    let mut io = connect(&house);
    assert!(get(&mut io, "/webhook/x").starts_with("HTTP/1.1 200 "));
    let before = house.resident();
    let head = format!(
        "POST /webhook/upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        200 << 20
    );
    io.write_all(head.as_bytes()).unwrap();
    let piece = vec![7; 1 << 20];
    let mut most = 0;
    for _ in 0..200 {
        io.write_all(&piece).unwrap();
        most = most.max(house.resident());
    }
    let (mut answer, mut read) = ([0; 4096], 0);
    let so_far = |answer: &[u8], read| text(answer.get(..read).unwrap());
    while !so_far(&answer, read).ends_with(" bytes") {
        let more = io.read(answer.get_mut(read..).unwrap()).unwrap();
        assert_ne!(more, 0, "{}", so_far(&answer, read));
        read += more;
    }
    let answer = so_far(&answer, read);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("209715200 bytes"), "{answer}");
    let grown = most.saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more than before");
}

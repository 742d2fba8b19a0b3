//! Bans from the operator's side: the commands, the API, what survives a crash.

use std::{
    collections::BTreeSet,
    fs,
    hash::{BuildHasher, RandomState},
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::house::{House, PATIENCE, binary, free_port, text, until};

/// A command of the program, asked of a running gateway: exit code, output, complaints.
fn bans(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let policy = folder.path().join("policy.yaml").display().to_string();
    let mut command = binary();
    command.arg("bans").args(arguments).args(["--config", &policy]);
    let done = command.output().unwrap();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

fn listed(folder: &TempDir) -> Vec<String> {
    let (code, out, complaints) = bans(folder, &["list", "--json"]);
    assert_eq!(code, Some(0), "{complaints}");
    let bans: Vec<Value> = serde_json::from_str(&out).unwrap();
    bans.iter().map(|it| it["net"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_operator_bans_asks_why_and_lets_in() {
    let house = House::start_with("bans: { never: [me] }\n", |_| {});
    let folder = &house.folder;
    assert_eq!(bans(folder, &["list"]).1, "nobody is banned\n");
    let add = ["add", "203.0.113.9", "2001:db8::/48", "--for", "2h", "--reason", "a test"];
    let (code, out, _) = bans(folder, &add);
    assert_eq!(code, Some(0));
    assert!(out.contains("203.0.113.9 ") && out.contains("manual") && out.contains("a test"));
    assert_eq!(listed(folder).len(), 2);
    let (code, out, _) = bans(folder, &["why", "2001:db8:0:7::1"]);
    assert_eq!(code, Some(0));
    for said in ["2001:db8::/48 is banned", "by       uid ", ": a test", "bans remove"] {
        assert!(out.contains(said), "{said}: {out}");
    }
    house.wait_for_log("\"why\":\"a test\"");
    assert_eq!(bans(folder, &["why", "203.0.113.10"]).0, Some(1), "not banned");

    // What would be everybody's ban, or the operator's, is not made.
    for (net, why) in [("127.0.0.0/8", "own address"), ("127.0.0.1", "own address")] {
        let (code, _, complaints) = bans(folder, &["add", net, "--reason", "x"]);
        assert_eq!(code, Some(1), "{net}");
        assert!(complaints.contains(why) && complaints.contains("--force"), "{complaints}");
    }
    assert_eq!(bans(folder, &["add", "nobody", "--reason", "x"]).0, Some(1));
    assert_eq!(listed(folder).len(), 2);

    let (code, out, _) = bans(folder, &["remove", "2001:db8::1", "--reason", "a mistake"]);
    assert_eq!((code, out.as_str()), (Some(0), "2001:db8::/48 is let in\n"));
    house.wait_for_log("\"because\":\"operator\"");
    house.wait_for_log("\"why\":\"a mistake\"");
    assert_eq!(bans(folder, &["remove", "2001:db8::1"]).0, Some(1), "not banned any more");
    assert_eq!(bans(folder, &["clear"]).1, "203.0.113.9 is let in\n");
    assert!(listed(folder).is_empty());
}

#[test]
fn lists_and_fail2bans_database_are_imported() {
    let house = House::start();
    let folder = &house.folder;
    let list = house.file("list.txt");
    fs::write(&list, "# scanners\n203.0.113.9\n\n198.51.100.0/24 # a network\n").unwrap();
    let (code, out, complaints) = bans(folder, &["import", list.to_str().unwrap()]);
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{complaints}");
    fs::write(&list, "203.0.113.9\nrubbish\n").unwrap();
    let (code, _, complaints) = bans(folder, &["import", list.to_str().unwrap()]);
    assert!(code == Some(2) && complaints.contains("list.txt:2: `rubbish`"), "{complaints}");

    let database = house.file("fail2ban.sqlite3");
    let connection = Connection::open(&database).unwrap();
    let tables = "CREATE TABLE bips(ip TEXT, jail TEXT, timeofban INTEGER, bantime INTEGER,
        bancount INTEGER, data JSON, PRIMARY KEY(ip, jail));
        INSERT INTO bips VALUES ('203.0.113.1', 'nginx', strftime('%s', 'now'), 3600, 1, '{}'),
        ('203.0.113.2', 'sshd', strftime('%s', 'now'), -1, 1, '{}'), ('127.0.0.1', 'nginx', strftime('%s', 'now'), 3600, 1, '{}'), ('203.0.113.3', 'nginx', 1, 1, 1, '{}');";
    connection.execute_batch(tables).unwrap();
    let database = database.display().to_string();
    let (code, out, complaints) =
        bans(folder, &["import", "--fail2ban", "--jail", "sshd", &database]);
    assert_eq!((code, out.lines().count()), (Some(0), 1), "{complaints}");
    let (code, out, complaints) = bans(folder, &["import", "--fail2ban", &database]);
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{complaints}");
    assert!(complaints.contains("left out: 127.0.0.1/32"), "{complaints}");
    let all: BTreeSet<String> = listed(folder).into_iter().collect();
    let expected = ["198.51.100.0/24", "203.0.113.1/32", "203.0.113.2/32", "203.0.113.9/32"];
    assert_eq!(all, expected.map(str::to_owned).into());
}

#[test]
fn the_api_is_as_it_is_described() {
    let house = House::start();
    let (_, described) = answer(&house, "GET", "/openapi.json", "");
    let described: Value = serde_json::from_str(&described).unwrap();
    let paths = described["paths"].as_object().unwrap();
    assert!(paths.len() >= 10, "{paths:?}");
    for (path, methods) in paths {
        let path = path.replace("{who}", "203.0.113.9");
        for method in methods.as_object().unwrap().keys().filter(|it| *it != "parameters") {
            let body = r#"{ "bans": [{ "net": "203.0.113.9" }], "reason": "described" }"#;
            let (status, said) = answer(&house, &method.to_uppercase(), &path, body);
            let told = methods[method]["responses"].as_object().unwrap();
            assert!(told.contains_key(&status), "{method} {path}: {status} {said}");
        }
        let (status, _) = answer(&house, "PATCH", &path, "");
        assert!(status == "405" || path == "/healthz", "PATCH {path}: {status}");
    }
    let (status, said) = answer(&house, "POST", "/bans", r#"{ "ban": [] }"#);
    assert!(status == "400" && said.contains("unknown field `ban`"), "{said}");
}

/// One request to the admin socket: status and body.
fn answer(house: &House, method: &str, path: &str, body: &str) -> (String, String) {
    let socket = house.file("admin.sock");
    asked(&socket, method, path, body).unwrap()
}

fn asked(socket: &Path, method: &str, path: &str, body: &str) -> Option<(String, String)> {
    let mut io = UnixStream::connect(socket).ok()?;
    io.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    io.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.to_owned(), body.to_owned()))
}

#[test]
fn a_ban_is_told_in_fail2bans_words_where_that_is_asked_for() {
    let house = House::start_with("log: { fail2ban: fail2ban.log }\n", |_| {});
    bans(&house.folder, &["add", "203.0.113.9", "--reason", "x"]);
    bans(&house.folder, &["remove", "203.0.113.9"]);
    let read = || fs::read_to_string(house.file("fail2ban.log")).unwrap_or_default();
    until("two lines", || read().lines().count() == 2);
    let lines = read();
    let said = |what: &str| format!("NOTICE  [manual] {what} 203.0.113.9");
    assert!(lines.contains(&said("Ban")) && lines.contains(&said("Unban")), "{lines}");
}

/// A process that does not outlive the test.
struct Life(Child);

impl Life {
    /// SIGKILL: nothing is tidied up.
    fn end(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where it listens: no other test takes one of its ports while it is dead.
const GROUND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// A gateway that is killed again and again.
struct Mortal {
    folder: TempDir,
    http: u16,
}

impl Mortal {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (https, http) = (free_port(), free_port());
        let admin = folder.path().join("admin.sock").display().to_string();
        let policy = format!(
            "version: 1\nsite: {{ host: localhost }}\nlisten: {{ https: \"{GROUND}:{https}\", \
             http: \"{GROUND}:{http}\", admin: \"unix:{admin}\" }}\ntls: {{ self_signed: true }}\n\
             access: {{ editor: nobody }}\nstate: {{ dir: state }}\nlog: {{ level: error }}\n\
             bans: {{ increment: false, recidive: false, \
             jails: {{ protocol: {{ max_retry: 1, ban_time: 1d }} }} }}\n"
        );
        fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        Self { folder, http }
    }

    fn start(&self) -> Life {
        let mut command = binary();
        command.arg("run").arg("--config").arg(self.folder.path().join("policy.yaml"));
        // What keeps it from starting is said on its standard error.
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        until("the gateway serves", || {
            let answer = asked(&self.socket(), "GET", "/healthz", "");
            answer.is_some_and(|(status, _)| status == "200")
        });
        Life(child)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("admin.sock")
    }

    fn banned(&self) -> BTreeSet<String> {
        let (_, bans) = asked(&self.socket(), "GET", "/bans", "").unwrap();
        let bans: Vec<Value> = serde_json::from_str(&bans).unwrap();
        bans.iter().map(|it| it["net"].as_str().unwrap().to_owned()).collect()
    }

    /// A connection to the HTTP listener from `source`.
    fn dial(&self, source: Ipv4Addr) -> Option<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into()).ok()?;
        // A listener that closes between the two halves of a handshake says nothing, and leaves a
        // connection that nobody holds at the other end: whoever only reads from it waits for ever.
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let to = SocketAddr::from((GROUND, self.http));
        socket.connect(&to.into()).ok()?;
        Some(socket.into())
    }

    /// Sends what is not HTTP from `source`, and tells whether its next connection is dropped.
    fn is_dropped(&self, source: Ipv4Addr) -> Option<bool> {
        let mut io = self.dial(source)?;
        io.write_all(b"rubbish\r\n\r\n").ok()?;
        // The answer, and the end.
        io.read_to_end(&mut Vec::new()).ok()?;
        let mut again = self.dial(source)?;
        Some(again.read(&mut [0]).ok()? == 0)
    }
}

/// Bans that somebody was told of before the kill: by the API, or by being dropped.
fn told(gateway: &Mortal, round: u8, killed: &AtomicBool) -> BTreeSet<String> {
    let told = Mutex::new(BTreeSet::new());
    let acknowledge = |net: String| {
        // What is seen after the kill may be its doing.
        if !killed.load(Ordering::SeqCst) {
            told.lock().unwrap().insert(net);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=250_u8 {
                let net = format!("10.0.{round}.{n}");
                let body = format!(r#"{{"bans":[{{"net":"{net}"}}],"reason":"x"}}"#);
                match asked(&gateway.socket(), "POST", "/bans", &body) {
                    Some((status, said)) if status == "200" => {
                        // On a slow disk it may be said that it is not there yet.
                        if said.contains("\"durable\":true") {
                            acknowledge(format!("{net}/32"));
                        }
                    }
                    Some(other) => assert!(killed.load(Ordering::SeqCst), "{other:?}"),
                    None => return,
                }
            }
        });
        scope.spawn(|| {
            for n in 1..=250_u8 {
                let source = Ipv4Addr::new(127, 1, round, n);
                match gateway.is_dropped(source) {
                    Some(true) => acknowledge(format!("{source}/32")),
                    Some(false) => assert!(killed.load(Ordering::SeqCst), "{source} was let in"),
                    None => return,
                }
            }
        });
    });
    told.into_inner().unwrap()
}

#[test]
fn two_hundred_kills_lose_no_ban_that_somebody_was_told_of() {
    let gateway = Mortal::new();
    let chance = RandomState::new();
    let mut expected = BTreeSet::new();
    let mut child = gateway.start();
    for round in 0..200_u8 {
        let killed = AtomicBool::new(false);
        let after = Duration::from_micros(chance.hash_one(round) % 120_000);
        let new = thread::scope(|scope| {
            let telling = scope.spawn(|| told(&gateway, round, &killed));
            thread::sleep(after);
            killed.store(true, Ordering::SeqCst);
            child.end();
            telling.join().unwrap()
        });
        expected.extend(new);
        child = gateway.start();
        let kept = gateway.banned();
        let lost: Vec<_> = expected.difference(&kept).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}");
    }
    let (by_hand, by_jail): (Vec<_>, Vec<_>) =
        expected.iter().partition(|it| it.starts_with("10."));
    assert!(by_hand.len() > 200 && by_jail.len() > 200, "{} {}", by_hand.len(), by_jail.len());
    assert!(!gateway.folder.path().join("state/state.db.broken0").exists());
    drop(child);
}

//! The commands: what they say and how they exit.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::net::UnixListener,
    process::Stdio,
    thread,
};

use crate::house::{House, binary, command, text};

fn policy_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    fs::write(&file, text).unwrap();
    let name = file.display().to_string();
    (folder, name)
}

fn good() -> String {
    let n8n = SocketAddr::from(([127, 0, 0, 1], 1));
    House::policy(1, n8n, "").replace("ADMIN", "/tmp/none.sock")
}

#[test]
fn check_says_everything_and_exits_by_it() {
    let (_folder, file) = policy_file(&good());
    let checked = command(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(text(&checked.stdout).ends_with("policy.yaml: usable\n"));

    let broken = good().replace("access", "acess").replace("version: 1", "version: 7");
    let (_folder, file) = policy_file(&broken);
    let checked = command(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(78));
    let said = text(&checked.stderr);
    assert!(said.contains("policy.yaml:1:10: error: version 7"), "{said}");
    assert!(said.contains("unknown key `acess`\n  hint: did you mean `access`?"), "{said}");
    let as_json = command(&["check", "--config", &file, "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!(report["usable"], false);
    assert_eq!(report["problems"][0]["line"], 1);

    assert_eq!(command(&["check", "--config", "/no/such/file"]).status.code(), Some(78));
}

#[test]
fn check_looks_at_the_certificate() {
    let files = "{ certificate: { chain: chain.pem, key: key.pem } }";
    let (folder, file) = policy_file(&good().replace("{ self_signed: true }", files));
    let check = || command(&["check", "--config", &file]);
    let missing = check();
    assert_eq!(missing.status.code(), Some(78));
    assert!(text(&missing.stderr).contains("chain.pem"), "{}", text(&missing.stderr));
    let write = |host: &str| {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        fs::write(folder.path().join("chain.pem"), made.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    };
    write("elsewhere.test");
    let other = check();
    assert_eq!(other.status.code(), Some(0));
    assert!(text(&other.stderr).contains("it is not for `localhost`"), "{}", text(&other.stderr));
    write("localhost");
    assert_eq!(text(&check().stderr), "");
}

#[test]
fn check_prints_the_policy_in_force() {
    let (_folder, file) = policy_file(&good());
    let printed = command(&["check", "--config", &file, "--print"]);
    let policy: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(policy["access"]["editor"], "me (line 7)");
    assert_eq!(policy["access"]["rest"], "me (as the editor, line 7)");
    assert_eq!(policy["access"]["webhook"], "anyone (default)");
    assert_eq!(policy["limits"]["timeouts"]["stream"], "1h");
}

#[test]
fn explain_shows_each_step_and_the_line_that_decides() {
    let (_folder, file) = policy_file(&good());
    let explain = |from: &str, method: &str, url: &str| {
        let explained = command(&["explain", "--config", &file, "--from", from, method, url]);
        (explained.status.code(), text(&explained.stdout))
    };
    let (code, said) = explain("203.0.113.9", "POST", "/rest/login");
    assert_eq!(code, Some(1));
    assert!(said.contains("path     surface `sign-in`\n"), "{said}");
    assert!(said.contains("access   closed to this client (as the editor, line 7)\n"), "{said}");
    assert!(said.ends_with("decision refuse with 404 (closed)\n"), "{said}");
    let (code, said) = explain("127.0.0.1", "POST", "https://localhost/rest/login");
    assert_eq!(code, Some(0));
    assert!(said.ends_with("decision pass, as `sign-in`\n"), "{said}");
    assert_eq!(explain("127.0.0.1", "GET", "https://elsewhere/").0, Some(1));
    let args = [
        "explain",
        "--config",
        &file,
        "--from",
        "127.0.0.1",
        "GET",
        "/chat",
        "--websocket",
        "--json",
    ];
    let report: serde_json::Value = serde_json::from_slice(&command(&args).stdout).unwrap();
    assert_eq!(report["decision"], "pass, as `chat`");
}

#[test]
fn explain_supposes_a_session_and_an_api_key() {
    let key = format!("sha256:{}", "ab".repeat(32));
    let asked = format!(
        "accounts: {{ require_mfa: true, api_keys: {{ read_only: true, keys: {{ \"{key}\": \
         {{ read_only: false }} }} }} }}\n"
    );
    let (_folder, file) = policy_file(&format!("{}{asked}", good()));
    let explain = |line: &str, more: &[&str]| {
        let (method, path) = line.split_once(' ').unwrap();
        let args = ["explain", "--config", &file, "--from", "127.0.0.1", method, path];
        let explained = command(&[&args, more].concat());
        (explained.status.code(), text(&explained.stdout))
    };
    let other = format!("sha256:{}", "cd".repeat(32));
    for (line, more, code, said) in [
        ("GET /rest/users", &[][..], 0, "session  one must have shown a second factor (line"),
        ("GET /rest/users", &["--session", "none"], 0, "decision pass"),
        ("GET /rest/users", &["--session", "with-mfa"], 0, "decision pass"),
        ("GET /rest/users", &["--session", "without-mfa"], 1, "401 (no_second_factor)"),
        ("GET /rest/login", &["--session", "without-mfa"], 0, "decision pass"),
        ("POST /api/v1/tags", &[], 0, "api key  one may only read (line"),
        ("POST /api/v1/tags", &["--api-key", &other], 1, "403 (api_key_scope)"),
        ("POST /api/v1/tags", &["--api-key", &key], 0, "api key  may be used so (line"),
    ] {
        let (found, out) = explain(line, more);
        assert!(found == Some(code) && out.contains(said), "{line} {more:?}: {out}");
    }
}

#[test]
fn what_a_key_is_called_is_said_without_the_key() {
    let mut fingerprint = binary();
    fingerprint.args(["api-keys", "fingerprint"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = fingerprint.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let done = child.wait_with_output().unwrap();
    let expected = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n";
    assert_eq!(text(&done.stdout), expected);
}

#[test]
fn explain_supposes_a_certificate_where_it_is_told_to() {
    let asking = good().replace("editor: me", "editor: { client_ca: ca.pem, networks: [me] }");
    let (folder, file) = policy_file(&asking);
    let explain = |from: &str, more: &[&str]| {
        let args = ["explain", "--config", &file, "--from", from, "GET", "/rest/login"];
        let explained = command(&[&args, more].concat());
        (explained.status.code(), text(&explained.stdout))
    };
    assert_eq!(explain("127.0.0.1", &[]).0, Some(78), "no such file");
    let made = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
    let (code, said) = explain("127.0.0.1", &[]);
    assert_eq!(code, Some(1));
    let access =
        "access   open to this client with a certificate of ca.pem (as the editor, line 7)";
    assert!(said.contains(access), "{said}");
    assert!(said.ends_with("decision refuse with 403 (client_certificate)\n"), "{said}");
    let (code, said) = explain("127.0.0.1", &["--client-certificate"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("client   127.0.0.1, with a certificate of"), "{said}");
    let (code, said) = explain("203.0.113.9", &["--client-certificate"]);
    assert_eq!(code, Some(1));
    assert!(said.ends_with("decision refuse with 404 (closed)\n"), "{said}");
    let printed = command(&["check", "--config", &file, "--print"]);
    let policy: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let shown = "{ client_ca: ca.pem, networks: [me] } (line 7)";
    assert_eq!(policy["access"]["editor"], shown);
}

#[test]
fn mistakes_on_the_command_line_are_the_users() {
    assert_eq!(command(&["explain", "--from", "nowhere", "GET", "/"]).status.code(), Some(1));
    assert_eq!(command(&["frobnicate"]).status.code(), Some(1));
    assert_eq!(command(&["--help"]).status.code(), Some(0));
    assert_eq!(command(&["status", "--admin", "unix:/no/such.sock"]).status.code(), Some(2));
}

#[test]
fn every_shell_is_completed() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&command(&["completions", shell]).stdout);
        assert!(script.contains("explain") && script.contains("n8n-gateway"), "{shell}");
    }
}

/// The README's five lines are the minimal example, and what it shows of `explain` is what is said.
#[test]
fn the_readme_tells_the_truth() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let readme = fs::read_to_string(format!("{root}/README.md")).unwrap();
    let minimal = format!("{root}/config/minimal.yaml");
    let policy = fs::read_to_string(&minimal).unwrap();
    assert!(readme.contains(&format!("```yaml\n{policy}```")));
    let explained = command(&[
        "explain",
        "--config",
        &minimal,
        "--from",
        "198.51.100.7",
        "POST",
        "/rest/login",
    ]);
    let said = text(&explained.stdout);
    assert!(readme.contains(&format!("```text\n{said}```")), "{said}");
}

#[test]
fn who_has_read_enough_may_go() {
    let mut child = binary()
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()));
}

#[test]
fn a_gateway_that_hands_over_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let admin = format!("unix:{}", socket.display());
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    thread::spawn(move || {
        for answer in [busy, busy, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"] {
            let mut io = listener.accept().unwrap().0;
            let mut line = String::new();
            BufReader::new(&io).read_line(&mut line).unwrap();
            assert_eq!(line, "GET /bans HTTP/1.1\r\n");
            io.write_all(answer.as_bytes()).unwrap();
        }
    });
    let done = command(&["bans", "list", "--admin", &admin]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout), "nobody is banned\n");
}

//! The operator's page from the outside: who gets it, what a browser may do with it, and what it asks.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::{
    house::{House, PATIENCE, free_port, until},
    running::status,
};

const TOKEN: &str = "s3cret-and-long";

/// What a browser says when somebody types an address.
const TYPED: &str = "accept: text/html,*/*;q=0.8\r\nsec-fetch-site: none\r\nsec-fetch-mode: navigate\r\n\
    sec-fetch-dest: document\r\n";

/// A gateway with an operator on a port, who has a token.
struct Guarded {
    house: House,
    port: u16,
}

impl Guarded {
    fn start() -> Self {
        let port = free_port();
        let admin = format!("{{ address: \"127.0.0.1:{port}\", token: \"{TOKEN}\" }}");
        let change = |policy: String| {
            let (before, rest) = policy.split_once("\"unix:").unwrap();
            let (_, after) = rest.split_once('"').unwrap();
            format!("{before}{admin}{after}")
        };
        Self { house: House::start_as(change, |_| {}), port }
    }

    fn dial(&self) -> TcpStream {
        let io = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        io.set_read_timeout(Some(PATIENCE)).unwrap();
        io
    }

    /// One request: status, head and body.
    fn ask(&self, line: &str, fields: &str, body: &str) -> (String, String, String) {
        let mut io = self.dial();
        let (port, length) = (self.port, body.len());
        let request = format!(
            "{line} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\ncontent-length: {length}\r\n\
             {fields}\r\n{body}"
        );
        io.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        io.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().to_owned();
        (status, head.to_owned(), body.to_owned())
    }

    fn status(&self, line: &str, fields: &str) -> String {
        self.ask(line, fields, "").0
    }

    /// The field that shows the cookie of whoever gave the token.
    fn sign_in(&self) -> String {
        let (status, head, _) = self.ask("POST /ui/sign-in", "", &format!("token={TOKEN}"));
        assert_eq!(status, "303", "{head}");
        let cookie = head.lines().find_map(|it| it.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        assert!(!cookie.contains(TOKEN), "{cookie}");
        format!("cookie: {}\r\n", cookie.split(';').next().unwrap())
    }
}

#[test]
fn the_page_is_for_whoever_gave_the_token() {
    let guarded = Guarded::start();
    let (code, head, form) = guarded.ask("GET /", TYPED, "");
    assert_eq!(code, "200");
    assert!(form.contains("name=\"token\"") && !form.contains("page.js"), "{form}");
    for said in ["content-security-policy: default-src 'none'", "x-frame-options: DENY", "no-store"]
    {
        assert!(head.contains(said), "{said}: {head}");
    }
    assert_eq!(guarded.status("GET /overview", ""), "401");
    let (code, head, form) = guarded.ask("POST /ui/sign-in", "", "token=s3cret");
    assert!(code == "403" && !head.contains("set-cookie"), "{head}");
    assert!(form.contains("not the token"));
    assert_eq!(guarded.ask("POST /ui/sign-in", "", &"x".repeat(5000)).0, "413");

    let cookie = guarded.sign_in();
    let (code, _, page) = guarded.ask("GET /", &format!("{TYPED}{cookie}"), "");
    assert!(code == "200" && page.contains("/ui/page.js"), "{page}");
    assert!(page.contains("revision 1"), "whoever runs no scripts sees the status: {page}");
    for part in ["page.css", "dom.js", "views.js", "page.js", "icon.svg"] {
        let (code, head, _) = guarded.ask(&format!("GET /ui/{part}"), "", "");
        assert!(code == "200" && head.contains("nosniff"), "{part} {head}");
    }
    assert_eq!(guarded.status("GET /overview", &cookie), "200");
    assert_eq!(guarded.status("GET /overview", "cookie: operator=1\r\n"), "401");
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    assert_eq!(guarded.status("GET /overview", &bearer), "200", "programs do as before");

    let origin = format!("origin: http://localhost:{}\r\n", guarded.port);
    assert_eq!(guarded.status("POST /ui/sign-out", &format!("{cookie}{origin}")), "303");
    assert_eq!(guarded.status("GET /overview", &cookie), "401");
}

#[test]
fn no_other_site_has_the_browser_do_anything() {
    let guarded = Guarded::start();
    let cookie = guarded.sign_in();
    let ours = format!("{cookie}origin: http://localhost:{}\r\n", guarded.port);
    for (what, line, fields, expected) in [
        ("our page", "POST /reload", ours.as_str(), "200"),
        ("whoever says nothing", "POST /reload", &cookie, "403"),
        (
            "another site",
            "POST /reload",
            &format!("{cookie}origin: https://evil.example\r\n"),
            "403",
        ),
        ("another port", "POST /reload", &format!("{cookie}origin: http://localhost:1\r\n"), "403"),
        ("nobody", "DELETE /bans", &format!("{cookie}origin: null\r\n"), "403"),
        (
            "a script's source",
            "GET /overview",
            &format!("{cookie}sec-fetch-site: cross-site\r\n"),
            "403",
        ),
        (
            "the same host",
            "GET /overview",
            &format!("{cookie}sec-fetch-site: same-site\r\n"),
            "403",
        ),
        ("our script", "GET /overview", &format!("{cookie}sec-fetch-site: same-origin\r\n"), "200"),
        ("a foreign form", "POST /ui/sign-in", "origin: https://evil.example\r\n", "403"),
    ] {
        assert_eq!(guarded.status(line, fields), expected, "{what}");
    }
    let rebound = "GET / HTTP/1.1\r\nhost: evil.example:9180\r\nconnection: close\r\n\r\n";
    let mut io = guarded.dial();
    io.write_all(rebound.as_bytes()).unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn what_was_refused_is_told_without_its_secrets() {
    let guarded = Guarded::start();
    let house = &guarded.house;
    assert_eq!(status(house, "/metrics"), "404");
    assert_eq!(status(house, "/metrics?token=abcdefgh&a=%3Cb%3E"), "404");
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let told = |query: &str| -> Value {
        let (code, _, body) = guarded.ask(&format!("GET /refusals{query}"), &bearer, "");
        assert_eq!(code, "200", "{body}");
        serde_json::from_str(&body).unwrap()
    };
    // A record is written when its request has ended.
    until("both are told", || told("")["last"] == 2);
    let all = told("");
    let first = &all["refusals"][1];
    assert_eq!((&first["path"], &first["client"]), (&"/metrics".into(), &"127.0.0.1".into()));
    assert_eq!((&first["reason"], &first["status"]), (&"closed".into(), &404.into()), "{first}");
    assert!(!all.to_string().contains("abcdefgh"), "{all}");
    let id = first["request_id"].as_str().unwrap();
    assert_eq!(told(&format!("?request={id}"))["refusals"].as_array().unwrap().len(), 1);
    assert_eq!(told("?after=1")["refusals"].as_array().unwrap().len(), 1);
    assert_eq!(told("?client=192.0.2.0/24")["refusals"].as_array().unwrap().len(), 0);
    assert_eq!(guarded.status("GET /refusals?client=me", &bearer), "400");
    for empty in ["sign-ins", "limits"] {
        assert_eq!(guarded.ask(&format!("GET /{empty}"), &bearer, "").2, "[]", "{empty}");
    }
    let (_, _, overview) = guarded.ask("GET /overview?after=1", &bearer, "");
    let overview: Value = serde_json::from_str(&overview).unwrap();
    assert_eq!(overview["refusals"]["refusals"].as_array().unwrap().len(), 1);
    assert_eq!(overview["host"], "localhost");
    assert!(overview["sessions"].is_null() && overview["bans"]["all"] == 0, "{overview}");
}

#[test]
fn the_socket_is_asked_by_names_of_this_machine_alone() {
    let house = House::start();
    assert!(house.admin("GET", "/").contains("openapi.json"), "a program is told what there is");
    for (host, expected) in
        [("localhost:9180", "200"), ("127.0.0.1", "200"), ("evil.example", "403")]
    {
        let mut io = std::os::unix::net::UnixStream::connect(house.file("admin.sock")).unwrap();
        io.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{TYPED}\r\n");
        io.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        io.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{host}");
        assert!(expected == "403" || answer.contains("/ui/page.js"), "{answer}");
    }
}

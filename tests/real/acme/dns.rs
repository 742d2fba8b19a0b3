//! Names: Pebble's own server, which answers what it is told to, and BIND, which is told by signed
//! updates.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command};

use crate::processes::{Process, eventually, free_ports};

/// Pebble's server of names: everything is at 127.0.0.1 unless it is told otherwise.
#[derive(Debug)]
pub(super) struct Names {
    _process: Process,
    port: u16,
    management: u16,
}

impl Names {
    pub(super) async fn start(folder: &Path) -> Self {
        let [port, management] = free_ports();
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        command.arg("-dns01").arg(format!("127.0.0.1:{port}"));
        command.arg("-management").arg(format!("127.0.0.1:{management}"));
        let mut process = Process::start("names", &mut command, folder);
        eventually("the server of names", async || {
            process.assert_runs();
            TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            TcpStream::connect(("127.0.0.1", management)).await.ok()
        })
        .await;
        Self { _process: process, port, management }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where it is told: a path for each thing, and JSON.
    pub(super) fn management(&self) -> u16 {
        self.management
    }

    async fn tell(&self, what: &str, body: Value) {
        let tcp = TcpStream::connect(("127.0.0.1", self.management)).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
        let request = Request::post(what).header(header::HOST, "names");
        let request = request.body(Full::<Bytes>::from(body.to_string())).unwrap();
        let answer = tokio::select! {
            answer = sender.send_request(request) => answer.unwrap(),
            end = connection => panic!("{what}: {end:?}"),
        };
        assert_eq!(answer.status(), 200, "{what} {body}");
    }

    /// Moves `host` to another address.
    pub(super) async fn moves(&self, host: &str, address: &str) {
        self.tell("/add-a", json!({ "host": format!("{host}."), "addresses": [address] })).await;
    }

    /// Takes that back.
    pub(super) async fn is_back(&self, host: &str) {
        self.tell("/clear-a", json!({ "host": format!("{host}.") })).await;
    }

    /// Fails to answer for `host` from now on, or no longer.
    pub(super) async fn fails(&self, host: &str, fails: bool) {
        let what = if fails { "/set-servfail" } else { "/clear-servfail" };
        self.tell(what, json!({ "host": format!("{host}.") })).await;
    }
}

/// A hook that tells [`Names`], after `first`, a command of the shell. What it was called with is
/// in `hook.calls` beside it.
pub(super) fn write_hook(folder: &Path, names: &Names, first: &str) {
    let hook = folder.join("hook.sh");
    let text = format!(
        r#"#!/bin/sh
set -eu
cd "$(dirname "$0")"
echo "$1 $2" >> hook.calls
{first}
case "$1" in
present) curl -sSf -d "{{\"host\": \"$2\", \"value\": \"$3\"}}" http://127.0.0.1:{port}/set-txt ;;
cleanup) curl -sSf -d "{{\"host\": \"$2\"}}" http://127.0.0.1:{port}/clear-txt ;;
esac
"#,
        port = names.management()
    );
    fs::write(&hook, text).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
}

/// What a hook was called with, a call a line.
pub(super) fn hook_calls(folder: &Path) -> Vec<String> {
    let calls = fs::read_to_string(folder.join("hook.calls")).unwrap_or_default();
    calls.lines().map(str::to_owned).collect()
}

/// BIND, with the zone `n8n.test`, which whoever has the key `gw` may put TXT records in.
#[derive(Debug)]
pub(super) struct Bind {
    process: Process,
    port: u16,
    secret: String,
}

impl Bind {
    pub(super) async fn start(folder: &Path) -> Self {
        let folder = folder.join("bind");
        fs::create_dir(&folder).unwrap();
        let [port] = free_ports();
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).unwrap();
        let secret = STANDARD.encode(secret);
        let settings = format!(
            r#"
options {{
    directory "{0}"; pid-file none; session-keyfile none; notify no;
    listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no;
}};
controls {{ }};
key "gw" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "n8n.test" {{ type primary; file "zone"; update-policy {{ grant gw zonesub TXT; }}; }};
"#,
            folder.display()
        );
        fs::write(folder.join("named.conf"), settings).unwrap();
        let zone = "$TTL 1\n@ SOA ns ops 1 60 60 600 1\n@ NS ns\n@ A 127.0.0.1\nns A 127.0.0.1\n";
        fs::write(folder.join("zone"), zone).unwrap();

        // Debian's AppArmor lets the program of this path read nothing but its own folders.
        let program = folder.join("program");
        fs::copy(installed("named"), &program).unwrap();
        let mut command = Command::new(program);
        command.args(["-g", "-4", "-n", "1", "-c", "named.conf"]).current_dir(&folder);
        let mut process = Process::start("named", &mut command, &folder);
        eventually("BIND", async || {
            process.assert_runs();
            process.said().contains("all zones loaded").then_some(())
        })
        .await;
        Self { process, port, secret }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its key's secret, in base64.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// What it says about updates.
    pub(super) fn updates(&self) -> Vec<String> {
        let said = self.process.said();
        let updates = said.lines().filter(|line| line.contains("updating zone 'n8n.test/IN'"));
        updates.map(str::to_owned).collect()
    }
}

/// Where a program is.
fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|it| it.join(name)).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{name}: run `cargo xtask test`"))
}

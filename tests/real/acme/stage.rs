//! A gateway and the directory it turns to, on one machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use gateway_certs::{Clock, SystemClock};
use hyper::Request;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    HOST,
    pebble::{AUTHORITY, Options, Pebble},
    visitor::{Seen, look},
};
use crate::{
    client::Client,
    installation::{Gateway, STRANGER, program},
    processes::{eventually, free_ports},
};

/// What is asked of the gateway.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The first of the site's names.
    pub(super) host: &'static str,
    /// Another, if it has one.
    pub(super) webhook_host: Option<&'static str>,
    pub(super) challenges: &'static str,
    /// Whether it listens for plain HTTP.
    pub(super) plain: bool,
    /// What `tls.acme` says besides.
    pub(super) acme: String,
    /// What the directory needs besides its URL.
    pub(super) directory: &'static str,
    /// The URL of a directory before it, if there is one.
    pub(super) first: Option<String>,
    /// What the policy says besides.
    pub(super) rest: &'static str,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            host: HOST,
            webhook_host: None,
            challenges: "tls-alpn-01, http-01",
            plain: true,
            acme: String::new(),
            directory: "",
            first: None,
            rest: "networks: { team: [127.0.0.1] }\naccess: { editor: team }",
        }
    }
}

impl Wish {
    /// Certificates by the hook in the policy's folder.
    pub(super) fn by_hook() -> Self {
        let acme = "dns: { hook: ./hook.sh, propagation: 1s }".to_owned();
        Self { challenges: "dns-01", plain: false, acme, ..Self::default() }
    }
}

/// Where a gateway runs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) state: PathBuf,
    http: u16,
    https: u16,
}

impl Place {
    /// In `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        let [http, https] = free_ports();
        Self { folder: folder.to_owned(), state: folder.join("state"), http, https }
    }

    /// In another folder, with the same state.
    pub(super) fn another(&self, folder: &Path) -> Self {
        Self { state: self.state.clone(), ..Self::new(folder) }
    }

    /// The port of plain HTTP.
    pub(super) fn http(&self) -> u16 {
        self.http
    }

    /// The port of HTTPS.
    pub(super) fn https(&self) -> u16 {
        self.https
    }

    /// What it keeps about certificates.
    pub(super) fn certificates(&self) -> PathBuf {
        self.state.join("certificates")
    }

    /// Key and chain for [`HOST`].
    pub(super) fn pem(&self) -> PathBuf {
        self.certificates().join(format!("{HOST}.pem"))
    }

    fn policy(&self, wish: &Wish, pebble: &Pebble) -> String {
        let Wish { host, webhook_host, challenges, plain, acme, directory, first, rest } = wish;
        let site = webhook_host.map(|it| format!(", webhook_host: {it}")).unwrap_or_default();
        let http = if *plain { format!("\"127.0.0.1:{}\"", self.http) } else { String::new() };
        let first = first.as_ref().map(|it| format!("- {it}")).unwrap_or_default();
        let [nobody] = free_ports();
        format!(
            r#"
version: 1
site: {{ host: "{host}"{site} }}
listen: {{ https: ["127.0.0.1:{https}"], http: [{http}], admin: "unix:{folder}/admin.sock" }}
tls:
  acme:
    email: ops@example.com
    directories:
      {first}
      - url: {directory_url}
        root: {AUTHORITY}
        {directory}
    challenges: [{challenges}]
    {acme}
n8n: {{ url: "http://127.0.0.1:{nobody}" }}
state: {{ dir: "{state}" }}
log: {{ format: json, level: debug }}
{rest}
"#,
            https = self.https,
            folder = self.folder.display(),
            directory_url = pebble.url(),
            state = self.state.display(),
        )
    }
}

/// Both of them.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) pebble: Pebble,
    pub(super) place: Place,
    /// The last to go: it holds what the others write.
    pub(super) folder: TempDir,
}

impl Stage {
    /// Sets everything up; the directory is down.
    pub(super) async fn set(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path());
        let pebble = Pebble::new(folder.path(), options, place.http, place.https).await;
        Self { pebble, place, folder }
    }

    /// The same where the directory reaches the gateway by way of other ports, for HTTP and HTTPS.
    pub(super) async fn set_behind(by: (u16, u16), place: Place, folder: TempDir) -> Self {
        let pebble = Pebble::new(folder.path(), Options::default(), by.0, by.1).await;
        Self { pebble, place, folder }
    }

    /// The same with the directory up.
    pub(super) async fn start(options: Options) -> Self {
        let mut stage = Self::set(options).await;
        stage.pebble.up().await;
        stage
    }

    /// A gateway that serves, with whatever certificate.
    pub(super) async fn gateway(&self, wish: &Wish) -> Gateway {
        self.gateway_at(&self.place, wish, program()).await
    }

    /// The same elsewhere.
    pub(super) async fn gateway_at(&self, place: &Place, wish: &Wish, command: Command) -> Gateway {
        fs::copy(self.pebble.authority(), place.folder.join(AUTHORITY)).unwrap();
        let policy = place.policy(wish, &self.pebble);
        Gateway::start_from(command, &place.folder, wish.host, place.https, &policy).await
    }

    /// A gateway that has its certificate.
    pub(super) async fn gateway_with_certificate(&self, wish: &Wish) -> (Gateway, Seen) {
        let gateway = self.gateway(wish).await;
        until_valid(&gateway, wish.host).await;
        let seen = self.sees_valid(&gateway, wish.host).await;
        (gateway, seen)
    }

    /// Asserts that a stranger who trusts the directory's root alone gets an answer from `host`.
    pub(super) async fn sees_valid(&self, gateway: &Gateway, host: &'static str) -> Seen {
        let root = self.pebble.root().await;
        let client = Client::new(STRANGER, host, gateway.port(), &root);
        client.send(Request::get("/webhook/x"), "").await;
        look(gateway.port(), host).await
    }
}

/// What the operator reads about the certificate for `host`; nothing if nothing is said of it.
pub(super) async fn certificate(gateway: &Gateway, host: &str) -> Option<Value> {
    let Output { status, stdout, stderr } = gateway.told(&["certs", "list", "--json"]).await;
    let said = String::from_utf8_lossy(&stderr);
    let all = serde_json::from_slice::<Vec<Value>>(&stdout);
    let all = all.unwrap_or_else(|why| panic!("certs list: {why}: {status} {said}"));
    all.into_iter().find(|it| it["host"] == host)
}

/// Waits until there is a valid one.
pub(super) async fn until_valid(gateway: &Gateway, host: &str) -> Value {
    until(gateway, host, |it| it["state"] == "valid").await
}

/// Waits until it is so.
pub(super) async fn until(gateway: &Gateway, host: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually("the certificate's state", async || {
        let found = certificate(gateway, host).await?;
        is(&found).then_some(found)
    })
    .await
}

/// Whether a certificate is renewed when the operator wants it, and what the operator is told.
pub(super) async fn renew(gateway: &Gateway, host: &str) -> (bool, String) {
    let Output { status, stdout, stderr } = gateway.told(&["certs", "renew", host]).await;
    let said = [stdout, stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    (status.success(), said)
}

/// Asserts that it is.
pub(super) async fn renewed(gateway: &Gateway, host: &str) {
    let (done, said) = renew(gateway, host).await;
    assert!(done, "{said}");
}

/// Asserts that it is not, and comes back with what is said of it now. One in a hundred
/// authorizations is used again, and then nothing is checked that could fail.
pub(super) async fn not_renewed(gateway: &Gateway, host: &str) -> (String, Value) {
    let said = eventually("a renewal that fails", async || {
        let (done, said) = renew(gateway, host).await;
        (!done).then_some(said)
    })
    .await;
    println!("-- certs renew: {}", said.trim());
    (said, certificate(gateway, host).await.unwrap())
}

/// How many orders ended with `result`, by the gateway's own count.
pub(super) async fn orders(gateway: &Gateway, result: &str) -> f64 {
    let result = format!("result=\"{result}\"");
    let is = |labels: &str| labels.contains(&result);
    metric(gateway, "gateway_acme_orders_total", is).await
}

/// What a metric about `host` says.
pub(super) async fn metric_of(gateway: &Gateway, name: &str, host: &str) -> f64 {
    metric(gateway, name, |labels| labels == format!("host=\"{host}\"")).await
}

/// The sum of a metric's values where its labels are so.
async fn metric(gateway: &Gateway, name: &str, is: impl Fn(&str) -> bool) -> f64 {
    let metrics = gateway.operator("/metrics").await.is(200).text();
    let rows = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let rows = rows.filter_map(|row| row.split_once("} "));
    rows.filter(|(labels, _)| is(labels)).map(|(_, value)| value.parse::<f64>().unwrap()).sum()
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    SystemClock.now()
}

//! Pebble, the directory, and what it keeps in its log. It forgets everything when it starts again:
//! accounts, orders, its own root.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hyper::Request;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use tokio::process::Command;

use super::dns::Names;
use crate::{
    client::Client,
    installation::TEAM,
    processes::{Process, eventually, free_ports},
};

/// The name of the file with the authority of Pebble's own TLS, wherever it is needed.
pub(super) const AUTHORITY: &str = "pebble-ca.pem";

/// The key that Pebble knows by `kid-1`, in base64url, for accounts that somebody vouches for.
pub(super) const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// What Pebble is to be like.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Names, with all below them, that no certificate is issued for.
    pub(super) blocked: &'static [&'static str],
    /// Whether a new account has to be vouched for.
    pub(super) eab: bool,
    /// How many in a hundred good nonces are refused.
    pub(super) nonces_refused: u8,
    /// How many seconds a certificate is good for.
    pub(super) lifetime: u32,
    /// Whether it takes some seconds to look at an answer, as others do.
    pub(super) slow: bool,
}

impl Default for Options {
    fn default() -> Self {
        // Let's Encrypt's lifetime, almost, and the nonces that Pebble itself would refuse.
        Self { blocked: &[], eab: false, nonces_refused: 5, lifetime: 89 * 86_400, slow: false }
    }
}

/// A directory, up or down.
#[derive(Debug)]
pub(super) struct Pebble {
    process: Option<Process>,
    folder: PathBuf,
    options: Options,
    port: u16,
    management: u16,
    /// What the names are that it resolves.
    pub(super) names: Names,
}

impl Pebble {
    /// One that is not up yet. It validates on these two ports of whatever address a name has.
    pub(super) async fn new(folder: &Path, options: Options, http: u16, https: u16) -> Self {
        let folder = folder.join("pebble");
        fs::create_dir(&folder).unwrap();
        certify(&folder);
        let [port, management] = free_ports();
        let settings = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("cert.pem"),
            "privateKey": folder.join("key.pem"),
            "httpPort": http,
            "tlsPort": https,
            "externalAccountBindingRequired": options.eab,
            "externalAccountMACKeys": { "kid-1": EAB_KEY },
            "domainBlocklist": options.blocked,
            "certificateValidityPeriod": options.lifetime,
        }});
        fs::write(folder.join("settings.json"), settings.to_string()).unwrap();
        let names = Names::start(&folder).await;
        Self { process: None, folder, options, port, management, names }
    }

    /// Starts it, and waits until it answers.
    pub(super) async fn up(&mut self) {
        let resolver = self.names.port();
        self.up_with(resolver).await;
    }

    /// The same with another server that names are asked of.
    pub(super) async fn up_with(&mut self, resolver: u16) {
        let mut command = Command::new("pebble");
        command.arg("-strict").arg("-config").arg(self.folder.join("settings.json"));
        command.arg("-dnsserver").arg(format!("127.0.0.1:{resolver}"));
        command.envs([
            ("PEBBLE_VA_NOSLEEP", if self.options.slow { "" } else { "1" }),
            ("PEBBLE_VA_SLEEPTIME", "3"),
            // One in a hundred authorizations is used again even so.
            ("PEBBLE_AUTHZREUSE", "0"),
            ("PEBBLE_WFE_NONCEREJECT", &self.options.nonces_refused.to_string()),
        ]);
        let mut process = Process::start("pebble", &mut command, &self.folder);
        eventually("pebble listens", async || {
            process.assert_runs();
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            tokio::net::TcpStream::connect(("127.0.0.1", self.management)).await.ok()
        })
        .await;
        self.process = Some(process);
    }

    /// Ends it.
    pub(super) async fn down(&mut self) {
        self.process.take().unwrap().kill().await;
    }

    /// The directory's URL.
    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The authority of its own TLS.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join(AUTHORITY)
    }

    /// A client of its directory.
    pub(super) fn client(&self) -> Client {
        Client::new(TEAM, "localhost", self.port, &self.authority())
    }

    fn manager(&self) -> Client {
        Client::new(TEAM, "localhost", self.management, &self.authority())
    }

    /// A file with the root of the certificates that it issues now.
    pub(super) async fn root(&self) -> PathBuf {
        let root = self.manager().send(Request::get("/roots/0"), "").await.is(200);
        let file = self.folder.join("root.pem");
        fs::write(&file, root.body).unwrap();
        file
    }

    /// What it says of the certificate with this number, in hexadecimal digits.
    pub(super) async fn status_of(&self, serial: &str) -> Value {
        let path = format!("/cert-status-by-serial/{}", serial.replace(':', ""));
        self.manager().send(Request::get(path), "").await.is(200).json()
    }

    /// How many lines of its log have `what` in them.
    pub(super) fn count(&self, what: &str) -> usize {
        let log = fs::read_to_string(self.folder.join("pebble.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(what)).count()
    }

    /// How many orders it has taken, restarts or not.
    pub(super) fn orders(&self) -> usize {
        self.count("Added order ")
    }

    /// How many certificates it has issued, restarts or not.
    pub(super) fn issued(&self) -> usize {
        self.count("Issued certificate serial ")
    }

    /// How many accounts it has made, restarts or not.
    pub(super) fn accounts(&self) -> usize {
        self.count(" accounts in memory")
    }
}

/// Writes an authority, and Pebble's own certificate by it.
fn certify(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pair = KeyPair::generate().unwrap();
    let authority = params.self_signed(&pair).unwrap();
    fs::write(folder.join(AUTHORITY), authority.pem()).unwrap();

    let issuer = Issuer::new(params, pair);
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let own = params.signed_by(&pair, &issuer).unwrap();
    fs::write(folder.join("cert.pem"), own.pem()).unwrap();
    fs::write(folder.join("key.pem"), pair.serialize_pem()).unwrap();
}

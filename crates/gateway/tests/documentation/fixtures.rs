//! What the documentation's examples find on the machine that they are for.

use std::{fs, path::Path};

use rusqlite::Connection;

/// What `part`s of policies are put under, as far as they do not say it themselves.
pub(crate) const AROUND: [(&str, &str); 5] = [
    ("version", "version: 1"),
    ("site", "site: { host: n8n.example.com }"),
    ("tls", "tls: { self_signed: true }"),
    (
        "networks",
        "networks: { team: [203.0.113.0/24], home: [198.51.100.0/24], stripe: [192.0.2.1], \
         partners: [192.0.2.2], scanners: [192.0.2.3] }",
    ),
    ("access", "access: { editor: team }"),
];

/// Folders that are the sandbox here.
const AWAY: [&str; 3] = ["/etc/n8n-gateway/", "/run/secrets/", "/var/lib/fail2ban/"];

/// Files that policies of the documentation name.
const FILES: [(&str, &str); 9] = [
    ("collector-ca.pem", include_str!("../../../config/tests/data/team-ca.pem")),
    ("team-ca.pem", include_str!("../../../config/tests/data/team-ca.pem")),
    ("internal-root.pem", include_str!("../../../config/tests/data/team-ca.pem")),
    ("partners.txt", "192.0.2.0/24\n"),
    ("token", "s3cret\n"),
    ("admin-token", "0123456789abcdef0123456789abcdef\n"),
    ("otlp", "Bearer s3cret\n"),
    ("eab.key", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n"),
    ("tsig.key", "c2VjcmV0IG9mIHRzaWc=\n"),
];

/// Writes all that examples read.
pub(crate) fn furnish(folder: &Path) {
    for (name, content) in FILES {
        fs::write(folder.join(name), content).unwrap();
    }
    let made = rcgen::generate_simple_self_signed(["n8n.example.com".to_owned()]).unwrap();
    for (chain, key) in [("fullchain.pem", "privkey.pem"), ("origin.pem", "origin.key")] {
        fs::write(folder.join(chain), made.cert.pem()).unwrap();
        fs::write(folder.join(key), made.signing_key.serialize_pem()).unwrap();
    }
    fs::create_dir_all(folder.join("swag/fail2ban")).unwrap();
    for name in ["fail2ban.sqlite3", "swag/fail2ban/fail2ban.sqlite3"] {
        // As fail2ban 1.1 makes it.
        let tables = "CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT \
                      NULL, bantime INTEGER NOT NULL, bancount INTEGER NOT NULL default 1, data JSON, \
                      PRIMARY KEY(ip, jail));
                      INSERT INTO bips VALUES ('192.0.2.77', 'nginx', 1000, -1, 1, '{}');";
        Connection::open(folder.join(name)).unwrap().execute_batch(tables).unwrap();
    }
}

/// A part of a policy as a whole one.
pub(crate) fn whole(part: &str) -> String {
    let has = |key: &str| part.lines().any(|line| line.starts_with(&format!("{key}:")));
    let around = AROUND.iter().filter(|(key, _)| !has(key)).map(|(_, line)| *line);
    around.collect::<Vec<_>>().join("\n") + "\n" + part
}

/// What is written for whoever administers a machine, where that is this folder.
pub(crate) fn at_home(text: &str, folder: &Path) -> String {
    let folder = format!("{}/", folder.display());
    AWAY.iter().fold(text.to_owned(), |text, away| text.replace(away, &folder))
}

//! Policies and what is said of them, as files to be read by a person.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use expect_test::expect_file;
use gateway_config::{Answers, Config, Invalid, World, effective, load};
use gateway_policy::{Admission, Shown, Who};

/// A machine with the files that the examples name.
struct Machine {
    policy: String,
}

impl World for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("policy.yaml") => Ok(self.policy.clone().into_bytes()),
            Some("partners.txt") => Ok(b"192.0.2.0/24 # the office\n\n2001:db8::1\n".to_vec()),
            Some("broken.txt") => Ok(b"192.0.2.0/24\n192.0.2.0/33\nhello\n".to_vec()),
            Some("eab.key") => {
                Ok(b"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n".to_vec())
            }
            Some("tsig.key") => Ok(b"c2VjcmV0IG9mIHRzaWc=\n".to_vec()),
            Some("internal-root.pem") => Ok(include_bytes!("data/team-ca.pem").to_vec()),
            Some("token") => Ok(b"s3cret\n".to_vec()),
            // Two tiny databases: 192.0.2.0/24 is DE and AS64496, 198.51.100.0/24 and
            // 2001:db8::/32 are US; nothing else is known.
            Some("country.mmdb") => Ok(include_bytes!("data/country.mmdb").to_vec()),
            Some("asn.mmdb") => Ok(include_bytes!("data/asn.mmdb").to_vec()),
            // Two authorities, and one with both.
            Some("team-ca.pem") => Ok(include_bytes!("data/team-ca.pem").to_vec()),
            Some("ops-ca.pem") => Ok(include_bytes!("data/ops-ca.pem").to_vec()),
            Some("both-ca.pem") => Ok([
                include_bytes!("data/team-ca.pem").as_slice(),
                include_bytes!("data/ops-ca.pem").as_slice(),
            ]
            .concat()),
            Some("cut.pem") => Ok(b"-----BEGIN CERTIFICATE-----\nMIIB\n".to_vec()),
            Some("garbled.pem") => {
                let garbled = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
                Ok(garbled.as_bytes().to_vec())
            }
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOST").then(|| "n8n.example.com".to_owned())
    }
}

fn load_text(policy: &str) -> Result<Config, Invalid> {
    let answers: Answers =
        BTreeMap::from([("me.example.net".to_owned(), vec!["192.0.2.9".parse().unwrap()])]);
    load(Path::new("/etc/policy.yaml"), &Machine { policy: policy.to_owned() }, &answers)
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

#[test]
fn every_example_is_a_policy_without_a_problem() {
    let examples = files("../../config", ".yaml");
    assert!(examples.len() >= 6, "{examples:?}");
    for example in examples {
        let text = std::fs::read_to_string(&example).unwrap();
        match load_text(&text) {
            Ok(config) => assert_eq!(
                config.warnings.len(),
                usize::from(text.contains("editor: nobody")),
                "{}: {:?}",
                example.display(),
                config.warnings
            ),
            Err(invalid) => panic!("{}:\n{invalid}", example.display()),
        }
    }
}

#[test]
fn the_minimal_example_has_five_lines() {
    let text = std::fs::read_to_string("../../config/minimal.yaml").unwrap();
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn the_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&gateway_config::schema()).unwrap();
    expect_file!["../../../config/policy.schema.json"].assert_eq(&(schema + "\n"));
}

/// Each `NAME.yaml` and all that is said of it in `NAME.said`.
#[test]
fn every_problem_is_said_at_once_with_its_place() {
    for file in files("tests/problems", ".yaml") {
        let said = match load_text(&std::fs::read_to_string(&file).unwrap()) {
            Ok(config) => config.warnings.iter().fold("usable\n".to_owned(), |mut all, problem| {
                writeln!(all, "{problem}").unwrap();
                all
            }),
            Err(invalid) => format!("{invalid}\n"),
        };
        expect_file![file.with_extension("said")].assert_eq(&said);
    }
}

#[test]
fn secrets_are_followed_and_masked() {
    let policy = "version: 1\nsite: { host: \"${env:HOST}\" }\ntls: { self_signed: true }\nnetworks: { a: [192.0.2.1] }\n\
        access: { editor: a }\nlisten: { admin: { address: \"0.0.0.0:9180\", token: \"${file:token}\" } }\n";
    let config = load_text(policy).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.policy.hosts.names().collect::<Vec<_>>(), ["n8n.example.com"]);
    let gateway_config::Admin::Tcp(_, Some(token)) = &config.settings.listen.admin else {
        panic!()
    };
    assert_eq!(token.expose(), "s3cret");
    let printed = format!("{config:?} {}", effective(&config));
    assert!(!printed.contains("s3cret"), "{printed}");
}

#[test]
fn networks_are_found_where_the_policy_says() {
    let text = std::fs::read_to_string("../../config/complete.yaml").unwrap();
    let config = load_text(&text).unwrap();
    let includes = |surface, path: &str, address: &str| {
        let rules = config.policy.access.of(surface).iter();
        let rule = rules.filter(|rule| rule.path == path).last().unwrap();
        rule.value.admits(address.parse().unwrap(), Shown::Nothing) == Admission::Open
    };
    use gateway_n8n::Surface;
    assert!(includes(Surface::Editor, "", "203.0.113.9"), "a list");
    assert!(includes(Surface::Editor, "", "192.0.2.9"), "a DNS answer");
    assert!(!includes(Surface::Editor, "", "192.0.2.10"));
    assert!(includes(Surface::Mcp, "", "192.0.2.10"), "a file");
    assert!(includes(Surface::Rest, "", "203.0.113.9"), "follows the editor");
    assert!(!includes(Surface::Rest, "community-packages", "203.0.113.9"));
    assert!(includes(Surface::Webhook, "stripe", "3.18.12.63"));
    assert!(config.needs.files.contains(Path::new("/etc/partners.txt")));
    assert_eq!(config.needs.names.len(), 1);
}

#[test]
fn countries_and_autonomous_systems_are_looked_up() {
    let policy = "version: 1\nsite: { host: n8n.test }\ntls: { self_signed: true }\nnetworks:\n\
        \x20 german: { country: DE, database: country.mmdb }\n\
        \x20 abroad: { not_country: [DE, FR], database: country.mmdb }\n\
        \x20 hoster: { asn: [64496], database: asn.mmdb }\n\
        access: { editor: german, mcp: hoster }\ndeny: abroad\n";
    let config = load_text(policy).unwrap();
    let editor =
        &config.policy.access.of(gateway_n8n::Surface::Editor).iter().next().unwrap().value;
    let mcp = &config.policy.access.of(gateway_n8n::Surface::Mcp).iter().next().unwrap().value;
    let abroad = &config.policy.deny[0].0;
    // address, German, abroad, at the hoster
    for (address, german, foreign, hosted) in [
        ("192.0.2.7", true, false, true),
        ("198.51.100.7", false, true, false),
        ("2001:db8::7", false, true, false),
        ("::ffff:192.0.2.7", true, false, true),
        ("10.0.0.1", false, false, false),
    ] {
        let address = address.parse().unwrap();
        let open = |who: &Who| who.admits(address, Shown::Nothing) == Admission::Open;
        let found = (open(editor), abroad.contains(address), open(mcp));
        assert_eq!(found, (german, foreign, hosted), "{address}");
    }
    assert!(config.needs.files.contains(Path::new("/etc/country.mmdb")));
}

#[test]
fn certificates_are_asked_for_as_the_policy_says() {
    let policy = "version: 1\nsite: { host: n8n.test }\ntls: { self_signed: true }\n\
        networks: { team: [192.0.2.0/24], home: [198.51.100.0/24] }\n\
        access:\n\
        \x20 editor: { client_ca: team-ca.pem }\n\
        \x20 public-api: { client_ca: both-ca.pem, networks: [team, home] }\n\
        \x20 rest: [team, { client_ca: ops-ca.pem, networks: home }]\n\
        \x20 mcp: { client_ca: ./team-ca.pem }\n";
    let config = load_text(policy).unwrap();
    assert_eq!(config.warnings, [], "a certificate is not anyone");
    let printed = effective(&config);
    for (surface, expected) in [
        ("editor", "{ client_ca: team-ca.pem } (line 6)"),
        ("sign-in", "{ client_ca: team-ca.pem } (as the editor, line 6)"),
        ("push", "{ client_ca: team-ca.pem } (as the editor, line 6)"),
        ("assets", "{ client_ca: team-ca.pem } (as the editor, line 6)"),
        ("public-api", "{ client_ca: both-ca.pem, networks: [team, home] } (line 7)"),
        ("rest", "team, { client_ca: ops-ca.pem, networks: [home] } (line 8)"),
        ("webhook", "anyone (default)"),
    ] {
        assert_eq!(printed["access"][surface], expected, "{surface}");
    }
    let known: Vec<_> = config.settings.client_cas.iter().map(|it| it.certificates.len()).collect();
    assert_eq!(known.len(), 3, "the same certificates are the same authority");
    assert_eq!(known.iter().sum::<usize>(), 4);
    for file in ["team-ca.pem", "ops-ca.pem", "both-ca.pem"] {
        assert!(config.needs.files.contains(&Path::new("/etc").join(file)), "{file}");
    }
    let without = "version: 1\nsite: { host: n8n.test }\ntls: { self_signed: true }\n";
    assert!(load_text(without).unwrap().settings.client_cas.is_empty());
}

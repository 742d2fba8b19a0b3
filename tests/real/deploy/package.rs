//! The Debian package: what is in it, and what comes of installing and removing it.

use std::{fs, path::PathBuf, process::Command};

use super::output;
use crate::processes::given;

/// Everything in it: rights, owner, path. Folders are left out.
const CONTENT: &[&str] = &[
    "-rw-r----- root/root ./etc/n8n-gateway/policy.yaml",
    "-rwxr-xr-x root/root ./usr/bin/n8n-gateway",
    "-rw-r--r-- root/root ./usr/lib/systemd/system/n8n-gateway.service",
    "-rw-r--r-- root/root ./usr/lib/systemd/system/n8n-gateway.socket",
    "-rw-r--r-- root/root ./usr/lib/sysusers.d/n8n-gateway.conf",
    "-rw-r--r-- root/root ./usr/share/bash-completion/completions/n8n-gateway",
    "-rw-r--r-- root/root ./usr/share/doc/n8n-gateway/copyright",
    "-rw-r--r-- root/root ./usr/share/doc/n8n-gateway/changelog.Debian.gz",
    "-rw-r--r-- root/root ./usr/share/doc/n8n-gateway/CHANGELOG.md",
    "-rw-r--r-- root/root ./usr/share/doc/n8n-gateway/README.md",
    "-rw-r--r-- root/root ./usr/share/doc/n8n-gateway/SECURITY.md",
    "-rw-r--r-- root/root ./usr/share/doc/n8n-gateway/examples/complete.yaml",
    "-rwxr-xr-x root/root ./usr/share/doc/n8n-gateway/examples/n8n-backup.sh",
    "-rw-r--r-- root/root ./usr/share/doc/n8n-gateway/examples/bind-ports.conf",
    "-rw-r--r-- root/root ./usr/share/n8n-gateway/policy.schema.json",
];

fn package() -> PathBuf {
    let folder = given("N8N_GATEWAY_TEST_SHIP");
    let mut all = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path());
    let package = all.find(|it| it.extension().is_some_and(|it| it == "deb"));
    package.unwrap_or_else(|| panic!("no package in {}", folder.display()))
}

fn dpkg_deb(arguments: &[&str]) -> String {
    output(Command::new("dpkg-deb").args(arguments))
}

#[test]
fn the_package_has_what_belongs_into_it() {
    let package = package();
    let package = package.to_str().unwrap();
    let listed = dpkg_deb(&["--contents", package]);
    let line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        format!("{} {} {}", words[0], words[1].replace("0/0", "root/root"), words[5])
    };
    let found: Vec<String> = listed.lines().map(line).collect();
    for expected in CONTENT {
        assert!(found.iter().any(|it| it == expected), "{expected}\n{listed}");
    }
    // Nothing lies anywhere else, and nothing is anybody's but root's.
    let places = ["./usr/bin/", "./usr/lib/", "./usr/share/", "./etc/n8n-gateway/"];
    for one in found.iter().filter(|it| !it.starts_with('d')) {
        assert!(places.iter().any(|place| one.contains(place)), "{one}");
        assert!(one.contains(" root/root "), "{one}");
    }
    let field = |name: &str| dpkg_deb(&["--field", package, name]).trim().to_owned();
    assert_eq!(field("Package"), "n8n-gateway");
    assert!(field("Version").starts_with(concat!(env!("CARGO_PKG_VERSION"), "-")));
    // The program is static: it asks for no library, and so for no release of Debian.
    assert!(!field("Depends").contains("libc"), "{}", field("Depends"));
    let folder = tempfile::tempdir().unwrap();
    dpkg_deb(&["--control", package, folder.path().to_str().unwrap()]);
    let kept = fs::read_to_string(folder.path().join("conffiles")).unwrap();
    assert_eq!(kept.trim(), "/etc/n8n-gateway/policy.yaml");
    for script in ["postinst", "prerm", "postrm"] {
        output(Command::new("sh").arg("-n").arg(folder.path().join(script)));
    }
}

/// This machine as it is, with a layer of its own above it, which nobody else sees and which is gone
/// afterwards.
const APART: &str = r#"set -e
mount -t tmpfs none "$1"
mkdir "$1/changed" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" "$1/root"
cp "$2" "$1/root/n8n-gateway.deb"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
exec chroot "$1/root" sh -c "$3"
"#;

/// What an administrator does, and what must be so in between.
const INSTALLED: &str = r#"set -e
dpkg --install --force-confnew /n8n-gateway.deb
echo "user $(getent passwd n8n-gateway | cut -d: -f1,6,7)"
stat -c 'folder %U %a' /etc/n8n-gateway
stat -c 'policy %U %a' /etc/n8n-gateway/policy.yaml
setpriv --reuid n8n-gateway --regid n8n-gateway --clear-groups n8n-gateway check
systemd-analyze verify --man=false n8n-gateway.service n8n-gateway.socket
install -d -o n8n-gateway /var/lib/n8n-gateway
echo 'n8n: { url: "http://127.0.0.1:5679" }' >> /etc/n8n-gateway/policy.yaml
dpkg --install --force-confold /n8n-gateway.deb
grep -c 5679 /etc/n8n-gateway/policy.yaml
dpkg --remove n8n-gateway
test ! -e /usr/bin/n8n-gateway
test -e /var/lib/n8n-gateway && test -e /etc/n8n-gateway/policy.yaml && echo 'removed: what is ours is kept'
dpkg --purge n8n-gateway
test ! -e /var/lib/n8n-gateway && test ! -e /etc/n8n-gateway && echo 'purged: nothing is left'
"#;

#[test]
fn the_package_is_installed_updated_removed_and_purged() {
    let folder = tempfile::tempdir().unwrap();
    let mut apart = Command::new("unshare");
    apart.args(["--mount", "sh", "-c", APART, "sh"]).arg(folder.path()).arg(package());
    apart.arg(INSTALLED);
    let said = output(&mut apart);
    for expected in [
        "user n8n-gateway:/var/lib/n8n-gateway:/usr/sbin/nologin",
        "folder n8n-gateway 750",
        "policy n8n-gateway 640",
        "/etc/n8n-gateway/policy.yaml: usable",
        "removed: what is ours is kept",
        "purged: nothing is left",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

//! What is shipped: the units of systemd, as systemd's own tool judges them, and all else below.

mod backup;
mod compose;
mod image;
mod kubernetes;
mod package;

use std::{fs, path::Path, process::Command};

use crate::processes::given;

/// What systemd calls how much a service can do, of 10.
const EXPOSURE_AT_MOST: f64 = 1.5;

fn deploy() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn units() -> std::path::PathBuf {
    deploy().join("systemd")
}

fn exposure(unit: &Path) -> f64 {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--no-pager"]).arg(unit);
    let output = analyze.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find(|line| line.contains("Overall exposure level"));
    let level = line.and_then(|line| line.split_once(": ")).map(|(_, level)| level);
    let number = level.and_then(|level| level.split_whitespace().next());
    number.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}

/// The units with the gateway of this test in them, and with these drop-ins.
fn installed(drop_ins: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let binary = given("N8N_GATEWAY_TEST_BINARY");
    let service = fs::read_to_string(units().join("n8n-gateway.service")).unwrap();
    assert!(service.contains("ExecStart=/usr/bin/n8n-gateway run "));
    let service = service.replace("/usr/bin/n8n-gateway", &binary.display().to_string());
    fs::write(folder.path().join("n8n-gateway.service"), service).unwrap();
    fs::copy(units().join("n8n-gateway.socket"), folder.path().join("n8n-gateway.socket")).unwrap();
    let beside = folder.path().join("n8n-gateway.service.d");
    fs::create_dir(&beside).unwrap();
    for name in drop_ins {
        fs::copy(units().join(name), beside.join(name)).unwrap();
    }
    folder
}

#[test]
fn the_service_can_do_little() {
    let found = exposure(&units().join("n8n-gateway.service"));
    assert!(found < EXPOSURE_AT_MOST, "{found}");
    // The tool can tell a difference.
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open.service");
    fs::write(&open, "[Service]\nExecStart=/bin/true\n").unwrap();
    assert!(exposure(&open) > 9.0);
}

#[test]
fn the_units_are_understood() {
    for drop_ins in [&[][..], &["bind-ports.conf"], &["bind-ports.conf", "nftables.conf"]] {
        let folder = installed(drop_ins);
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=false"]);
        verify.args(["n8n-gateway.service", "n8n-gateway.socket"].map(|it| folder.path().join(it)));
        let output = verify.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // It is silent where it finds nothing.
        let complains = said.lines().any(|line| line.contains("n8n-gateway"));
        assert!(output.status.success() && !complains, "{drop_ins:?}: {said}");
    }
}

/// What a program says that has to succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{complained}", output.status);
    said.into_owned()
}

/// What a script in Python says that has to succeed; the checkers' libraries are its own.
fn checked(script: &str, arguments: &[&Path]) -> String {
    let python = given("N8N_GATEWAY_TEST_CHECKERS").join("bin/python");
    output(Command::new(python).args(["-c", script]).args(arguments))
}

//! What a running gateway has given up, as the kernel tells it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::Command,
    thread,
};

use seccompiler::{SeccompAction, SeccompFilter, apply_filter};
use serde_json::Value;

use crate::{
    house::{House, binary, command, copy_program, text},
    running::status,
};

/// The lines of each thread's `status`, by their names.
fn threads(process: u32) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    // One that waits for nothing any more may end while it is looked at.
    let read = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).ok();
    let lines = |status: String| {
        let pairs = status.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    };
    tasks.filter_map(|task| read(task.unwrap())).map(lines).collect()
}

/// What is told of the confinement.
fn told(house: &House) -> Value {
    let config = house.file("policy.yaml").display().to_string();
    let said = command(&["status", "--config", &config, "--json"]);
    let status: Value = serde_json::from_slice(&said.stdout).unwrap();
    status.get("hardening").unwrap().clone()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

const NOTHING: &str = "0000000000000000";

#[test]
fn every_thread_has_given_up_what_it_does_not_need() {
    let house = House::start();
    // Whatever comes later has come by then: workers, blocking threads, the log's.
    assert_eq!(status(&house, "/"), "200");
    let threads = threads(house.child.id());
    let names: Vec<_> = threads.iter().map(|it| it["Name"].clone()).collect();
    assert!(names.iter().any(|name| name.starts_with("worker-")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("tracing")), "{names:?}");
    for thread in &threads {
        let name = &thread["Name"];
        assert_eq!(thread["Seccomp"], "2", "{name}");
        assert_eq!(thread["NoNewPrivs"], "1", "{name}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(thread[set], NOTHING, "{name} {set}");
        }
        assert!(!is_root() || thread["CapBnd"] == NOTHING, "{name}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", house.child.id())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);

    let told = told(&house);
    assert_eq!(told["mode"], "auto");
    assert!(told["landlock"].as_i64().unwrap() >= 1, "{told}");
    for held in ["seccomp", "no_new_privileges", "no_core_dumps"] {
        assert_eq!(told[held], true, "{held}");
    }
    assert_eq!(told["capabilities"], serde_json::json!([]));
    let warned = told["warnings"].to_string().contains("runs as root");
    assert_eq!(warned, is_root());
    house.wait_for_log("\"event\":\"confined\",\"mode\":\"auto\",\"landlock\":");
    let config = house.file("policy.yaml").display().to_string();
    let shown = text(&command(&["status", "--config", &config]).stdout);
    assert!(shown.contains("hardening    auto (files (Landlock "), "{shown}");
    assert!(shown.contains("no capability is left"), "{shown}");
}

#[test]
fn a_file_elsewhere_is_out_of_reach_and_said_to_be() {
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = elsewhere.path().join("partners.txt");
    fs::write(&foreign, "192.0.2.0/24\n").unwrap();
    let house = House::start();
    let good = house.read_policy();
    let config = house.file("policy.yaml").display().to_string();
    let list = |file: &Path| format!("me: [127.0.0.1], them: {{ file: \"{}\" }}", file.display());
    let tried = |policy: String| {
        // As editors save: a new file in the place of the old one.
        fs::write(house.file("policy.new"), policy).unwrap();
        fs::rename(house.file("policy.new"), house.file("policy.yaml")).unwrap();
        command(&["reload", "--config", &config])
    };
    let link = house.file("link.txt");
    std::os::unix::fs::symlink(&foreign, &link).unwrap();
    for file in [&foreign, &link] {
        // Asked by the address of its listener: the command reads no policy then.
        fs::write(house.file("policy.yaml"), good.replace("me: [127.0.0.1]", &list(file))).unwrap();
        let admin = format!("unix:{}", house.file("admin.sock").display());
        let refused = command(&["reload", "--admin", &admin]);
        let why = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{why}");
        assert!(why.contains("policy.yaml:6:"), "its place: {why}");
        assert!(why.contains("out of the running gateway's reach"), "{why}");
        assert!(why.contains("hint: ") && why.contains("n8n-gateway upgrade"), "{why}");
        assert_eq!(status(&house, "/"), "200", "the old policy is in force");
    }
    for (named, whole) in [("certificate", "CHAIN"), ("hook", "HOOK")] {
        let other = elsewhere.path().join(named).display().to_string();
        let tls = match whole {
            "CHAIN" => format!("{{ certificate: {{ chain: \"{other}\", key: \"{other}\" }} }}"),
            _ => format!(
                "{{ acme: {{ email: a@example.com, challenges: [dns-01], dns: {{ hook: \"{other}\" }} }} }}"
            ),
        };
        fs::write(house.file("policy.yaml"), good.replace("{ self_signed: true }", &tls)).unwrap();
        let admin = format!("unix:{}", house.file("admin.sock").display());
        let why = text(&command(&["reload", "--admin", &admin]).stderr);
        assert!(why.contains("the running gateway"), "{named}: {why}");
        assert!(why.contains("n8n-gateway upgrade"), "{named}: {why}");
    }
    // What is in its own folder is read, however new.
    fs::write(house.file("partners.txt"), "192.0.2.0/24\n").unwrap();
    let applied = tried(good.replace("me: [127.0.0.1]", &list(Path::new("partners.txt"))));
    // The gateway may have looked a moment before it was told to.
    assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
    house.wait_for_log("\"event\":\"reload\",\"outcome\":\"applied\"");
}

#[test]
fn off_gives_up_nothing_and_says_so() {
    let house = House::start_with("hardening: off\n", |_| {});
    let own = fs::read_to_string("/proc/self/status").unwrap();
    for thread in threads(house.child.id()) {
        for held in ["Seccomp", "NoNewPrivs", "CapEff"] {
            let as_here = format!("{held}:\t{}", thread[held]);
            assert!(own.contains(&as_here), "{as_here}");
        }
    }
    let told = told(&house);
    assert_eq!((&told["mode"], &told["seccomp"]), (&Value::from("off"), &Value::from(false)));
    house.wait_for_log("\"level\":\"WARN\",\"event\":\"confined\",\"mode\":\"off\"");
}

/// Starts a program on a machine whose kernel lacks `call`: a filter that the thread passes on.
fn without(call: i64, program: &mut Command) -> std::process::Output {
    let rules = [(call, Vec::new())].into();
    let (others, this) = (SeccompAction::Allow, SeccompAction::Errno(38));
    let filter =
        SeccompFilter::new(rules, others, this, std::env::consts::ARCH.try_into().unwrap());
    let filter: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    let run = || {
        apply_filter(&filter).unwrap();
        program.output().unwrap()
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[test]
fn whoever_insists_does_not_start_where_the_kernel_lacks_it() {
    let house = House::start();
    let policy = house.read_policy();
    for (call, what) in [
        (libc::SYS_landlock_create_ruleset, "files are open (Landlock)"),
        (libc::SYS_seccomp, "system calls are open (seccomp)"),
    ] {
        let file = house.file("insisting.yaml");
        let elsewhere = policy.replace(&house.https.port().to_string(), "0");
        let elsewhere = elsewhere.replace("admin.sock", "other.sock");
        fs::write(&file, elsewhere + "hardening: require\n").unwrap();
        let output = without(call, binary().arg("run").arg("--config").arg(&file));
        let why = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{why}");
        assert!(why.contains("`hardening: require`") && why.contains(what), "{why}");
        assert_eq!(text(&output.stdout), "", "it has not served");
    }
    // With everything there, it starts.
    let house = House::start_with("hardening: require\n", |_| {});
    assert_eq!(told(&house)["mode"], "require");
}

#[test]
fn it_needs_no_root() {
    if !is_root() {
        // Every other test shows it then.
        return;
    }
    let nobody = 65534;
    let binary = tempfile::tempdir().unwrap();
    let house = House::start_as(
        |policy| policy + "log: { fail2ban: fail2ban.log }\n",
        |command| {
            let folder = Path::new(command.get_args().last().unwrap()).parent().unwrap();
            chown(folder, Some(nobody), Some(nobody)).unwrap();
            // Its own user cannot reach everybody's build folder.
            let program = binary.path().join("n8n-gateway");
            copy_program(&program);
            chown(binary.path(), Some(nobody), Some(nobody)).unwrap();
            let mut other = Command::new(program);
            other.args(command.get_args()).uid(nobody).gid(nobody);
            other.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::inherit());
            *command = other;
        },
    );
    assert_eq!(status(&house, "/"), "200");
    let metrics = house.admin("GET", "/metrics");
    assert!(metrics.contains("process_open_fds"), "its own numbers are still read");
    let config = house.file("policy.yaml").display().to_string();
    let banned = command(&["bans", "add", "203.0.113.9", "--reason", "x", "--config", &config]);
    assert!(banned.status.success(), "{}", text(&banned.stderr));
    assert!(fs::read_to_string(house.file("fail2ban.log")).unwrap().contains("203.0.113.9"));
    assert!(house.file("state/state.db").exists());
}

//! What stands in the documentation to be typed is typed: each page has a folder of its own, the
//! program, and a gateway that runs with `policy.yaml`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{
    fences::{Fence, Kind, fences},
    fixtures::{at_home, furnish, whole},
    house::{House, text},
    pages, root,
};

/// How many blocks are run at the least: one that is not run any more is a loss that somebody decides on.
const RUN_AT_LEAST: usize = 21;

/// What a page's gateway runs with besides what every gateway of these tests has.
const POLICY: &str = "accounts: { sessions: { max_age: 12h }, api_keys: { rate: 60/min } }\n";

/// A folder with the program on its `PATH`.
struct Sandbox {
    folder: TempDir,
    house: Option<House>,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        furnish(folder.path());
        Self { folder, house: None }
    }

    /// Starts its gateway, and makes the program turn to it if nothing else is named.
    fn start(&mut self) {
        let house = House::start_as(
            |policy| policy.replace("host: localhost", "host: n8n.example.com") + POLICY,
            |_| {},
        );
        let bin = self.folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = format!(
            "#!/bin/sh\ncase \" $* \" in *' --config '*|*' --version '*|*' --help '*|*' help '*|\
             *' completions '*) exec '{0}' \"$@\" ;; esac\nexec '{0}' \"$@\" --config '{1}'\n",
            env!("CARGO_BIN_EXE_n8n-gateway"),
            house.file("policy.yaml").display(),
        );
        fs::write(bin.join("n8n-gateway"), program).unwrap();
        fs::set_permissions(bin.join("n8n-gateway"), PermissionsExt::from_mode(0o755)).unwrap();
        fs::copy(house.file("policy.yaml"), self.folder.path().join("policy.yaml")).unwrap();
        self.house = Some(house);
    }

    fn run(&mut self, script: &str) -> Output {
        if self.house.is_none() {
            self.start();
        }
        let path = format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display());
        let mut shell = Command::new("sh");
        let script = at_home(script, self.folder.path());
        shell.args(["-eu", "-c", &script]).current_dir(self.folder.path());
        shell
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C.UTF-8");
        shell.output().unwrap()
    }

    fn check(&self, policy: &str) -> Output {
        let file = self.folder.path().join("shown.yaml");
        fs::write(&file, policy).unwrap();
        crate::house::binary().arg("check").arg("--config").arg(file).output().unwrap()
    }
}

/// Whether what was said is what is shown: `…` stands for anything in a line, and a line of it for
/// any number of lines.
fn fits(said: &[&str], shown: &[&str]) -> bool {
    match (said.split_first(), shown.split_first()) {
        (None, None) => true,
        (_, Some((&"…", rest))) => {
            fits(said, rest) || said.split_first().is_some_and(|(_, said)| fits(said, shown))
        }
        (Some((line, said)), Some((pattern, shown))) => {
            line_fits(line.trim_end(), pattern) && fits(said, shown)
        }
        _ => false,
    }
}

fn line_fits(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[derive(Default)]
struct Tally {
    run: usize,
    not_run: Vec<String>,
    checked: usize,
    compared: usize,
    /// What is not as it stands there, all of it: one page is no reason to keep silent of another.
    wrong: Vec<String>,
}

impl Tally {
    fn is(&mut self, so: bool, otherwise: impl FnOnce() -> String) {
        if !so {
            self.wrong.push(otherwise());
        }
    }
}

fn follow(page: &str, tally: &mut Tally) {
    let mut sandbox = Sandbox::new();
    let mut said = None;
    for Fence { page, line, kind, text: shown } in fences(page) {
        let place = format!("{page}:{line}");
        match kind {
            Kind::Run { exit } => {
                let done = sandbox.run(&shown);
                let (out, code) = (text(&done.stdout), done.status.code());
                tally.is(code == Some(exit), || {
                    format!("{place}: {code:?}:\n{shown}says\n{out}{}", text(&done.stderr))
                });
                tally.run += 1;
                said = Some(out);
                continue;
            }
            Kind::Output => {
                let out = said.take().unwrap_or_else(|| panic!("{place}: of which command?"));
                let (lines, expected): (Vec<_>, Vec<_>) =
                    (out.lines().collect(), shown.lines().collect());
                tally.is(fits(&lines, &expected), || {
                    format!("{place}:\n{shown}is shown for\n{out}")
                });
                tally.compared += 1;
            }
            Kind::NotRun(why) => tally.not_run.push(format!("{place}: {why}")),
            Kind::Policy | Kind::Part => {
                let policy = if kind == Kind::Policy { shown } else { whole(&shown) };
                let policy = at_home(&policy, sandbox.folder.path());
                let done = sandbox.check(&policy);
                let complaints = text(&done.stdout) + &text(&done.stderr);
                // Whoever closes the editor is asked whether that is meant.
                let closed = policy.contains("editor: nobody");
                let content = done.status.success() && (closed || !complaints.contains("warning:"));
                tally.is(content, || format!("{place}:\n{policy}\n{complaints}"));
                tally.checked += 1;
            }
            Kind::Shown => {
                tally
                    .is(!shown.starts_with("version: 1\nsite:"), || format!("{place} is a policy"));
            }
        }
        said = None;
    }
}

#[test]
fn what_is_to_be_typed_works() {
    let mut tally = Tally::default();
    for page in pages() {
        follow(&page, &mut tally);
    }
    let Tally { run, not_run, checked, compared, wrong } = tally;
    println!("{run} blocks were run, {compared} outputs compared, {checked} policies checked");
    println!("{} blocks were not run:\n{}", not_run.len(), not_run.join("\n"));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    assert!(run >= RUN_AT_LEAST, "{run} blocks were run");
}

#[test]
fn recipes_are_the_examples_that_are_kept() {
    // The same policy in two places drifts apart, unless it is the same.
    for (page, example) in [
        ("docs/recipes/cloudflare.md", "config/cloudflare.yaml"),
        ("docs/recipes/queue-mode.md", "config/queue-mode.yaml"),
    ] {
        let example = fs::read_to_string(root().join(example)).unwrap();
        let (_, example) = example.split_once("version: 1\n").unwrap();
        assert!(crate::read(page).contains(example), "{page}");
    }
}

#[test]
fn what_is_shown_is_compared() {
    for (said, shown, fit) in [
        ("a", "a", true),
        ("a", "b", false),
        ("listening on 12 ports", "listening on … ports", true),
        ("listening", "listening on …", false),
        ("a\nb\nc", "a\n…", true),
        ("a\nb\nc", "…\nc", true),
        ("a\nb", "a", false),
    ] {
        let (said, shown): (Vec<_>, Vec<_>) = (said.lines().collect(), shown.lines().collect());
        assert_eq!(fits(&said, &shown), fit, "{said:?} {shown:?}");
    }
}

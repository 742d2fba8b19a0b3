//! A program of the operator's. It is called as lego calls its `exec` provider, so that programs
//! which are there already do.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use super::{Act, DnsError};

/// How long a program may take: some providers' interfaces are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much of what it says is shown, in characters.
const LONGEST: usize = 300;

/// Calls `program present|cleanup NAME VALUE`.
pub(super) async fn run(program: &Path, act: Act, name: &str, value: &str) -> Result<(), DnsError> {
    let failed = |why: String| DnsError::Hook { program: program.display().to_string(), why };
    let word = match act {
        Act::Present => "present",
        Act::Cleanup => "cleanup",
    };
    let mut command = Command::new(program);
    command.args([word, name, value]).stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(PATIENCE, command.output()).await;
    let output = ended
        .map_err(|_| failed(format!("it did not end within {} s", PATIENCE.as_secs())))?
        .map_err(|why| failed(why.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().filter(|it| !it.is_control()).take(LONGEST).collect();
    Err(failed(format!("{}{}{said}", output.status, if said.is_empty() { "" } else { ": " })))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_program_is_told_what_to_publish_and_what_it_says_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("hook");
        let told = folder.path().join("told");
        let script = format!("#!/bin/sh\necho \"$@\" >> {}\n", told.display());
        std::fs::write(&program, &script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        run(&program, Act::Present, "_acme-challenge.n8n.test.", "value").await.unwrap();
        run(&program, Act::Cleanup, "_acme-challenge.n8n.test.", "value").await.unwrap();
        assert_eq!(
            std::fs::read_to_string(&told).unwrap(),
            "present _acme-challenge.n8n.test. value\ncleanup _acme-challenge.n8n.test. value\n"
        );
        std::fs::write(&program, "#!/bin/sh\necho no such zone >&2\nexit 3\n").unwrap();
        let why = run(&program, Act::Present, "a.", "b").await.unwrap_err().to_string();
        assert!(why.contains("no such zone") && why.contains('3'), "{why}");
        let gone = run(&folder.path().join("none"), Act::Present, "a.", "b").await;
        assert!(gone.unwrap_err().to_string().contains("No such file"));
    }
}

//! Attacks, and honest days that look like one, replayed from `tests/attacks`: once through the
//! decisions alone, and once through the whole gateway. Both must come to the verdicts of the file.

mod pure;
mod script;
mod whole;

use std::{fs, path::Path};

use script::Script;

/// Everybody may reach the editor; limits and jails are the defaults.
const POLICY: &str = "\
version: 1
site: { host: n8n.test }
tls: { self_signed: true }
access: { editor: anyone, public-api: anyone }
state: { dir: state }
";

fn scripts() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Script::read(file)).collect()
}

#[test]
fn the_decisions_come_to_each_verdict() {
    let scripts = scripts();
    assert!(scripts.len() >= 14, "{} attacks", scripts.len());
    scripts.iter().for_each(pure::replay);
}

#[tokio::test(start_paused = true)]
async fn the_whole_gateway_comes_to_each_verdict() {
    for script in scripts() {
        whole::replay(&script).await;
    }
}

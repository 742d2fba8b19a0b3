//! `cargo xtask test`: everything that CI runs.

use tokio::{process::Command, time::Instant};

use crate::{
    instructions, parts,
    process::{command, run},
    ship,
};

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command(crate::cargo());
    cargo.args(arguments);
    cargo
}

pub(crate) async fn test(without_real_parts: bool) -> anyhow::Result<()> {
    let began = Instant::now();
    run("formatting", cargo(&["fmt", "--all", "--", "--check"])).await?;
    let strict = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    run("lints", cargo(&strict)).await?;
    parts::cargo_deny().await?;
    run("dependencies", cargo(&["deny", "check", "bans", "licenses", "sources"])).await?;
    let mut documentation = cargo(&["doc", "--locked", "--workspace", "--no-deps", "--quiet"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    run("documentation", documentation).await?;
    run("tests", cargo(&["test", "--locked", "--workspace", "--quiet"])).await?;
    run(
        "release build",
        cargo(&["build", "--locked", "--release", "-p", "n8n-gateway", "--quiet"]),
    )
    .await?;
    if without_real_parts {
        println!(
            "\nLEFT OUT: the counts of instructions, the image and the package, and the tests with a real \
             n8n, a browser, a CA and promtool."
        );
    } else {
        real_parts().await?;
    }
    println!("\nall is well, after {} s", began.elapsed().as_secs());
    Ok(())
}

async fn real_parts() -> anyhow::Result<()> {
    parts::programs_for_tests().await?;
    instructions::check(&crate::release_binary()).await?;
    let n8n = parts::n8n().await?;
    let libraries = parts::webhook_libraries().await?;
    let log_readers = parts::log_readers().await?;
    let otlp = parts::otlp_decoder().await?;
    let checkers = parts::checkers().await?;
    let shipped = ship::default_folder();
    ship::all(&shipped).await?;
    let arguments =
        ["test", "--locked", "-p", "gateway-tests", "--features", "real", "--test", "real"];
    let mut tests = cargo(&arguments);
    // One after the other: each has an n8n of its own, on two cores.
    tests.args(["--", "--test-threads=1", "--nocapture"]);
    tests.env("N8N_GATEWAY_TEST_N8N", &n8n.folder);
    tests.env("N8N_GATEWAY_TEST_WEBHOOKS", libraries);
    tests.env("N8N_GATEWAY_TEST_LOG_READERS", log_readers);
    tests.env("N8N_GATEWAY_TEST_OTLP", otlp);
    tests.env("N8N_GATEWAY_TEST_BINARY", crate::release_binary());
    tests.env("N8N_GATEWAY_TEST_CHECKERS", checkers);
    tests.env("N8N_GATEWAY_TEST_SHIP", shipped);
    run("tests with a real n8n, a browser, a CA and promtool", tests).await
}

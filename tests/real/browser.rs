//! The editor in a browser, from its sign-in page to a workflow's execution.

use std::{
    fs,
    net::Ipv4Addr,
    panic::{AssertUnwindSafe, resume_unwind},
    path::{Path, PathBuf},
};

use fantoccini::{Client, ClientBuilder, Locator, wd::Capabilities};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command};

use crate::{
    installation::Installation,
    owner::{EMAIL, Owner, PASSWORD},
    processes::{PATIENCE, Process, eventually, free_ports, step, turn},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_works_in_a_browser() {
    let _turn = turn().await;
    let installation = Installation::start("localhost").await;
    let owner = Owner::set_up(&installation.team).await;
    let workflow = owner.make(include_str!("workflows/manual.json")).await;
    let url = installation.gateway.url();

    let folder = installation.folder.path();
    let [port] = free_ports();
    let mut command = Command::new("chromedriver");
    let mut driver = Process::start("chromedriver", command.arg(format!("--port={port}")), folder);
    eventually("chromedriver listens", async || {
        driver.assert_runs();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
    })
    .await;
    let browser = ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities(folder))
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .unwrap();

    // A browser does not end with its driver: it is closed even if the test fails.
    let used =
        AssertUnwindSafe(sign_in_and_execute(&browser, &url, &workflow)).catch_unwind().await;
    let screenshot = browser.screenshot().await;
    let closed = browser.close().await;
    if let Ok(picture) = &screenshot {
        fs::write(screenshots(folder).join("editor.png"), picture).unwrap();
    }
    if let Err(panic) = used {
        resume_unwind(panic);
    }
    screenshot.unwrap();
    closed.unwrap();
    installation.stop().await;
}

/// Where pictures are kept.
fn screenshots(folder: &Path) -> PathBuf {
    let wanted = std::env::var_os("N8N_GATEWAY_TEST_SCREENSHOTS");
    let folder = wanted.map_or_else(|| folder.to_owned(), PathBuf::from);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn capabilities(folder: &Path) -> Capabilities {
    let options = json!({
        "args": [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1400,900",
            "--ignore-certificate-errors",
            format!("--user-data-dir={}", folder.join("browser").display()),
        ],
    });
    Capabilities::from_iter([("goog:chromeOptions".to_owned(), options)])
}

async fn sign_in_and_execute(browser: &Client, url: &str, workflow: &Value) {
    step("sign-in");
    browser.goto(&format!("{url}/signin")).await.unwrap();
    for (field, text) in [("emailOrLdapLoginId", EMAIL), ("password", PASSWORD)] {
        let field = find(browser, &format!("input[name={field}]")).await;
        field.send_keys(text).await.unwrap();
    }
    find(browser, "[data-test-id=form-submit-button]").await.click().await.unwrap();
    eventually("signed in", async || {
        let now = browser.current_url().await.unwrap();
        (now.path() == "/home/workflows").then_some(())
    })
    .await;

    step("a workflow is executed");
    let id = workflow["id"].as_str().unwrap();
    browser.goto(&format!("{url}/workflow/{id}")).await.unwrap();
    let execute = find(browser, "[data-test-id=execute-workflow-button]").await;
    eventually("the button can be clicked", async || execute.click().await.ok()).await;
    // The news of it come over the push channel.
    eventually("success is shown", async || {
        let toast = browser.find(Locator::Css(".el-notification")).await.ok()?;
        let text = toast.text().await.ok()?;
        assert!(!text.contains("Problem"), "{text}");
        text.contains("Workflow executed successfully").then_some(())
    })
    .await;
    let nodes = browser.find_all(Locator::Css("[data-test-id=canvas-node-status-success]")).await;
    assert_eq!(nodes.unwrap().len(), 2);

    step("the editor is connected");
    // The same mark says that the push channel or the health check is lost.
    let lost = browser.find_all(Locator::Css(".connection-lost")).await.unwrap();
    assert!(lost.is_empty());
    let page = find(browser, "body").await.text().await.unwrap();
    for alarm in ["Connection lost", "Offline"] {
        assert!(!page.contains(alarm), "{page}");
    }
}

async fn find(browser: &Client, selector: &str) -> fantoccini::elements::Element {
    let found = browser.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
    found.unwrap_or_else(|why| panic!("{selector}: {why}"))
}

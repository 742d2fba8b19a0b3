//! The editor in a browser: signing in, making a workflow there and executing it.

use std::{
    fs,
    net::Ipv4Addr,
    panic::{AssertUnwindSafe, resume_unwind},
    path::{Path, PathBuf},
};

use fantoccini::{Client, ClientBuilder, Locator, wd::Capabilities};
use futures_util::FutureExt;
use hyper::Request;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::{net::TcpStream, process::Command};

use crate::{
    installation::Installation,
    owner::{EMAIL, Owner, PASSWORD},
    processes::{Process, eventually, free_ports, step, turn},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_works_in_a_browser() {
    let _turn = turn().await;
    let installation = Installation::start("localhost").await;
    let owner = Owner::set_up(&installation.team).await;
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
    let used = AssertUnwindSafe(use_editor(&browser, &url, &owner)).catch_unwind().await;
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

async fn use_editor(browser: &Client, url: &str, owner: &Owner) {
    sign_in(browser, url).await;
    make_workflow(browser, url, owner).await;
    execute(browser).await;
    is_connected(browser).await;
}

async fn sign_in(browser: &Client, url: &str) {
    step("sign-in");
    browser.goto(&format!("{url}/signin")).await.unwrap();
    type_into(browser, "input[name=emailOrLdapLoginId]", EMAIL).await;
    type_into(browser, "input[name=password]", PASSWORD).await;
    click(browser, "[data-test-id=form-submit-button]").await;
    eventually("signed in", async || {
        let now = browser.current_url().await.unwrap();
        (now.path() == "/home/workflows").then_some(())
    })
    .await;
}

const TRIGGER: &str = "n8n-nodes-base.manualTrigger";
const ACTION: &str = "n8n-nodes-base.noOp";

/// Puts two nodes into a new workflow, as a person does, and waits until the editor has saved it.
async fn make_workflow(browser: &Client, url: &str, owner: &Owner) {
    step("a workflow is made");
    let kept = owner.client.send(Request::get("/rest/workflows"), "").await.is(200).json();
    assert_eq!(kept["data"], json!([]), "{kept}");

    browser.goto(&format!("{url}/workflow/new")).await.unwrap();
    add_node(browser, "[data-test-id=canvas-add-button] button", "manual", TRIGGER).await;
    add_node(browser, "[data-test-id=canvas-handle-plus]", "no operation", ACTION).await;
    // A node that is added to another one is opened.
    click(browser, "[data-test-id=ndv-close-button]").await;

    // A new workflow has its name from the start: `?new=true` goes when it is saved.
    let path = eventually("a workflow's own address", async || {
        let now = browser.current_url().await.unwrap();
        let id = now.path().strip_prefix("/workflow/")?;
        let own = id != "new" && !id.contains('/') && now.query().is_none();
        own.then(|| format!("/rest/workflows/{id}"))
    })
    .await;
    let nodes = eventually("both nodes are saved, and linked", async || {
        let answer = owner.client.send(Request::get(&path), "").await;
        let mut workflow = (answer.status == 200).then(|| answer.json()["data"].take())?;
        let links = workflow["connections"].as_object()?.len();
        (links == 1).then(|| workflow["nodes"].take())
    })
    .await;
    let types: Vec<_> = nodes.as_array().unwrap().iter().map(|node| &node["type"]).collect();
    assert_eq!(types, [TRIGGER, ACTION], "{nodes}");
}

/// Opens the list of nodes with the button `opener`, searches it, and adds the node `kind`.
async fn add_node(browser: &Client, opener: &str, search: &str, kind: &str) {
    let field = "[data-test-id=node-creator-search-bar]";
    // The canvas moves the button while it makes room: a click may miss.
    eventually("the list of nodes opens", async || {
        if browser.find(Locator::Css(field)).await.is_ok() {
            return Some(());
        }
        let _missed = browser.find(Locator::Css(opener)).await.ok()?.click().await;
        None
    })
    .await;
    type_into(browser, field, search).await;
    click(browser, &format!("[data-keyboard-nav-id^=\"{kind}-\"]")).await;
    eventually("the list of nodes closes", async || {
        browser.find_all(Locator::Css(field)).await.unwrap().is_empty().then_some(())
    })
    .await;
}

async fn execute(browser: &Client) {
    step("the workflow is executed");
    click(browser, "[data-test-id=execute-workflow-button]").await;
    // The news of it come over the push channel.
    eventually("success is shown", async || {
        let toast = browser.find(Locator::Css(".el-notification")).await.ok()?;
        let text = toast.text().await.ok()?;
        assert!(!text.contains("Problem"), "{text}");
        text.contains("Workflow executed successfully").then_some(())
    })
    .await;
    eventually("both nodes are marked", async || {
        let mark = Locator::Css("[data-test-id=canvas-node-status-success]");
        (browser.find_all(mark).await.unwrap().len() == 2).then_some(())
    })
    .await;
}

async fn is_connected(browser: &Client) {
    step("the editor is connected");
    // The same mark says that the push channel or the health check is lost.
    let lost = browser.find_all(Locator::Css(".connection-lost")).await.unwrap();
    assert!(lost.is_empty());
    let page = browser.find(Locator::Css("body")).await.unwrap().text().await.unwrap();
    for alarm in ["Connection lost", "Offline"] {
        assert!(!page.contains(alarm), "{page}");
    }
}

/// Clicks what may not be there yet, may be covered, or may just be drawn anew.
async fn click(browser: &Client, selector: &str) {
    eventually(selector, async || {
        browser.find(Locator::Css(selector)).await.ok()?.click().await.ok()
    })
    .await;
}

/// Types into a field that may not be there yet, or may just be drawn anew.
async fn type_into(browser: &Client, selector: &str, text: &str) {
    eventually(selector, async || {
        let field = browser.find(Locator::Css(selector)).await.ok()?;
        field.clear().await.ok()?;
        field.send_keys(text).await.ok()
    })
    .await;
}

//! The editor in a browser: signing in, making a workflow there, executing it and loading it again
//! and again. Nothing that a browser does by itself is too much, or is held against it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
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
    relay::Relay,
};

/// Where the browser comes from: this machine's own address can do no wrong.
pub(crate) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 5));

/// Where the browser finds the gateway, by its usual name and port.
pub(crate) const FOUND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// The default policy.
const POLICY: &str = "\
networks: { team: [127.0.0.1, 127.0.0.5] }
access: { editor: team }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_works_in_a_browser() {
    let _turn = turn().await;
    let installation = Installation::start_with("localhost", POLICY).await;
    let owner = Owner::set_up(&installation.team).await;
    let url = installation.gateway.url();
    let port = installation.gateway.port();
    let relay = Relay::start((FOUND, port), HOME, port).await;

    let folder = installation.folder.path();
    let [port] = free_ports();
    let _driver = drive(folder, port).await;
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
    drop(relay);
    nothing_was_too_much(&installation).await;
    installation.stop().await;
}

/// Where pictures are kept.
pub(crate) fn screenshots(folder: &Path) -> PathBuf {
    let wanted = std::env::var_os("N8N_GATEWAY_TEST_SCREENSHOTS");
    let folder = wanted.map_or_else(|| folder.to_owned(), PathBuf::from);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub(crate) fn capabilities(folder: &Path) -> Capabilities {
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
            format!("--host-resolver-rules=MAP localhost {FOUND}"),
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
    load_again(browser).await;
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
    eventually("an editor without an alarm", async || {
        // The same mark says that the push channel or the health check is lost.
        let lost = browser.find_all(Locator::Css(".connection-lost")).await.unwrap();
        let page = browser.find(Locator::Css("body")).await.ok()?.text().await.ok()?;
        let alarmed = ["Connection lost", "Offline"].iter().any(|it| page.contains(it));
        (lost.is_empty() && !alarmed).then_some(())
    })
    .await;
}

/// How often the page is loaded again and waited for, and how often it is not.
const WHOLE: usize = 3;
const BROKEN_OFF: usize = 10;

async fn load_again(browser: &Client) {
    step("the editor is loaded again and again");
    for _ in 0..WHOLE {
        // Impatiently, and then to the end.
        for _ in 0..=BROKEN_OFF / WHOLE {
            browser.refresh().await.unwrap();
        }
        eventually("both nodes are there again", async || {
            let node = Locator::Css("[data-test-id=canvas-node]");
            (browser.find_all(node).await.ok()?.len() == 2).then_some(())
        })
        .await;
    }
    is_connected(browser).await;
}

/// What the gateway made of everything that the browser has asked.
async fn nothing_was_too_much(installation: &Installation) {
    step("nothing was too much");
    let gateway = &installation.gateway;
    let metrics = async || gateway.operator("/metrics").await.is(200).text();
    eventually("the end of all connections", async || {
        let metrics = metrics().await;
        let mut open = metrics.lines().filter(|it| it.starts_with("gateway_connections_open{"));
        open.all(|it| it.ends_with(" 0")).then_some(())
    })
    .await;
    // Records are written in turn: after this one there is none of the browser's.
    let last = installation.team.send(Request::get("/healthz"), "").await.is(200);
    gateway.record(last.header("x-request-id")).await;
    let home = HOME.to_string();
    let mut records = gateway.events("access");
    records.retain(|it| it["client"] == *home);
    let on = |surface: &str| records.iter().filter(|it| it["surface"] == surface).count();
    assert!(on("editor") > BROKEN_OFF, "{records:?}");
    assert!(on("sign-in") > WHOLE && on("push") > 0, "{records:?}");
    for record in &records {
        assert!(record["status"] != 429 && record["status"] != 403, "{record}");
        assert!(record["reason"].is_null(), "{record}");
    }
    for event in ["offence", "sign_in_failed", "banned"] {
        assert!(gateway.events(event).is_empty(), "{:?}", gateway.events(event));
    }
    let refused = metrics().await;
    let is_refused = |it: &&str| it.contains("outcome=\"refused\"");
    let refused: Vec<_> = refused.lines().filter(is_refused).collect();
    assert!(refused.iter().all(|it| it.ends_with(" 0")), "{refused:?}");
    println!("   {} requests", records.len());
}

/// Clicks what may not be there yet, may be covered, or may just be drawn anew.
pub(crate) async fn click(browser: &Client, selector: &str) {
    eventually(selector, async || {
        browser.find(Locator::Css(selector)).await.ok()?.click().await.ok()
    })
    .await;
}

/// Types into a field that may not be there yet, or may just be drawn anew.
pub(crate) async fn type_into(browser: &Client, selector: &str, text: &str) {
    eventually(selector, async || {
        let field = browser.find(Locator::Css(selector)).await.ok()?;
        field.clear().await.ok()?;
        field.send_keys(text).await.ok()
    })
    .await;
}

/// The program that a browser is driven through, once it listens at `port`.
pub(crate) async fn drive(folder: &Path, port: u16) -> Process {
    let mut command = Command::new("chromedriver");
    let mut driver = Process::start("chromedriver", command.arg(format!("--port={port}")), folder);
    eventually("chromedriver listens", async || {
        driver.assert_runs();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
    })
    .await;
    driver
}

//! A browser that somebody uses the editor in.

use std::{
    fs,
    net::Ipv4Addr,
    panic::{AssertUnwindSafe, resume_unwind},
};

use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command};

use crate::{
    browser::{FOUND, HOME, capabilities, click, screenshots, type_into},
    installation::Installation,
    processes::{Process, eventually, free_ports},
    relay::Relay,
};

/// A browser in the team's network, in front of a gateway for `localhost`.
pub(super) struct Browser {
    client: Client,
    url: String,
    pictures: std::path::PathBuf,
    _driver: Process,
    _relay: Relay,
}

impl Browser {
    pub(super) async fn start(installation: &Installation) -> Self {
        let (url, port) = (installation.gateway.url(), installation.gateway.port());
        let relay = Relay::start((FOUND, port), HOME, port).await;
        let folder = installation.folder.path();
        let [port] = free_ports();
        let mut command = Command::new("chromedriver");
        let mut driver =
            Process::start("chromedriver", command.arg(format!("--port={port}")), folder);
        eventually("chromedriver listens", async || {
            driver.assert_runs();
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
        })
        .await;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(folder))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self { client, url, pictures: screenshots(folder), _driver: driver, _relay: relay }
    }

    /// Does something, and keeps a picture of how it ended. A browser does not end with its driver:
    /// it is closed if this fails.
    pub(super) async fn shows<T>(&self, name: &str, act: impl AsyncFnOnce(&Self) -> T) -> T {
        let done = AssertUnwindSafe(act(self)).catch_unwind().await;
        self.picture(name).await;
        match done {
            Ok(done) => done,
            Err(panic) => {
                println!("at {:?}", self.client.current_url().await);
                drop(self.client.clone().close().await);
                resume_unwind(panic)
            }
        }
    }

    pub(super) async fn picture(&self, name: &str) {
        if let Ok(picture) = self.client.screenshot().await {
            fs::write(self.pictures.join(format!("{name}.png")), picture).unwrap();
        }
    }

    pub(super) async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.url)).await.unwrap();
    }

    pub(super) async fn click(&self, selector: &str) {
        click(&self.client, selector).await;
    }

    pub(super) async fn type_into(&self, selector: &str, text: &str) {
        type_into(&self.client, selector, text).await;
    }

    /// Waits until the editor is at `path`.
    pub(super) async fn until_at(&self, path: &str) {
        eventually(path, async || {
            let now = self.client.current_url().await.ok()?;
            (now.path() == path).then_some(())
        })
        .await;
    }

    /// Waits until the page says `text`.
    pub(super) async fn until_says(&self, text: &str) {
        eventually(text, async || {
            let page = self.client.find(Locator::Css("body")).await.ok()?.text().await.ok()?;
            page.contains(text).then_some(())
        })
        .await;
    }

    /// What n8n answers the editor at `path`.
    pub(super) async fn ask(&self, method: &str, path: &str) -> Value {
        const ASK: &str = "const [method, path, done] = arguments;
            const id = localStorage.getItem('n8n-browserId');
            fetch(path, { method, headers: { 'browser-id': id } })
                .then((answer) => answer.json()).then(done, (why) => done({ why: String(why) }));";
        let asked = self.client.execute_async(ASK, vec![json!(method), json!(path)]).await;
        asked.unwrap_or_default()
    }

    pub(super) async fn stop(self) {
        self.client.close().await.unwrap();
    }
}

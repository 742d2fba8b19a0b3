//! The operator's page in a browser: somebody signs in with the token, sees what is refused as it
//! happens, lifts a ban with nothing but the keyboard, and nothing that strangers write is markup.

mod seen;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use fantoccini::{ClientBuilder, Locator, key::Key};
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use self::seen::Page;
use crate::{
    browser::{capabilities, click, drive, type_into},
    client::{Answer, Client, ask_n8n as ask},
    installation::program,
    processes::{Process, eventually, free_ports, step, turn},
};

const TOKEN: &str = "a-long-token-of-this-test";

/// Somebody who looks for what is not there.
const SCANNER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// What would run, were it markup.
const HOSTILE: &str = "<img src=x onerror=\"hostile=1\"><script>hostile=1</script>";

/// A gateway in front of nothing, whose operator has a port and a token.
struct Operated {
    process: Process,
    https: u16,
    admin: u16,
    folder: PathBuf,
}

impl Operated {
    async fn start(folder: &Path) -> Self {
        let [https, admin, n8n] = free_ports();
        let policy = format!(
            r#"
version: 1
site: {{ host: localhost }}
listen: {{ https: ["127.0.0.1:{https}"], http: [], admin: {{ address: "127.0.0.1:{admin}", token: "{TOKEN}" }} }}
tls: {{ self_signed: true }}
n8n: {{ url: "http://127.0.0.1:{n8n}" }}
state: {{ dir: "{}" }}
access: {{ editor: nobody }}
bans: {{ jails: {{ scan: {{ max_retry: 3, find_time: 10m, ban_time: 1h }} }} }}
"#,
            folder.join("state").display()
        );
        let file = folder.join("policy.yaml");
        fs::write(&file, policy).unwrap();
        let mut command = program();
        let process =
            Process::start("gateway", command.args(["run", "--config"]).arg(file), folder);
        let mut operated = Self { process, https, admin, folder: folder.to_owned() };
        eventually("the gateway serves", async || {
            operated.process.assert_runs();
            TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).await.ok()
        })
        .await;
        operated
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.admin)
    }

    fn client(&self, from: IpAddr) -> Client {
        Client::new(from, "localhost", self.https, &self.folder.join("state/ca.pem"))
    }

    /// What a program is answered that has the token.
    async fn operator(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        ask(self.admin, request.body(Full::from(body.to_string())).unwrap()).await.is(200)
    }

    fn events(&self, name: &str) -> Vec<Value> {
        let said = self.process.said();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|it| it["event"] == name).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_looks_and_lifts_a_ban() {
    let _turn = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let operated = Operated::start(folder).await;
    let [port] = free_ports();
    let mut driver = drive(folder, port).await;
    let mut wanted = capabilities(folder);
    wanted.insert("goog:loggingPrefs".into(), json!({"browser": "ALL", "performance": "ALL"}));
    let browser = ClientBuilder::new(HttpConnector::new())
        .capabilities(wanted)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .unwrap();
    let session = browser.session_id().await.unwrap().unwrap();
    let page = Page { browser, driver: port, session };
    // A browser does not end with its driver: it is closed even if the test fails.
    let used = std::panic::AssertUnwindSafe(look(&page, operated)).catch_unwind().await;
    page.browser.clone().close().await.unwrap();
    driver.kill().await;
    used.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

async fn look(page: &Page, mut operated: Operated) {
    sign_in(page, &operated).await;
    refusals_appear(page, &operated).await;
    strangers_write_no_markup(page, &operated).await;
    a_ban_is_lifted_by_keyboard(page, &operated).await;
    a_window_is_opened(page, &operated).await;
    it_is_legible_everywhere(page).await;
    page.asked_nobody_but(&operated.url()).await;
    page.has_complained_of_nothing().await;
    step("the connection is lost");
    operated.process.kill().await;
    page.eventually_shows("#link", "connection lost").await;
}

async fn sign_in(page: &Page, operated: &Operated) {
    step("the token is asked for");
    let url = operated.url();
    page.browser.goto(&url).await.unwrap();
    type_into(&page.browser, "#token", "another").await;
    click(&page.browser, "button").await;
    page.eventually_shows("[role=alert]", "not the token").await;
    // The browser itself notes that a page came with 403.
    page.complaints().await;
    type_into(&page.browser, "#token", TOKEN).await;
    click(&page.browser, "button").await;
    page.eventually_shows("#link", "live").await;
    assert_eq!(page.browser.current_url().await.unwrap().as_str(), url, "no token in it");
    assert_eq!(page.run("return document.cookie").await, "", "no script reads the cookie");
    page.eventually_shows("#attention", "is down").await;
}

async fn refusals_appear(page: &Page, operated: &Operated) {
    step("a refusal appears by itself");
    page.eventually_shows("main", "No request was refused").await;
    let path = "/'onerror='hostile=1'?token=abcdefgh";
    let request = Request::get(path).header("user-agent", HOSTILE);
    let refused = operated.client(SCANNER).send(request, Bytes::new()).await.is(404);
    page.eventually_shows("#refusals", refused.header("x-request-id")).await;
    page.eventually_shows("#refusals", "closed").await;
    page.eventually_shows("#refusals", "'onerror='hostile=1'").await;
    assert!(!page.text("main").await.contains("abcdefgh"), "a token is a secret");
    click(&page.browser, "#pause").await;
    page.eventually_shows("#link", "paused").await;
    click(&page.browser, "#pause").await;
    page.eventually_shows("#link", "live").await;
    type_into(&page.browser, "#filter", "no such thing").await;
    page.eventually_shows("main", "None of the last 1 refusals fits").await;
    type_into(&page.browser, "#filter", &SCANNER.to_string()).await;
    page.eventually_shows("#refusals", "closed").await;
}

async fn strangers_write_no_markup(page: &Page, operated: &Operated) {
    step("what strangers write is text");
    let ban = json!({"bans": [{"net": "203.0.113.9"}], "reason": HOSTILE});
    operated.operator("POST", "/bans", &ban).await;
    let window =
        json!({"surface": "form-test", "net": "203.0.113.10", "seconds": 900, "reason": HOSTILE});
    operated.operator("POST", "/windows", &window).await;
    page.eventually_shows("#bans", HOSTILE).await;
    page.eventually_shows("#windows", HOSTILE).await;
    type_into(&page.browser, "#asked", HOSTILE).await;
    click(&page.browser, "#why button").await;
    page.eventually_shows("#because", "neither an address nor a request's id").await;
    let found = "return document.querySelectorAll('main img, main script, main iframe').length";
    assert_eq!(page.run(found).await, 0);
    assert_eq!(page.run("return typeof hostile").await, "undefined");
}

async fn a_ban_is_lifted_by_keyboard(page: &Page, operated: &Operated) {
    step("a ban appears, and is lifted with the keyboard alone");
    let scanner = operated.client(SCANNER);
    // With the refusal before it is the third time.
    for file in [".env", ".git/config"] {
        scanner.send(Request::get(format!("/{file}")), Bytes::new()).await.is(404);
    }
    page.eventually_shows("#bans", &SCANNER.to_string()).await;
    assert!(page.text("#bans").await.contains("scan"));
    let wanted = format!("Lift the ban of {SCANNER}");
    page.press_until(Key::Tab, &wanted).await;
    page.press(Key::Enter).await;
    page.eventually_shows("#dialog-title", &wanted).await;
    let focus = page.browser.active_element().await.unwrap();
    focus.send_keys("a mistake").await.unwrap();
    page.press(Key::Enter).await;
    page.eventually_shows("#told", &format!("{SCANNER} is let in")).await;
    eventually("the ban is gone", async || {
        (!page.text("#bans").await.contains(&SCANNER.to_string())).then_some(())
    })
    .await;
    let at = page.run("return document.activeElement.id").await;
    assert_eq!(at, "bans-title", "who uses the keyboard is where they were");
    let lifted = operated.events("unbanned");
    assert_eq!(lifted[0]["by"], "127.0.0.1 (page)", "{lifted:?}");
    assert_eq!(lifted[0]["why"], "a mistake");
}

async fn a_window_is_opened(page: &Page, operated: &Operated) {
    step("a window is opened, and what is wrong is said");
    click(&page.browser, "#open").await;
    type_into(&page.browser, "#dialog [name=net]", "everybody").await;
    click(&page.browser, "#dialog-do").await;
    page.eventually_shows("#dialog-complaint", "neither an address nor a network").await;
    type_into(&page.browser, "#dialog [name=net]", "203.0.113.11").await;
    click(&page.browser, "#dialog-do").await;
    page.eventually_shows("#windows", "203.0.113.11").await;
    assert_eq!(operated.events("window_opened").len(), 2);
}

async fn it_is_legible_everywhere(page: &Page) {
    step("on a phone and on a desk, in the dark and in the light");
    let mut backs = Vec::new();
    for scheme in ["light", "dark"] {
        for width in [360, 1440] {
            page.is_of_width(width, scheme).await;
            let whole = page.run("return document.documentElement.scrollWidth").await;
            assert!(whole.as_i64().unwrap() <= width, "{scheme} {width}: {whole}");
            let faint = page.run(seen::FAINT).await;
            assert_eq!(faint, json!([]), "{scheme} {width}");
        }
        backs.push(page.run("return getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(backs[0], backs[1]);
    let lost = page.browser.find_all(Locator::Css("button:not([type])")).await.unwrap();
    assert!(lost.is_empty(), "a button says what it is");
}

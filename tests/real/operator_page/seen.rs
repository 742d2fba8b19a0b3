//! What a browser shows, and what it says of it.

use bytes::Bytes;
use fantoccini::{Client, Locator, key::Key};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::{client::ask_n8n as ask, processes::eventually};

/// A browser with a page, and the driver that knows more than WebDriver tells.
pub(super) struct Page {
    pub(super) browser: Client,
    pub(super) driver: u16,
    pub(super) session: String,
}

/// Texts that cannot be told from what is behind them well enough. Source: WCAG 2.2, 1.4.3 (4.5 to 1)
/// and its relative luminance.
pub(super) const FAINT: &str = r"
const parts = (color) => color.match(/[\d.]+/g).map(Number);
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((it) => it / 255).map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const behind = (it) => {
  for (; it; it = it.parentElement) {
    const color = parts(getComputedStyle(it).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
const faint = [];
let seen = 0;
for (const it of document.body.querySelectorAll('*')) {
  const own = Array.from(it.childNodes).some((node) => node.nodeType === 3 && node.data.trim() !== '');
  if (!own || !it.checkVisibility()) continue;
  seen += 1;
  const [one, two] = [parts(getComputedStyle(it).color), behind(it)].map(luminance).sort((a, b) => b - a);
  const ratio = (one + 0.05) / (two + 0.05);
  if (ratio < 4.5) faint.push([it.tagName, it.className, it.textContent.slice(0, 40), ratio]);
}
if (seen < 30) faint.push(['too little is seen', seen]);
return faint;
";

impl Page {
    /// What a script gives.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.browser.execute(script, Vec::new()).await.unwrap()
    }

    /// The text in an element as it stands in the page; empty while there is none.
    pub(super) async fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
        let text = self.browser.execute(script, vec![selector.into()]).await.unwrap();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element can be seen and says something.
    pub(super) async fn eventually_shows(&self, selector: &str, text: &str) {
        eventually(&format!("{selector} shows {text}"), async || {
            let found = self.browser.find(Locator::Css(selector)).await.ok()?;
            let shown = found.text().await.ok()?.contains(text);
            shown.then_some(())
        })
        .await;
    }

    pub(super) async fn press(&self, key: Key) {
        let focus = self.browser.active_element().await.unwrap();
        focus.send_keys(&char::from(key).to_string()).await.unwrap();
    }

    /// Presses a key until what has the focus is called `name`.
    pub(super) async fn press_until(&self, key: Key, name: &str) {
        let script = "return document.activeElement.getAttribute('aria-label') ?? ''";
        for _ in 0..100 {
            self.press(key).await;
            if self.run(script).await.as_str().is_some_and(|it| it.starts_with(name)) {
                return;
            }
        }
        panic!("no {key:?} leads to {name}");
    }

    /// Gives the window a width, and the reader a taste.
    pub(super) async fn is_of_width(&self, width: i64, scheme: &str) {
        let window =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.tool("Emulation.setDeviceMetricsOverride", &window).await;
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tool("Emulation.setEmulatedMedia", &scheme).await;
    }

    async fn tool(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.driver("goog/cdp/execute", &body).await;
    }

    async fn driver(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(format!("/session/{}/{path}", self.session));
        let request = request.header("host", format!("127.0.0.1:{}", self.driver));
        let request = request.body(Full::<Bytes>::from(body.to_string())).unwrap();
        ask(self.driver, request).await.is(200).json()["value"].take()
    }

    /// What the browser has complained of since it was last asked: of scripts, of what it may not load.
    /// That it was told no (400), as the test wants it, is no complaint.
    pub(super) async fn complaints(&self) -> Vec<Value> {
        let all = self.driver("se/log", &json!({"type": "browser"})).await;
        let all = all.as_array().unwrap().iter();
        let loud = all.filter(|it| it["level"] == "SEVERE" || it["level"] == "WARNING");
        let told_no = |it: &Value| {
            it["source"] == "network"
                && it["message"].as_str().is_some_and(|it| it.contains("a status of 400"))
        };
        loud.filter(|it| !told_no(it)).cloned().collect()
    }

    pub(super) async fn has_complained_of_nothing(&self) {
        assert_eq!(self.complaints().await, Vec::<Value>::new());
    }

    /// Asserts that nothing was asked for elsewhere.
    pub(super) async fn asked_nobody_but(&self, url: &str) {
        let all = self.driver("se/log", &json!({"type": "performance"})).await;
        let messages = all.as_array().unwrap().iter().filter_map(|it| {
            let told: Value = serde_json::from_str(it["message"].as_str()?).ok()?;
            let sent = told["message"]["method"] == "Network.requestWillBeSent";
            sent.then(|| told["message"]["params"]["request"]["url"].as_str().map(str::to_owned))?
        });
        // The page that a new tab shows is the browser's own; `data:` is asked of nobody.
        let own = |it: &String| it.starts_with("chrome://") || it.starts_with("data:");
        let asked: Vec<String> = messages.filter(|it| !own(it)).collect();
        assert!(asked.iter().any(|it| it.contains("/overview")), "{asked:?}");
        let elsewhere: Vec<_> = asked.iter().filter(|it| !it.starts_with(url)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}

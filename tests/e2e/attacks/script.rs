//! The form of an attack's file.

use std::{fs, path::Path, time::Duration};

/// One file.
pub(super) struct Script {
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
}

/// One line of it: something that is done once or several times.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    at: Duration,
    times: u32,
    pub(super) apart: Duration,
    client: String,
    request: String,
    pub(super) answer: String,
    pub(super) verdict: Verdict,
}

/// One thing that is done.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) client: String,
    pub(super) request: Asked,
    /// Whether it is the line's last: the one whose count is told.
    pub(super) last: bool,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    SignIn(String),
    Api(String),
    Plain(String),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// n8n answers, and nothing is held against the client.
    Passes,
    /// n8n answers, and a jail has counted so many.
    Counted(String, usize),
    /// n8n answers, and that was one too many: so long a ban.
    Banned(String, Duration),
    /// There is nothing left of a budget.
    Limited,
    /// The client is banned.
    Dropped,
}

impl Script {
    pub(super) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(Line::read).collect();
        Self { name, lines }
    }
}

fn span(text: &str) -> Duration {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap();
    let number: u64 = text[..digits].parse().unwrap();
    match &text[digits..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        "h" => Duration::from_secs(number * 3600),
        "d" => Duration::from_secs(number * 86_400),
        unit => panic!("{unit} in {text}"),
    }
}

impl Line {
    fn read(text: &str) -> Self {
        let columns: Vec<&str> = text.split('|').map(str::trim).collect();
        let [at, often, client, request, answer, verdict] = columns[..] else { panic!("{text}") };
        let mut often = often.split_whitespace();
        let times = often.next().unwrap().strip_prefix('x').unwrap().parse().unwrap();
        let apart = often.next().map_or(Duration::ZERO, span);
        let words: Vec<&str> = verdict.split_whitespace().collect();
        let verdict = match words[..] {
            ["passes"] => Verdict::Passes,
            ["limited"] => Verdict::Limited,
            ["dropped"] => Verdict::Dropped,
            [jail, "banned", lasts] => Verdict::Banned(jail.to_owned(), span(lasts)),
            [jail, count] => Verdict::Counted(jail.to_owned(), count.parse().unwrap()),
            _ => panic!("{text}"),
        };
        let (at, client) = (span(at), client.to_owned());
        let (request, answer, text) = (request.to_owned(), answer.to_owned(), text.to_owned());
        Self { text, at, times, apart, client, request, answer, verdict }
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        (1..=self.times).map(|n| {
            let filled = |text: &str| text.replace("{n}", &n.to_string());
            let request = filled(&self.request);
            let request = match (request.strip_prefix("sign in "), request.strip_prefix("api ")) {
                (Some(name), _) => Asked::SignIn(name.trim_matches('"').to_owned()),
                (None, Some(key)) => Asked::Api(key.to_owned()),
                (None, None) => Asked::Plain(request),
            };
            let at = self.at + self.apart * (n - 1);
            Step { at, client: filled(&self.client), request, last: n == self.times }
        })
    }
}

impl Asked {
    /// The request's line and fields.
    pub(super) fn lines(&self) -> String {
        match self {
            Self::SignIn(_) => "POST /rest/login\ncontent-type: application/json".to_owned(),
            Self::Api(key) => format!("GET /api/v1/workflows\nx-n8n-api-key: {key}"),
            Self::Plain(line) => format!("{line}\ncookie: n8n-auth=good"),
        }
    }

    /// The request's body, to which n8n gives the answer of that name.
    pub(super) fn body(&self, answer: &str) -> String {
        let Self::SignIn(name) = self else { return String::new() };
        let form = match answer {
            "wrong" => serde_json::json!({ "emailOrLdapLoginId": name, "password": "wrong" }),
            "code" => serde_json::json!({
                "emailOrLdapLoginId": name, "password": "right", "mfaCode": "000000",
            }),
            "mfa" => serde_json::json!({ "emailOrLdapLoginId": name, "password": "right" }),
            _ => serde_json::json!({
                "emailOrLdapLoginId": name, "password": "right", "mfaCode": "123456",
            }),
        };
        form.to_string()
    }

    pub(super) fn account(&self) -> Option<String> {
        match self {
            Self::SignIn(name) => Some(name.trim().to_lowercase()),
            Self::Api(key) => Some(key.clone()),
            Self::Plain(_) => None,
        }
    }
}

/// The status that n8n gives an answer of that name.
pub(super) fn status(answer: &str) -> u16 {
    match answer {
        "wrong" | "mfa" | "code" => 401,
        status => status.parse().unwrap(),
    }
}

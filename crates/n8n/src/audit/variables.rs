//! What n8n's environment says.
//!
//! Source: n8n 2.40.7, `@n8n/config`, whose `decorators.js` reads `true`, `1`, `false` and `0` in
//! any case, and a file named by `NAME_FILE` where `NAME` is not set.

use zeroize::Zeroize;

use super::{Observed, Variables, Verdict};

/// Variables whose values are secrets.
const SECRETS: [&str; 15] = [
    "CREDENTIALS_OVERWRITE_DATA",
    "CREDENTIALS_OVERWRITE_ENDPOINT_AUTH_TOKEN",
    "DB_POSTGRESDB_PASSWORD",
    "N8N_AI_ANTHROPIC_KEY",
    "N8N_ENCRYPTION_KEY",
    "N8N_ENGINE_AUTH_SECRET",
    "N8N_INSTANCE_OWNER_PASSWORD_HASH",
    "N8N_LICENSE_ACTIVATION_KEY",
    "N8N_RUNNERS_AUTH_TOKEN",
    "N8N_SMTP_OAUTH_PRIVATE_KEY",
    "N8N_SMTP_PASS",
    "N8N_SSO_OIDC_CLIENT_SECRET",
    "N8N_USER_MANAGEMENT_JWT_SECRET",
    "POSTGRES_PASSWORD",
    "QUEUE_BULL_REDIS_PASSWORD",
];

/// What people set to protect n8n, and n8n 2 does not know.
const UNKNOWN: [&str; 8] = [
    "N8N_ALLOWED_ORIGINS",
    "N8N_AUTH_EXCLUDE_ENDPOINTS",
    "N8N_BASIC_AUTH_ACTIVE",
    "N8N_BASIC_AUTH_PASSWORD",
    "N8N_BASIC_AUTH_USER",
    "N8N_CORS_ALLOWED_ORIGINS",
    "N8N_JWT_AUTH_ACTIVE",
    "N8N_TRUST_PROXY",
];

impl Variables {
    /// The variables of a file as Docker and systemd read it: a line each, `#` for comments,
    /// quotes around a value left out.
    #[must_use]
    pub fn parse(text: &str, from: &str) -> Self {
        let line = |line: &str| {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let (name, value) = line.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let quoted = ['"', '\''].into_iter().find_map(|quote| {
                value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
            });
            let named = !name.starts_with('#') && !name.is_empty();
            named.then(|| (name.to_owned(), quoted.unwrap_or(value).to_owned()))
        };
        let set = text.lines().filter_map(line).collect();
        Self { set, from: from.to_owned(), whole: false }
    }

    /// The names of variables whose values are secrets in clear.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let in_clear = |name: &&str| {
            self.value(name).is_some_and(|it| !it.is_empty() && !it.starts_with("${"))
        };
        SECRETS.iter().filter(|name| in_clear(name)).map(|it| (*it).to_owned()).collect()
    }

    /// The same with the values of secrets left out: that they are set is all that is asked.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        for name in SECRETS {
            if let Some(value) = self.set.get_mut(name) {
                value.zeroize();
            }
        }
        self
    }

    /// The value of `name`, if it is set.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(|it| it.trim().trim_matches(['"', '\'']))
    }
}

/// What n8n takes where a variable is not set.
enum Unset {
    Fine,
    Wrong(&'static str),
}

/// Whether `name` is set to what `wrong` says is wrong. Values of secrets are asked for nowhere.
fn variable(seen: &Observed, name: &str, wrong: fn(&str) -> bool, unset: &Unset) -> Verdict {
    Verdict::of(&seen.variables, |it| {
        let Variables { from, whole, .. } = it;
        match (it.value(name), unset) {
            (Some(value), _) => {
                Verdict::found_if(wrong(value), || format!("`{name}={value}` ({from})"))
            }
            (None, _) if !whole => {
                Verdict::Unknown(format!("`{name}` is not in {from}, which may not be all"))
            }
            (None, Unset::Fine) => Verdict::Fine,
            (None, Unset::Wrong(default)) => {
                Verdict::Found(vec![format!("`{name}` is not set, so it is {default} ({from})")])
            }
        }
    })
}

/// What several variables say together: the first that is wrong, else what cannot be told.
fn all(verdicts: Vec<Verdict>) -> Verdict {
    let mut found = Vec::new();
    let mut unknown = None;
    for verdict in verdicts {
        match verdict {
            Verdict::Fine => {}
            Verdict::Found(subjects) => found.extend(subjects),
            Verdict::Unknown(why) => unknown = unknown.or(Some(why)),
        }
    }
    match unknown {
        Some(why) if found.is_empty() => Verdict::Unknown(why),
        Some(_) | None => Verdict::found_in(found),
    }
}

fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1")
}

fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

pub(super) fn same_site(seen: &Observed) -> Verdict {
    variable(seen, "N8N_SAMESITE_COOKIE", |it| it == "none", &Unset::Fine)
}

/// n8n compares with `false` itself here.
pub(super) fn environment(seen: &Observed) -> Verdict {
    variable(seen, "N8N_BLOCK_ENV_ACCESS_IN_NODE", |it| it == "false", &Unset::Fine)
}

pub(super) fn files(seen: &Observed) -> Verdict {
    all(vec![
        variable(seen, "N8N_BLOCK_FILE_ACCESS_TO_N8N_FILES", is_off, &Unset::Fine),
        variable(seen, "N8N_RESTRICT_FILE_ACCESS_TO", everywhere, &Unset::Fine),
    ])
}

/// Whether a list of folders, by `;`, keeps nothing out. n8n takes none for no limit.
fn everywhere(folders: &str) -> bool {
    folders.split(';').map(str::trim).all(str::is_empty)
        || folders.split(';').any(|it| matches!(it.trim(), "/" | "/home" | "/root" | "/etc"))
}

pub(super) fn nodes(seen: &Observed) -> Verdict {
    let allows =
        |list: &str| !list.contains("executeCommand") || !list.contains("localFileTrigger");
    variable(seen, "NODES_EXCLUDE", allows, &Unset::Fine)
}

pub(super) fn ssrf(seen: &Observed) -> Verdict {
    variable(seen, "N8N_SSRF_PROTECTION_ENABLED", |it| !is_on(it), &Unset::Wrong("false"))
}

pub(super) fn oauth_callback(seen: &Observed) -> Verdict {
    variable(seen, "N8N_SKIP_AUTH_ON_OAUTH_CALLBACK", is_on, &Unset::Fine)
}

pub(super) fn git(seen: &Observed) -> Verdict {
    all(vec![
        variable(seen, "N8N_GIT_NODE_ENABLE_HOOKS", is_on, &Unset::Fine),
        variable(seen, "N8N_GIT_NODE_ENABLE_ALL_CONFIG_KEYS", is_on, &Unset::Fine),
        variable(seen, "N8N_GIT_NODE_DISABLE_BARE_REPOS", is_off, &Unset::Fine),
    ])
}

pub(super) fn runners(seen: &Observed) -> Verdict {
    let elsewhere = |it: &str| !matches!(it, "127.0.0.1" | "::1" | "localhost");
    all(vec![
        variable(seen, "N8N_RUNNERS_INSECURE_MODE", is_on, &Unset::Fine),
        variable(seen, "N8N_RUNNERS_BROKER_LISTEN_ADDRESS", elsewhere, &Unset::Fine),
    ])
}

pub(super) fn expressions(seen: &Observed) -> Verdict {
    variable(seen, "N8N_EXPRESSION_ENGINE", |it| it == "legacy", &Unset::Fine)
}

pub(super) fn sandbox(seen: &Observed) -> Verdict {
    all(vec![
        variable(seen, "N8N_INSECURE_DISABLE_WEBHOOK_IFRAME_SANDBOX", is_on, &Unset::Fine),
        variable(seen, "N8N_INSECURE_DISABLE_FORM_HTML_SANDBOX", is_on, &Unset::Fine),
    ])
}

pub(super) fn settings_permissions(seen: &Observed) -> Verdict {
    variable(seen, "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS", is_off, &Unset::Fine)
}

pub(super) fn end_to_end_tests(seen: &Observed) -> Verdict {
    variable(seen, "E2E_TESTS", is_on, &Unset::Fine)
}

/// What n8n does not check is installed only where anything may be installed at all.
pub(super) fn unverified_packages(seen: &Observed) -> Verdict {
    match variable(seen, "N8N_COMMUNITY_PACKAGES_ENABLED", is_off, &Unset::Fine) {
        Verdict::Found(_) => Verdict::Fine,
        Verdict::Fine | Verdict::Unknown(_) => {
            let wrong = |it: &str| !is_off(it);
            variable(seen, "N8N_UNVERIFIED_PACKAGES_ENABLED", wrong, &Unset::Wrong("true"))
        }
    }
}

pub(super) fn diagnostics(seen: &Observed) -> Verdict {
    variable(seen, "N8N_DIAGNOSTICS_ENABLED", |it| !is_off(it), &Unset::Wrong("true"))
}

pub(super) fn not_n8ns(seen: &Observed) -> Verdict {
    Verdict::of(&seen.variables, |it| {
        let set = UNKNOWN.iter().filter(|name| it.value(name).is_some());
        let set: Vec<_> = set.map(|name| format!("`{name}` ({})", it.from)).collect();
        match set.is_empty() && !it.whole {
            true => Verdict::Unknown(format!("{} may not be all of it", it.from)),
            false => Verdict::found_in(set),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_docker_reads_it() {
        let text = "# a comment\n\nexport A=1\nB=\"two words\"\nN8N_SMTP_PASS='x'\n\
                    DB_POSTGRESDB_PASSWORD=${PASSWORD}\nN8N_ENCRYPTION_KEY=\nnothing\n";
        let all = Variables::parse(text, "x.env");
        assert_eq!(all.value("A"), Some("1"));
        assert_eq!(all.value("B"), Some("two words"));
        assert_eq!(all.secrets(), ["N8N_SMTP_PASS"]);
        assert_eq!(all.set.len(), 5);
    }
}

//! `docs/reference/policy.md`, made of the policy's schema, its defaults and `config/complete.yaml`.

use std::{fmt::Write, path::Path};

use gateway_config::{Answers, System, effective, load};
use serde_json::{Map, Value};

const INTRODUCTION: &str = "\
# Policy reference

<!-- Made of the schema by `UPDATE_EXPECT=1 cargo test -p n8n-gateway --test documentation`. -->

Every key of the policy file. The same stands in
[the JSON Schema](../../config/policy.schema.json), from which editors complete, and in
[an annotated file](../../config/complete.yaml). `n8n-gateway check` says what is wrong with a file, with line,
column and hint; `n8n-gateway check --print` shows the policy in force, defaults filled in.

A *time* is written `30s`, `5m`, `1h 30m`, `1d`, or a number of seconds; a *size* `16MiB` or `512 KiB`. Where *a
list of such* is possible, the keys below are those of each member. `NAME` stands for a name of your own. Secrets may
be written `${file:/path}` or `${env:NAME}`. Relative paths start at the policy's folder.

A saved file is in force within two seconds, and a file with a mistake changes nothing. A change of `listen`,
`state.dir`, `log`, `bans.nftables` or `hardening` needs a restart; until then such a file changes nothing either.
";

/// What the schema says of times.
const TIME: &str = "^([0-9]+ ?[a-z]+ ?)+$|^[0-9]+$";
/// What it says of sizes.
const SIZE: &str = "^[0-9]+ ?(B|KiB|MiB|GiB)$";

struct Schema(Value);

impl Schema {
    /// Follows references, and leaves out `null`: whatever may be left out may be null.
    fn arms<'s>(&'s self, node: &'s Value) -> Vec<&'s Value> {
        if let Some(name) = node["$ref"].as_str() {
            return self.arms(&self.0["$defs"][name.trim_start_matches("#/$defs/")]);
        }
        if let Some(arms) = node["anyOf"].as_array().or_else(|| node["oneOf"].as_array()) {
            return arms.iter().flat_map(|it| self.arms(it)).collect();
        }
        if node["type"] == "null" { Vec::new() } else { vec![node] }
    }

    fn kind(&self, node: &Value) -> String {
        let mut all: Vec<String> = Vec::new();
        let (lists, single): (Vec<_>, Vec<_>) =
            self.arms(node).into_iter().partition(|arm| arm["items"].is_object());
        for kind in single.into_iter().flat_map(|arm| self.kinds(arm)) {
            if !all.contains(&kind) {
                all.push(kind);
            }
        }
        for list in lists {
            let members = self.kind(&list["items"]);
            let same = members == all.join(", or ");
            all.push(if same { "a list of such".to_owned() } else { format!("list ({members})") });
        }
        all.join(", or ")
    }

    fn kinds(&self, arm: &Value) -> Vec<String> {
        if let Some(values) = arm["enum"].as_array() {
            let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            return vec![format!("`{}`", values.join("`, `"))];
        }
        if let Some(value) = arm["const"].as_str() {
            return vec![format!("`{value}`")];
        }
        match arm["pattern"].as_str() {
            Some(TIME) => return vec!["time".to_owned()],
            Some(SIZE) => return vec!["size".to_owned()],
            _ => {}
        }
        let single = arm["type"].as_str().map(|it| vec![it]);
        let types = single.unwrap_or_else(|| {
            arm["type"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        });
        types.into_iter().filter(|it| *it != "null").map(|it| self.named(it, arm)).collect()
    }

    fn named(&self, kind: &str, arm: &Value) -> String {
        match kind {
            "boolean" => "`true` or `false`".to_owned(),
            "string" => "text".to_owned(),
            "integer" | "number" => {
                let range = match (arm["minimum"].as_i64(), arm["maximum"].as_i64()) {
                    (Some(low), Some(high)) if low == high => format!(" {low}"),
                    (Some(low), Some(high)) => format!(", {low} to {high}"),
                    (Some(low), None) if low > 0 => format!(", {low} or more"),
                    _ => String::new(),
                };
                format!("number{range}")
            }
            "object" if arm["additionalProperties"].is_object() => {
                format!("mapping of names to ({})", self.kind(&arm["additionalProperties"]))
            }
            "object" => "mapping".to_owned(),
            other => panic!("{other}: what is it called for people?"),
        }
    }

    /// The keys below a node, with their paths.
    fn below<'s>(&'s self, node: &'s Value, path: &str) -> Vec<(String, &'s Value, bool)> {
        let mut found: Vec<(String, &Value, bool)> = Vec::new();
        for arm in self.arms(node) {
            let required = |key: &str| {
                arm["required"].as_array().is_some_and(|all| all.iter().any(|it| it == key))
            };
            for key in arm["properties"].as_object().into_iter().flat_map(Map::keys) {
                let path = format!("{path}.{key}");
                if found.iter().all(|(known, ..)| *known != path) {
                    found.push((path, &arm["properties"][key], required(key)));
                }
            }
            if arm["additionalProperties"].is_object() {
                found.extend(self.below(&arm["additionalProperties"], &format!("{path}.NAME")));
            }
            if arm["items"].is_object() {
                // One of them, or several: the same keys.
                for (path, node, required) in self.below(&arm["items"], path) {
                    if found.iter().all(|(known, ..)| *known != path) {
                        found.push((path, node, required));
                    }
                }
            }
        }
        found
    }

    fn key(&self, path: &str, node: &Value, required: bool, defaults: &Value, page: &mut String) {
        let depth = if path.contains('.') { "###" } else { "##" };
        let said = node["description"].as_str();
        let arms = self.arms(node);
        let said = said.or_else(|| arms.iter().find_map(|it| it["description"].as_str()));
        let said = said.unwrap_or_default().replace('\n', " ");
        let kind = self.kind(node);
        assert!(!kind.is_empty(), "{path}: what may be written there?");
        write!(page, "\n{depth} `{path}`\n\n{said}\n\n- {kind}\n").unwrap();
        for arm in &arms {
            if let (Some(value), Some(means)) = (arm["const"].as_str(), arm["description"].as_str())
            {
                writeln!(page, "  - `{value}`: {}", means.replace('\n', " ")).unwrap();
            }
        }
        if required {
            page.push_str("- required\n");
        } else if let Some(default) = default_of(path, defaults).or_else(|| told_default(&said)) {
            writeln!(page, "- default: `{default}`").unwrap();
        }
        let examples = node["examples"]
            .as_array()
            .or_else(|| arms.iter().find_map(|it| it["examples"].as_array()));
        if let Some(example) = examples.and_then(|all| all.first()) {
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            writeln!(page, "- such as `{example}`").unwrap();
        }
        page.push_str(&all_defaults(path, defaults));
        for (path, node, required) in self.below(node, path) {
            self.key(&path, node, required, defaults, page);
        }
    }
}

/// The default that a description names.
fn told_default(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("Default `")?;
    Some(rest.split_once('`')?.0.to_owned())
}

/// The value that the smallest policy has there, where one line tells it.
fn default_of(path: &str, defaults: &Value) -> Option<String> {
    let path = path.replace("tls.acme", "tls.certificate.acme");
    let mut at = defaults;
    for part in path.split('.') {
        at = at.get(part)?;
    }
    match at {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(at.to_string()),
        Value::Array(members) if members.iter().all(Value::is_string) => {
            let members: Vec<_> = members.iter().filter_map(Value::as_str).collect();
            Some(format!("[{}]", members.join(", ")))
        }
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// What the annotated file has at a top-level key, comments and all.
fn example(complete: &str, key: &str) -> String {
    let lines = complete.lines().skip_while(|line| !line.starts_with(&format!("{key}:")));
    let mut lines = lines.peekable();
    let mut found = vec![lines.next().unwrap_or_else(|| panic!("{key} is not in complete.yaml"))];
    while let Some(line) = lines.next_if(|it| it.starts_with([' ', '#']) || it.is_empty()) {
        found.push(line);
    }
    // A comment at the margin belongs to the next key, unless it is a setting that is switched off.
    while found.last().is_some_and(|it| it.is_empty() || it.starts_with('#')) {
        if found.last().is_some_and(|it| it.starts_with(&format!("# {key}:"))) {
            break;
        }
        found.pop();
    }
    found.join("\n")
}

/// The defaults of a key that has many, as a table.
fn all_defaults(path: &str, defaults: &Value) -> String {
    let of = |keys: [&str; 2]| defaults[keys[0]][keys[1]].as_object().into_iter().flatten();
    let plain = |it: &Value| {
        it.as_str().unwrap_or_default().trim_end_matches("(default)").trim().to_owned()
    };
    let row = |key: &String, cells: &str| format!("| `{key}` | {cells} |\n");
    match path {
        "bans.jails" => of(["bans", "jails"]).fold(
            "\n| jail | `max_retry` | `find_time` | `ban_time` |\n|---|---|---|---|\n".to_owned(),
            |table, (jail, it)| {
                let number = it["max_retry"].to_string();
                table + &row(jail, &[number, plain(&it["find_time"]), plain(&it["ban_time"])].join(" | "))
            },
        ),
        "limits.body" => of(["limits", "body"]).fold(
            "\n| surface or path | default |\n|---|---|\n".to_owned(),
            |table, (key, it)| table + &row(key, &plain(it)),
        ),
        "rate_limits" => defaults["rate_limits"].as_object().into_iter().flatten().fold(
            "\nWithout a line of yours these are limited:\n\n| surface or path | default |\n|---|---|\n".to_owned(),
            |table, (key, it)| match plain(it) {
                none if none.is_empty() => table,
                limits => table + &row(key, &limits),
            },
        ),
        _ => String::new(),
    }
}

#[test]
fn the_policy_reference_is_fresh() {
    let schema = Schema(gateway_config::schema());
    let minimal = crate::root().join("config/minimal.yaml");
    let config = load(Path::new(&minimal), &System, &Answers::new()).unwrap();
    let defaults = effective(&config);
    let complete = crate::read("config/complete.yaml");
    let top = schema.0["properties"].as_object().unwrap();
    let mut page = INTRODUCTION.to_owned();
    let required: Vec<_> =
        schema.0["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    page.push_str("\n| key | |\n|---|---|\n");
    for (key, node) in top {
        let said = node["description"].as_str().unwrap_or_default().replace('\n', " ");
        let first = said.split_inclusive(". ").next().unwrap_or_default().trim_end();
        writeln!(page, "| [`{key}`](#{key}) | {first} |").unwrap();
    }
    for (key, node) in top {
        let mut section = String::new();
        schema.key(key, node, required.contains(&key.as_str()), &defaults, &mut section);
        let example = format!("\n```yaml part\n{}\n```\n", example(&complete, key));
        // After the key's own lines, before the keys below it.
        let at = section.find("\n### ").unwrap_or(section.len());
        section.insert_str(at, &example);
        page.push_str(&section);
    }
    for told in ["### `limits.timeouts.head`", "- default: `10s`", "### `webhooks.NAME.tolerance`"]
    {
        assert!(page.contains(told), "{told}");
    }
    crate::is_fresh("docs/reference/policy.md", &page);
}

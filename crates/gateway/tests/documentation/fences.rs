//! What stands between fences in the documentation, and what is to be done with it.

use std::collections::BTreeMap;

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) page: String,
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// What is done with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Run by a shell, which ends with this code.
    Run { exit: i32 },
    /// Cannot be run, for this reason.
    NotRun(String),
    /// What the block before it says.
    Output,
    /// A whole policy.
    Policy,
    /// Some keys of a policy.
    Part,
    /// A policy, or another file, that is not looked at here.
    Shown,
}

/// Languages of what is only shown.
const SHOWN: [&str; 7] = ["caddyfile", "ini", "json", "nginx", "rust", "text", "toml"];

/// `word`, `key="value"`, …
fn attributes(info: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = info.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => ("", after),
        };
        found.insert(name.to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    found
}

fn kind(info: &str) -> Result<Kind, String> {
    let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
    let mut given = attributes(rest);
    let mut take = |name: &str| given.remove(name);
    let kind = match language {
        "sh" => match (take("no-run"), take("exit")) {
            (Some(why), None) if why.is_empty() => Err("`no-run` needs a reason".to_owned()),
            (Some(why), None) => Ok(Kind::NotRun(why)),
            (None, exit) => Ok(Kind::Run { exit: exit.map_or(0, |it| it.parse().unwrap()) }),
            (Some(_), Some(_)) => Err("it is run, or it is not".to_owned()),
        },
        "yaml" => match (take("part"), take("other")) {
            (None, None) => Ok(Kind::Policy),
            (Some(_), None) => Ok(Kind::Part),
            (None, Some(what)) if !what.is_empty() => Ok(Kind::Shown),
            _ => Err("`part`, or `other=\"what it is\"`".to_owned()),
        },
        "text" if take("output").is_some() => Ok(Kind::Output),
        shown if SHOWN.contains(&shown) => Ok(Kind::Shown),
        "" => Err("of which language? `text` if of none".to_owned()),
        other => Err(format!("{other}: one of sh, yaml, {}", SHOWN.join(", "))),
    }?;
    match given.keys().next() {
        Some(unknown) => Err(format!("{unknown} is unknown")),
        None => Ok(kind),
    }
}

/// Every block of a page.
pub(crate) fn fences(page: &str) -> Vec<Fence> {
    let text = crate::read(page);
    let mut lines = text.lines().enumerate();
    let mut found = Vec::new();
    while let Some((at, line)) = lines.next() {
        let margin = line.len() - line.trim_start().len();
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let line = at + 1;
        let kind = kind(info).unwrap_or_else(|why| panic!("{page}:{line}: ```{info}: {why}"));
        let mut text = String::new();
        let body = lines.by_ref().map(|(_, it)| it.get(margin..).unwrap_or_default());
        for line in body.take_while(|it| *it != "```") {
            text.push_str(line);
            text.push('\n');
        }
        found.push(Fence { page: page.to_owned(), line, kind, text });
    }
    found
}

#[test]
fn what_is_unknown_is_said() {
    assert_eq!(kind("sh"), Ok(Kind::Run { exit: 0 }));
    assert_eq!(kind("sh exit=\"1\""), Ok(Kind::Run { exit: 1 }));
    assert_eq!(kind("sh no-run=\"needs root\""), Ok(Kind::NotRun("needs root".to_owned())));
    assert_eq!(kind("yaml part"), Ok(Kind::Part));
    assert_eq!(kind("text output"), Ok(Kind::Output));
    for wrong in ["", "bash", "console", "sh no-run", "sh maybe", "yaml other", "text out"] {
        assert!(kind(wrong).is_err(), "{wrong}");
    }
}

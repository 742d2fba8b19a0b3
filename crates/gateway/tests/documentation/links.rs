//! Links lead to files and headings that are there, and every page can be found.

use std::{collections::BTreeSet, path::Path};

use crate::{pages, read, root};

/// A page without what stands between fences and in code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let parts = line.split('`').enumerate();
            // Code may be a link's text; what is in it is none.
            let kept = parts.map(|(at, part)| if at % 2 == 0 { part } else { "code" });
            prose.push_str(&kept.collect::<String>());
            prose.push('\n');
        }
    }
    prose
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|it| it.trim().to_owned()).collect()
}

/// How code hosts and mdBook call a heading.
fn anchor(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let kept = heading.chars().filter(|it| it.is_alphanumeric() || [' ', '-', '_'].contains(it));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if let Some(heading) = line.strip_prefix('#').filter(|_| !fenced) {
            found.insert(anchor(heading.trim_start_matches('#')));
        }
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let mut all = pages();
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"];
    all.extend(others.map(str::to_owned));
    let mut count = 0;
    for page in all {
        let text = read(&page);
        for link in links(&text) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let folder = Path::new(&page).parent().unwrap();
            let file = if path.is_empty() { page.clone().into() } else { folder.join(path) };
            assert!(root().join(&file).exists(), "{page}: {link} leads nowhere");
            if !heading.is_empty() {
                let there = anchors(&read(&file.display().to_string()));
                assert!(there.contains(heading), "{page}: {link}: there is no such heading");
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count} links");
}

#[test]
fn every_page_is_in_the_summary_once() {
    let summary = links(&read("docs/SUMMARY.md"));
    let mut named = BTreeSet::new();
    for link in &summary {
        assert!(named.insert(link.clone()), "{link} is there twice");
    }
    let there: BTreeSet<_> = pages()
        .into_iter()
        .filter_map(|it| it.strip_prefix("docs/").map(str::to_owned))
        .filter(|it| it != "SUMMARY.md")
        .collect();
    assert_eq!(named, there);
    assert!(root().join("docs/book.toml").exists());
}

#[test]
fn pages_begin_with_their_title() {
    let own = |it: &&String| it.starts_with("docs/") && *it != "docs/SUMMARY.md";
    for page in pages().iter().filter(own) {
        let text = read(page);
        assert!(text.starts_with("# "), "{page}");
        let tops = prose(&text).lines().filter(|line| line.starts_with("# ")).count();
        assert_eq!(tops, 1, "{page} has one title");
    }
}

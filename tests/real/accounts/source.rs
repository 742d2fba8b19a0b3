//! What the gateway says of n8n's routes, compared with the source of the installed n8n.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use gateway_n8n::ENROLLING;

use crate::processes::given;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|it| it == "js") {
            found.push(entry);
        }
    }
}

/// The routes that n8n decorates with `allowSkipMFA: true`: the file's controller, the method and
/// the path.
fn marked(name: &str, source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let controller = source.split("RestController)('").nth(1).and_then(|it| it.split('\'').next());
    let prefix = controller.unwrap_or_default().trim_matches('/');
    for route in source.split("(0, decorators_1.").skip(1) {
        let (decorator, rest) = route.split_once(")('").unwrap_or_default();
        let (path, options) = rest.split_once('\'').unwrap_or_default();
        let options = options.split("})").next().unwrap_or_default();
        if options.contains("allowSkipMFA: true") {
            let path = format!("{prefix}{path}");
            found.push((decorator.to_uppercase(), path.trim_matches('/').to_owned()));
        }
    }
    let count = source.matches("allowSkipMFA: true").count();
    assert!(found.len() == count || name.ends_with("server.js"), "{name}: {found:?} of {count}");
    found
}

#[test]
fn a_session_without_a_second_factor_may_do_what_n8n_says() {
    let n8n = given("N8N_GATEWAY_TEST_N8N").join("node_modules/n8n/dist");
    let mut files = Vec::new();
    sources(&n8n, &mut files);
    let mut marks = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        if source.contains("allowSkipMFA: true") {
            marks.extend(marked(&file.display().to_string(), &source));
        }
    }
    // In `server.js` three files are protected by one such middleware.
    let server = fs::read_to_string(n8n.join("server.js")).unwrap();
    assert_eq!(server.matches("allowSkipMFA: true").count(), 1);
    let types = server.split("const typeFiles = [").nth(1).unwrap().split(']').next().unwrap();
    let types = types.split(',').map(|it| it.trim().trim_matches(['\'', '/']).to_owned());
    marks.extend(types.map(|path| ("GET".to_owned(), path)));
    // What leads the editor is not marked: n8n answers it to everybody.
    marks.insert(("GET".to_owned(), "settings".to_owned()));
    let ours = ENROLLING.iter().map(|(method, path)| (method.to_string(), (*path).to_owned()));
    assert_eq!(ours.collect::<BTreeSet<_>>(), marks);
}

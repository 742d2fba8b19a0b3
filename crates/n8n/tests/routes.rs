//! Every route of n8n 2.40.7 and the surface it belongs to, as a file to be read by a person:
//! `surface path methods`. After a change of the table, `UPDATE_EXPECT=1 cargo test` rewrites the
//! first column; the difference is what the change does.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use expect_test::expect_file;
use gateway_n8n::{Endpoints, Surfaces};

const ROUTES: &str = include_str!("routes.golden");

/// A path that the route matches: each parameter and wildcard filled in.
fn sample(route: &str) -> String {
    let fill =
        |part: &str| if part.starts_with([':', '*']) { "x1".to_owned() } else { part.to_owned() };
    route.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// The golden file again, its first column decided anew. `spell` writes each path as a client
/// might.
fn classified(endpoints: &Endpoints, spell: impl Fn(String) -> String) -> String {
    let surfaces = Surfaces::new(endpoints);
    let again = |line: &str| {
        let [_, route, methods] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not `surface path methods`: {line}");
        };
        let path = spell(sample(route));
        let surface = match surfaces.locate(&path, methods == "UPGRADE") {
            Ok(located) => located.surface.name().to_owned(),
            Err(ambiguity) => ambiguity.to_string(),
        };
        format!("{surface} {route} {methods}\n")
    };
    ROUTES.lines().map(again).collect()
}

#[test]
fn every_route_of_n8n_is_on_its_surface() {
    expect_file!["routes.golden"].assert_eq(&classified(&Endpoints::default(), |path| path));
}

#[test]
fn case_and_a_trailing_slash_change_nothing() {
    let spell = |path: String| match path.as_str() {
        "/" => path,
        // The public API is refused if it is spelled otherwise.
        path if path.starts_with("/api/v1/") => format!("{path}/"),
        _ => format!("{}/", path.to_uppercase()),
    };
    // Sockets are answered only at the path as n8n spells it.
    let plain = |lines: String| -> Vec<String> {
        lines.lines().filter(|line| !line.ends_with("UPGRADE")).map(str::to_owned).collect()
    };
    assert_eq!(plain(classified(&Endpoints::default(), spell)), plain(ROUTES.to_owned()));
}

#[test]
fn renamed_segments_move_every_route_with_them() {
    let mut endpoints = Endpoints::default();
    let renames = [
        ("rest", "rest", "internal"),
        ("public-api", "api", "v0/public"),
        ("webhook", "webhook", "hooks"),
        ("webhook-waiting", "webhook-waiting", "resume"),
        ("form", "form", "f"),
        ("health", "healthz", "alive"),
    ];
    for (key, _, to) in renames {
        endpoints.rename(key, to).unwrap();
    }
    let spell = |path: String| {
        let moved = |(_, from, to): &(&str, &str, &str)| {
            let rest = path.strip_prefix('/')?.strip_prefix(from)?;
            let whole =
                rest.is_empty() || rest.starts_with('/') || rest == "-slack" || rest == "-telegram";
            whole.then(|| format!("/{to}{rest}"))
        };
        renames.iter().find_map(moved).unwrap_or(path)
    };
    assert_eq!(classified(&endpoints, spell), ROUTES);
}

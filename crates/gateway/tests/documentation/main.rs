//! The documentation: what is made of tables is fresh, links lead somewhere, policies are valid, and
//! what stands there to be typed is typed.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and waits in the wall's time for another process"
)]

mod commands;
mod fences;
mod fixtures;
#[expect(dead_code, reason = "a gateway of the documentation is not asked for everything")]
#[path = "../binary/house.rs"]
mod house;
mod links;
mod names;
mod policy;
mod sandbox;
mod tables;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Nobody reads a page that is just written.
static PAGES: Mutex<()> = Mutex::new(());

fn read(path: &str) -> String {
    let _turn = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Every page for users, by its path in the workspace.
fn pages() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "deploy/README.md".to_owned()];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|it| it == "md") {
                found.push(entry.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// Asserts that a page is what the tables make of it; `UPDATE_EXPECT=1` writes it.
fn is_fresh(page: &str, made: &str) {
    let _turn = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let page = root().join(page);
    expect_test::expect_file![page].assert_eq(made);
}

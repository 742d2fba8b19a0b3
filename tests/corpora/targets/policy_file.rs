//! A policy's file: no text is a panic, and whatever is wrong is somewhere in it.

use std::{
    io,
    path::{Path, PathBuf},
};

use gateway_config::{Answers, Invalid, Problem, World, effective, load};

const FILE: &str = "policy.yaml";

/// A machine that has this file and nothing else.
pub(super) struct Memory<'p> {
    pub(super) policy: &'p [u8],
}

impl World for Memory<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new(FILE) {
            Ok(self.policy.to_vec())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

pub(super) fn run(bytes: &[u8]) {
    let load = || load(Path::new(FILE), &Memory { policy: bytes }, &Answers::new());
    let problems = match load() {
        Ok(config) => {
            assert!(effective(&config).is_object());
            config.warnings
        }
        Err(Invalid(problems)) => {
            assert!(!problems.is_empty(), "refused without a reason");
            problems
        }
    };
    let text = String::from_utf8_lossy(bytes);
    for problem in &problems {
        assert!(is_inside(problem, &text), "{problem} is not in {text:?}");
        assert!(!problem.message.is_empty() && !problem.to_string().contains('\0'));
    }
}

/// Whether its place is one, the one after the last character included.
fn is_inside(problem: &Problem, text: &str) -> bool {
    let Some(place) = problem.place else { return true };
    assert_eq!(problem.file, PathBuf::from(FILE));
    // As YAML breaks lines (1.2, 5.4).
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let line = place.line.checked_sub(1).and_then(|it| lines.get(it));
    place.column > 0 && line.is_some_and(|line| place.column <= line.chars().count() + 1)
}

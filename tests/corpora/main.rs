//! What fuzzing has found, again and again: every file of `fuzz/corpus/TARGET` through the function
//! that the fuzzer calls.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where it was"
)]

mod targets;

use std::{collections::BTreeSet, fs, path::Path};

use targets::TARGETS;

/// As much as a repository should carry, for each target.
const MOST_FILES: usize = 200;
const MOST_BYTES: u64 = 200 * 1024;

#[test]
fn what_was_found_once_is_found_no_more() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for (name, target) in TARGETS {
        let folder = root.join("corpus").join(name);
        let (mut files, mut size) = (0, 0);
        for entry in fs::read_dir(&folder).expect("a corpus for each target") {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (files, size) = (files + 1, size + u64::try_from(bytes.len()).unwrap());
            // The name of the file is what the panic does not say.
            println!("{}", path.display());
            target(&bytes);
        }
        assert!((10..=MOST_FILES).contains(&files), "{name} has {files} files");
        assert!(size <= MOST_BYTES, "{name} has {size} bytes");
        let program = root.join(format!("fuzz_targets/{name}.rs"));
        assert!(program.exists(), "{} is missing", program.display());
        folders.insert(name.to_owned());
    }
    let there = fs::read_dir(root.join("corpus")).unwrap();
    let there: BTreeSet<String> =
        there.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, folders);
}

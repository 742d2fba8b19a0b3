//! The catalogue alone: each example against its own entry.

use std::collections::BTreeSet;

use gateway_n8n::{
    Endpoints, Surfaces,
    attacks::{Entry, Head, Manner, Multipart, Shape, catalogue, found_in, manner},
};
use gateway_testkit::{Example, Gateway};

/// Whether a request is what the entry is about.
fn is_attack(entry: &Entry, example: &Example) -> bool {
    let request = Gateway::request(&example.lines, example.body.clone());
    let (parts, _) = request.into_parts();
    let surfaces = Surfaces::new(&Endpoints::default());
    let located = surfaces.locate(parts.uri.path(), example.websocket).unwrap();
    let head = Head::new(located, &parts);
    let fitting = || entry.shapes.iter().filter(|shape| shape.fits(&head));
    if fitting().any(|shape| shape.body.is_empty()) {
        return true;
    }
    let asking: Vec<&Shape> = fitting().collect();
    let shapes = || asking.iter().copied();
    match manner(&parts.headers, shapes()) {
        Manner::Unread => false,
        Manner::Whole => {
            let found = found_in(shapes(), &parts.headers, &example.body, 1 << 20);
            !found.unwrap().is_empty()
        }
        Manner::Passing => {
            let mut reader = Multipart::new(&parts.headers, shapes()).unwrap();
            let pieces = example.body.chunks(7);
            pieces.fold(false, |_, piece| !reader.take(piece).unwrap().is_empty())
        }
    }
}

#[test]
fn every_attack_is_told_from_what_looks_like_it() {
    let all = catalogue();
    for example in Example::all() {
        let entry = all.iter().find(|entry| entry.id == example.entry);
        let entry = entry.unwrap_or_else(|| panic!("{} is no entry", example.entry));
        let Example { stops, lines, .. } = &example;
        assert_eq!(is_attack(entry, &example), *stops, "{}: {lines}", example.entry);
    }
}

#[test]
fn every_entry_has_examples_of_both() {
    let having = |stops: bool| -> BTreeSet<String> {
        let all = Example::all().into_iter();
        all.filter(|it| it.stops == stops).map(|it| it.entry).collect()
    };
    for entry in catalogue().iter().filter(|entry| !entry.shapes.is_empty()) {
        assert!(having(true).contains(&*entry.id), "{} has no attack", entry.id);
        assert!(having(false).contains(&*entry.id), "{} has nothing that looks like it", entry.id);
    }
}
